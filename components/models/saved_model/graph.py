"""Graphs and signatures of a SavedModel, read from saved_model.pb without loading the model."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models import tensors
from tfx_loop.models.formats import SAVED_MODEL_FILE
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE, TensorSpec

SERVE_TAG = "serve"
# `__saved_model_init_op` and its like: no way of asking the model.
_INTERNAL_PREFIX = "__saved_model"


def read_graph(folder: Path) -> meta_graph_pb2.MetaGraphDef:
    """Returns the graph that serves, parsed.

    Raises:
        ModelError: The file is damaged, or holds none.
    """
    file = folder / SAVED_MODEL_FILE
    try:
        parsed = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except OSError as error:
        raise ModelError(
            f"Expected a SavedModel in {folder}, received: {error.strerror}. Check the path."
        ) from error
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
    numeric = [name for name in sorted(known) if _takes_numbers(graph.signature_def[name])]
    if wanted is not None and wanted in numeric:
        return wanted
    if wanted is None:
        # TFX gives serving_default to tf.Examples; the columns then stand beside it.
        for name in (DEFAULT_SIGNATURE, COLUMNS_SIGNATURE):
            if name in numeric:
                return name
        if len(numeric) == 1:
            return numeric[0]
    asked = wanted or (DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in known else sorted(known)[0])
    hint = (
        f"Name one that takes numbers: {', '.join(numeric)}."
        if numeric
        else "Export one that takes the numbers which the network itself takes, or give the Keras "
        "model beside it."
    )
    where = f"signature {asked!r} of {folder}"
    taken, given = specs(graph.signature_def[asked])
    tensors.check_numeric((*taken, *given), where, hint)
    raise ModelError(f"Expected one signature that takes numbers in {folder}. {hint}")


def specs(
    signature: meta_graph_pb2.SignatureDef,
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns inputs and outputs of a signature, by name in order."""
    inputs = tuple(_spec(name, info) for name, info in sorted(signature.inputs.items()))
    outputs = tuple(_spec(name, info) for name, info in sorted(signature.outputs.items()))
    return inputs, outputs


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
