"""Graphs of half precision written again in float32, for converters that know float32 alone.

Keras' policies mixed_float16 and mixed_bfloat16 keep the weights in float32 and cast them, and what
flows between layers, to the short type. The casts are taken out, and every short type becomes
float32: the same weights, computed as a model under the policy float32 computes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, types_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfx_loop.models.saved_model.graph import read_graph
from tfx_loop.models.saved_model.loading import argument_names, load_saved_model

_SHORT = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
_FLOAT = types_pb2.DT_FLOAT


def has_short_floats(folder: Path) -> bool:
    """Says whether anything in a SavedModel's graph is float16 or bfloat16.

    Raises:
        ModelError: The file is damaged.
    """
    content = read_graph(folder).graph_def
    return any(_is_short(value) for node in _nodes(content) for value in node.attr.values())


def write_single_precision(folder: Path, signature: str, out: Path, name: str) -> None:
    """Writes a signature of a SavedModel with float32 in place of shorter floats.

    Args:
        folder: The SavedModel.
        signature: Which one.
        out: Folder of the new SavedModel.
        name: Of its signature.

    Raises:
        ModelError: The SavedModel is damaged.
    """
    # Held by a name: its variables are gone with it.
    loaded = load_saved_model(folder)
    function = loaded.signatures[signature]
    # Variables become constants: those of a short type are widened as any other tensor is.
    flat = convert_variables_to_constants_v2(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    content = flat.graph.as_graph_def()
    for definition in content.library.function:
        for argument in (*definition.signature.input_arg, *definition.signature.output_arg):
            argument.type = _wide(argument.type)
    # TensorFlow knows functions by their names, process-wide, and has the old ones already.
    renamed = {d.signature.name: f"{d.signature.name}_float32" for d in content.library.function}
    for definition in content.library.function:
        definition.signature.name = renamed[definition.signature.name]
    for node in _nodes(content):
        _widen(node, renamed)

    def imported() -> None:
        tf.graph_util.import_graph_def(content, name="")

    outputs = sorted(function.structured_outputs)
    answer = tf.compat.v1.wrap_function(imported, []).prune(
        feeds=[tensor.name for tensor in flat.inputs],
        fetches=dict(zip(outputs, (tensor.name for tensor in flat.outputs), strict=True)),
    )
    specs = [
        tf.TensorSpec(tensor.shape, tf.dtypes.as_dtype(_wide(tensor.dtype.as_datatype_enum)), given)
        for tensor, given in zip(flat.inputs, argument_names(function), strict=True)
    ]
    module = tf.Module()
    module.serve = tf.function(
        lambda *values: answer(*values), input_signature=specs, autograph=False
    )
    tf.saved_model.save(module, str(out), signatures={name: module.serve})


def _nodes(content: Any) -> Iterator[Any]:
    yield from content.node
    for definition in content.library.function:
        yield from definition.node_def


def _is_short(value: Any) -> bool:
    types = (value.type, *value.list.type, value.tensor.dtype)
    return any(each in _SHORT for each in types)


def _widen(node: Any, renamed: Mapping[str, str]) -> None:
    """Makes float32 of the short types of a node; a cast that changes nothing passes on."""
    node.op = renamed.get(node.op, node.op)
    for value in node.attr.values():
        _widen_value(value, renamed)
    if node.op == "Cast" and node.attr["SrcT"].type == node.attr["DstT"].type:
        kept = node.attr["SrcT"].type
        for name in ("SrcT", "DstT", "Truncate"):
            node.attr.pop(name, None)
        node.op = "Identity"
        node.attr["T"].CopyFrom(attr_value_pb2.AttrValue(type=kept))


def _widen_value(value: Any, renamed: Mapping[str, str]) -> None:
    kind = value.WhichOneof("value")
    if kind == "type":
        value.type = _wide(value.type)
    elif kind == "tensor" and value.tensor.dtype in _SHORT:
        numbers = tf.make_ndarray(value.tensor).astype("float32")
        value.tensor.CopyFrom(tf.make_tensor_proto(numbers))
    elif kind == "list":
        widened = [_wide(each) for each in value.list.type]
        del value.list.type[:]
        value.list.type.extend(widened)
    # Only then: asking a protocol buffer for a field of a union does not set it, writing does.
    for function in {"func": [value.func], "list": value.list.func}.get(kind, ()):
        function.name = renamed.get(function.name, function.name)
        for inner in function.attr.values():
            _widen_value(inner, renamed)


def _wide(kind: int) -> int:
    return _FLOAT if kind in _SHORT else kind
