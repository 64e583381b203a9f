"""Graphs and signatures of a SavedModel, read from saved_model.pb without loading the model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models import tensors
from tfx_loop.models.formats import SAVED_MODEL_FILE
from tfx_loop.models.guard.findings import unsafe
from tfx_loop.models.guard.hollow import scan_holes
from tfx_loop.models.tensors import (
    COLUMNS_SIGNATURE,
    DEFAULT_SIGNATURE,
    EXAMPLES_SIGNATURE,
    TensorSpec,
)

SERVE_TAG = "serve"
# TensorFlow calls them stateful, and they only read: variables, tables, calls of functions.
_READING_OPS = {
    *("VarHandleOp", "ReadVariableOp", "VariableV2", "ResourceGather", "ResourceGatherNd"),
    *("HashTable", "HashTableV2", "MutableHashTableV2", "AnonymousHashTable"),
    *("LookupTableFind", "LookupTableFindV2", "LookupTableSizeV2", "TensorListReserve"),
    *("PartitionedCall", "StatefulPartitionedCall", "If", "While", "Case"),
    *("Assert", "Print", "PrintV2"),
}
# `__saved_model_init_op` and its like: no way of asking the model.
_INTERNAL_PREFIX = "__saved_model"


def read_graph(folder: Path) -> meta_graph_pb2.MetaGraphDef:
    """Returns the graph that serves, parsed.

    Raises:
        ModelUnsafe: The file is a hole of any size.
        ModelError: The file is damaged, or holds none.
    """
    file = folder / SAVED_MODEL_FILE
    try:
        # Some ask for the signatures before the guard has looked at the model.
        findings = tuple(scan_holes(file, file.name))
        content = b"" if findings else file.read_bytes()
    except OSError as error:
        raise ModelError(
            f"Expected a SavedModel in {folder}, received: {error.strerror}. Check the path."
        ) from error
    if findings:
        raise unsafe(file, findings)
    try:
        parsed = saved_model_pb2.SavedModel.FromString(content)
    except Exception as error:  # DecodeError has another home in each protobuf.
        raise ModelError(
            f"Expected a SavedModel in {file}, received a damaged file ({first_line(error)}). "
            "Was it copied to the end? Export it again."
        ) from error
    for graph in parsed.meta_graphs:
        if SERVE_TAG in graph.meta_info_def.tags:
            return graph
    raise ModelError(
        f"Expected a SavedModel with the tag {SERVE_TAG!r} in {file}, found "
        f"{len(parsed.meta_graphs)} graphs without it. Export it for serving."
    )


def public_signatures(
    graph: meta_graph_pb2.MetaGraphDef,
) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Returns the signatures by name, without those that TensorFlow adds for itself."""
    return {
        name: definition
        for name, definition in graph.signature_def.items()
        if not name.startswith(_INTERNAL_PREFIX)
    }


def choose_signature(
    graph: meta_graph_pb2.MetaGraphDef, folder: Path, wanted: str | None = None
) -> str:
    """Returns the name of the signature to ask with numbers.

    Raises:
        ModelError: There is none of that name, or none that takes numbers.
    """
    known = list(public_signatures(graph))
    if not known:
        raise ModelError(
            f"Expected a SavedModel with a signature in {folder}, found none. Save it with "
            "signatures={'serving_default': ...}, or with Keras' model.export."
        )
    if wanted is not None and wanted not in known:
        raise ModelError(
            f"Expected the signature {wanted!r} in {folder}, found {', '.join(sorted(known))}. "
            "Name one of these."
        )
    if (found := numeric_signature(graph, wanted)) is not None:
        return found
    numeric = _numeric(graph)
    asked = wanted or (DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in known else sorted(known)[0])
    hint = (
        f"Name one that takes numbers: {', '.join(numeric)}."
        if numeric
        else "Export one that takes the numbers which the network itself takes, or give the Keras "
        "model beside it."
    )
    where = f"signature {asked!r} of {folder}"
    # Names the tensor that is no number, which tells more than the sentence behind it.
    taken, given = specs(graph.signature_def[asked])
    tensors.check_numeric((*taken, *given), where, hint)
    raise ModelError(f"Expected one signature that takes numbers in {folder}. {hint}")


def numeric_signature(graph: meta_graph_pb2.MetaGraphDef, wanted: str | None = None) -> str | None:
    """Returns the signature to ask with numbers; None where none, or no single one, takes them."""
    numeric = _numeric(graph)
    if wanted is not None:
        return wanted if wanted in numeric else None
    # TFX gives serving_default to tf.Examples; the columns then stand beside it.
    for name in (DEFAULT_SIGNATURE, COLUMNS_SIGNATURE):
        if name in numeric:
            return name
    return numeric[0] if len(numeric) == 1 else None


def choose_any_signature(
    graph: meta_graph_pb2.MetaGraphDef, folder: Path, wanted: str | None = None
) -> str:
    """Returns the name of the signature to ask with rows as they come, text included.

    Raises:
        ModelError: There is none of that name, or several and none is `serving_default` or
            `serving_tf_example`.
    """
    known = sorted(public_signatures(graph))
    asked = wanted or (known[0] if len(known) == 1 else DEFAULT_SIGNATURE)
    # Where serving_default takes other bytes, such as images, tf.Examples have one of this name.
    if not wanted and EXAMPLES_SIGNATURE in known:
        usual = DEFAULT_SIGNATURE in known and examples_input(graph, DEFAULT_SIGNATURE)
        asked = DEFAULT_SIGNATURE if usual else EXAMPLES_SIGNATURE
    if asked not in known:
        raise ModelError(
            f"Expected the signature {asked!r} in {folder}, found {', '.join(known) or 'none'}. "
            "Name one of these."
        )
    return asked


def examples_input(graph: meta_graph_pb2.MetaGraphDef, signature: str) -> str:
    """Returns the input of a signature that takes serialized tf.Examples; empty if none does."""
    inputs, _ = specs(graph.signature_def[signature])
    whole = len(inputs) == 1 and inputs[0].dtype == "string"
    return inputs[0].name if whole and parses_examples(graph, signature) else ""


def specs(
    signature: meta_graph_pb2.SignatureDef,
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns inputs and outputs of a signature, by name in order."""
    inputs = tuple(_spec(name, info) for name, info in sorted(signature.inputs.items()))
    outputs = tuple(_spec(name, info) for name, info in sorted(signature.outputs.items()))
    return inputs, outputs


def parses_examples(graph: meta_graph_pb2.MetaGraphDef, name: str) -> bool:
    """Says whether a signature takes serialized tf.Examples apart, as opposed to other bytes."""
    return any("Example" in op or "DecodeProto" in op for op in _operations(graph, name))


def keeps_state(graph: meta_graph_pb2.MetaGraphDef, name: str) -> bool:
    """Says whether an answer of a signature may depend on those before it, or on chance."""
    for op in _operations(graph, name) - _READING_OPS:
        definition = op_def_registry.get(op)
        if definition is not None and definition.is_stateful:
            return True
    return False


def _operations(graph: meta_graph_pb2.MetaGraphDef, name: str) -> set[str]:
    """Returns the operations behind the outputs of a signature, those of its functions included."""
    nodes = {node.name: node for node in graph.graph_def.node}
    outputs = graph.signature_def[name].outputs.values()
    waiting = {_node_of(info.name) for info in outputs} & nodes.keys()
    behind: set[str] = set()
    while waiting:
        behind |= waiting
        given = {_node_of(text) for node in waiting for text in nodes[node].input}
        waiting = given & nodes.keys() - behind
    found, called = _used([nodes[node] for node in behind])
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    # Functions call functions: until no new one is named.
    seen: set[str] = set()
    while waiting := called & functions.keys() - seen:
        seen |= waiting
        more, called = _used([node for name in waiting for node in functions[name].node_def])
        found |= more
    return found


def _used(nodes: Iterable[Any]) -> tuple[set[str], set[str]]:
    """Returns the operations of nodes, and what may be a function that they call."""
    nodes = list(nodes)
    operations = {node.op for node in nodes}
    values = [value for node in nodes for value in node.attr.values()]
    named = {function.name for value in values for function in (value.func, *value.list.func)}
    return operations, operations | named


def _node_of(tensor: str) -> str:
    # `^node` is a control edge, `node:1` an output that is not the first.
    return tensor.removeprefix("^").split(":")[0]


def check_ops(graph: meta_graph_pb2.MetaGraphDef, folder: Path) -> None:
    """Checks that TensorFlow knows each operation.

    Raises:
        ModelError: There are others, all named.
    """
    functions = graph.graph_def.library.function
    own = {function.signature.name for function in functions}
    used = {node.op for node in graph.graph_def.node}
    # In a TensorFlow 2 model nearly all operations stand in the functions of the library.
    used |= {node.op for function in functions for node in function.node_def}
    unknown = sorted(op for op in used - own if op_def_registry.get(op) is None)
    if unknown:
        raise ModelError(
            f"Expected TensorFlow's own operations in {folder}, received the custom op "
            f"{', '.join(unknown)}. Import the library that registers it first, or export the "
            "model without it."
        )


def _numeric(graph: meta_graph_pb2.MetaGraphDef) -> list[str]:
    known = sorted(public_signatures(graph))
    return [name for name in known if _takes_numbers(graph.signature_def[name])]


def _takes_numbers(signature: meta_graph_pb2.SignatureDef) -> bool:
    infos = (*signature.inputs.values(), *signature.outputs.values())
    return bool(signature.inputs) and all(
        dtype.is_floating or dtype.is_integer or dtype.is_bool
        for dtype in (tf.dtypes.as_dtype(info.dtype) for info in infos)
    )


def _spec(name: str, info: meta_graph_pb2.TensorInfo) -> TensorSpec:
    shape = info.tensor_shape
    return TensorSpec(
        name=name,
        # A dimension of any size is -1 in the file.
        shape=tuple(d.size if d.size >= 0 else None for d in shape.dim),
        dtype=tf.dtypes.as_dtype(info.dtype).name,
        any_rank=shape.unknown_rank,
    )
