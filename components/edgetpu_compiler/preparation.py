"""What does a .tflite file need to map to the Edge TPU, and which of it can be done exactly?

Every rewrite here leaves the numbers as they are: tests run the model before and after, in
TensorFlow Lite's own kernels. (XNNPACK rounds otherwise and takes other operators of the two, so
there they may differ by a step.) What would change numbers (a hard swish, float operators) is left,
and said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from components.edgetpu_compiler.analyser import analyse
from components.edgetpu_compiler.editing import Editor, integers
from components.edgetpu_compiler.interface import eight_bit_ends
from components.edgetpu_compiler.model import BROKEN, load, schema
from components.edgetpu_compiler.rules import edge_tpu_rules
from components.edgetpu_compiler.shape_folding import fold_shapes
from components.errors import ModelError
from components.storage import write_bytes


class RewriteKind(str, Enum):
    """What was changed."""

    BATCH_FIXED = "batch_fixed"
    SHAPE_FOLDED = "shape_folded"
    ACTIVATION_SEPARATED = "activation_separated"
    OPERATION_REPLACED = "operation_replaced"
    VERSION_LOWERED = "version_lowered"
    EIGHT_BIT_INPUT = "eight_bit_input"
    EIGHT_BIT_OUTPUT = "eight_bit_output"


class EndType(str, Enum):
    """Type that inputs and outputs should have; AS_INSIDE takes the type behind a float end."""

    AS_INSIDE = "as_inside"
    INT8 = "int8"
    UINT8 = "uint8"


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """One change: its kind, the tensor or operation that it is about, and a line of words."""

    kind: RewriteKind
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.name}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A prepared model.

    Attributes:
        content: The .tflite file; the same bytes when nothing was to be done.
        rewrites: What was changed, in order.
        left: What stands in the way and cannot be changed exactly, a line each.
    """

    content: bytes
    rewrites: tuple[Rewrite, ...]
    left: tuple[str, ...]


def prepare(content: bytes, *, ends: EndType = EndType.AS_INSIDE) -> Prepared:
    """Prepares a model for the Edge TPU compiler.

    Args:
        content: A .tflite file.
        ends: Type of inputs and outputs; float ones with a QUANTIZE or DEQUANTIZE behind them
            become 8 bit, so the caller quantises with the scale that the tensor then carries.

    Raises:
        ModelError: The bytes are no whole TensorFlow Lite model, or one that no runtime could run.
    """
    editor = Editor(content)
    try:
        rewrites = _rewrite(editor, None if ends is EndType.AS_INSIDE else ends.value.upper())
        left = _left(editor)
        prepared = editor.content() if rewrites else content
    except BROKEN as error:
        raise ModelError(
            "Expected a TensorFlow Lite model whose operators have the inputs and options of "
            f"their kind, received one that lacks some ({error}). Convert the model again."
        ) from error
    return Prepared(content=prepared, rewrites=tuple(rewrites), left=tuple(left))


def _rewrite(editor: Editor, wanted: str | None) -> list[Rewrite]:
    """Makes all changes; `wanted` is the type of the ends."""
    rewrites: list[Rewrite] = []
    for step in (_fix_batch, _fold, _separate_activations, _replace_operations, _lower_versions):
        rewrites += step(editor)
    for name, detail, is_input in eight_bit_ends(editor, wanted):
        kind = RewriteKind.EIGHT_BIT_INPUT if is_input else RewriteKind.EIGHT_BIT_OUTPUT
        rewrites.append(Rewrite(kind=kind, name=name, detail=detail))
    return rewrites


def prepare_file(
    source: str | Path, target: str | Path, *, ends: EndType = EndType.AS_INSIDE
) -> Prepared:
    """Prepares a file into another one, which is written whole.

    Raises:
        ModelError: The source is absent or no whole TensorFlow Lite model.
    """
    prepared = prepare(load(source), ends=ends)
    write_bytes(str(target), prepared.content)
    return prepared


def prepared_share(path: str | Path) -> float:
    """Returns the share of a model's operators that map once it is prepared: 0 to 1.

    Raises:
        ModelError: The file is absent or no whole TensorFlow Lite model.
    """
    return analyse(prepare(load(path)).content).mapped_share


def _fix_batch(editor: Editor) -> list[Rewrite]:
    """Closes a batch dimension that the converter left open; its shape says 1 already."""
    opened = []
    for index, tensor in enumerate(editor.graph.tensors):
        signature, shape = integers(tensor.shapeSignature), editor.shape(index)
        only_batch = -1 in signature[:1] and -1 not in signature[1:]
        if only_batch and shape[:1] == [1]:
            tensor.shapeSignature = None
            opened.append(index)
    ends = [index for index in integers(editor.graph.inputs) if index in opened]
    named = ", ".join(editor.name(index) for index in ends)
    if not opened:
        return []
    return [
        Rewrite(
            kind=RewriteKind.BATCH_FIXED,
            name=named or editor.name(opened[0]),
            detail=f"batch fixed at 1 in {len(opened)} tensors",
        )
    ]


def _fold(editor: Editor) -> list[Rewrite]:
    return [
        Rewrite(kind=RewriteKind.SHAPE_FOLDED, name=name, detail="is a constant now")
        for name in fold_shapes(editor)
    ]


def _separate_activations(editor: Editor) -> list[Rewrite]:
    """Gives a fused activation its own operator where the Edge TPU takes no fused one.

    Exact: a kernel clamps to the activation's range in the scale of the output, after rounding,
    and so does the separate operator on that very scale.
    """
    rewrites = []
    for operator in list(editor.graph.operators):
        if editor.op(operator) not in ("TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
            continue
        activation = _ACTIVATIONS.get(_option(operator, "fusedActivationFunction"))
        output = integers(operator.outputs)[0]
        if activation is None or editor.type(output) not in ("INT8", "UINT8"):
            continue
        before = editor.add_like(output, "_before_activation")
        operator.outputs = [before]
        operator.builtinOptions.fusedActivationFunction = 0
        version = 2 if editor.type(output) == "INT8" and activation != "RELU_N1_TO_1" else 1
        editor.insert(editor.position(operator) + 1, activation, version, [before], [output])
        rewrites.append(
            Rewrite(
                kind=RewriteKind.ACTIVATION_SEPARATED,
                name=editor.name(output),
                detail=f"{activation} after {editor.op(operator)} is an operator of its own",
            )
        )
    return rewrites


def _replace_operations(editor: Editor) -> list[Rewrite]:
    """Replaces operations that the Edge TPU lacks by ones that compute the same."""
    rewrites = []
    for operator in list(editor.graph.operators):
        replace = _REPLACEMENTS.get(editor.op(operator))
        detail = replace(editor, operator) if replace is not None else None
        if detail is not None:
            name = editor.name(integers(operator.outputs)[0])
            rewrites.append(Rewrite(kind=RewriteKind.OPERATION_REPLACED, name=name, detail=detail))
    return rewrites


def _leaky_relu(editor: Editor, operator: Any) -> str | None:
    """LEAKY_RELU as PRELU with one slope.

    Exact: both multiply what is below zero by one fixed-point number made of
    input_scale * slope / output_scale (tensorflow/lite/kernels/activations.cc); the slope is 1 in
    the scale `alpha`.
    """
    source, output = integers(operator.inputs)[0], integers(operator.outputs)[0]
    types = {editor.type(source), editor.type(output)}
    alpha = float(operator.builtinOptions.alpha)
    if len(types) != 1 or not types <= {"INT8", "UINT8"} or alpha <= 0:
        return None
    shape = editor.shape(source)
    # One slope a channel; the batch is no dimension of it.
    slopes = np.ones([1] * max(len(shape) - 2, 0) + shape[-1:], types.pop().lower())
    slope = editor.add_constant(f"{editor.name(output)}_slope", slopes, scale=alpha)
    operator.inputs = [source, slope]
    editor.set_operation(operator, "PRELU", 1)
    editor.set_options(operator, None)
    return f"LEAKY_RELU of slope {alpha:g} is a PRELU"


def _split_v(editor: Editor, operator: Any) -> str | None:
    """SPLIT_V into equal parts as SPLIT. Exact: nothing is computed."""
    source, sizes, axis = integers(operator.inputs)
    parts = editor.constant(sizes)
    if parts is None or editor.constant(axis) is None or len(set(parts.ravel().tolist())) != 1:
        return None
    if editor.type(source) not in ("INT8", "UINT8") or int(parts.ravel()[0]) < 0:
        return None
    options = schema().SplitOptionsT()
    options.numSplits = parts.size
    operator.inputs = [axis, source]
    editor.set_operation(operator, "SPLIT", 2 if editor.type(source) == "INT8" else 1)
    editor.set_options(operator, options)
    return f"SPLIT_V into {parts.size} equal parts is a SPLIT"


def _lower_versions(editor: Editor) -> list[Rewrite]:
    """Writes the lowest version that has an operator's attributes, where a newer one is refused.

    Versions by attribute: tensorflow/lite/tools/versioning/op_version.cc.
    """
    rewrites = []
    for operator in editor.graph.operators:
        op, version = editor.op(operator), editor.version(operator)
        refused = edge_tpu_rules().unreadable.get(op)
        if refused is None or version < refused:
            continue
        if (needed := _NEEDED[op](editor, operator)) < refused:
            editor.set_operation(operator, op, needed)
            rewrites.append(
                Rewrite(
                    kind=RewriteKind.VERSION_LOWERED,
                    name=editor.name(integers(operator.outputs)[0]),
                    detail=f"{op} version {version} is version {needed}",
                )
            )
    return rewrites


def _transpose_conv_version(editor: Editor, operator: Any) -> int:
    inputs = integers(operator.inputs)
    if _option(operator, "fusedActivationFunction"):
        return 4
    if len(inputs) == 4 and inputs[3] != -1:
        return 3
    return 2 if editor.type(inputs[1]) == "INT8" else 1


def _quantize_version(editor: Editor, operator: Any) -> int:
    source, output = integers(operator.inputs)[0], integers(operator.outputs)[0]
    if len(editor.quantization(output)[0]) > 1:
        return 3
    return 2 if "INT16" in (editor.type(source), editor.type(output)) else 1


def _exp_version(editor: Editor, operator: Any) -> int:
    return 1 if editor.type(integers(operator.inputs)[0]) == "FLOAT32" else 2


def _conv_version(editor: Editor, operator: Any) -> int:
    data, weights = integers(operator.inputs)[:2]
    types = (editor.type(data), editor.type(weights))
    if editor.shape(data)[-1:] != editor.shape(weights)[-1:]:
        return 6
    return {("INT8", "INT8"): 3, ("UINT8", "UINT8"): 1}.get(types, editor.version(operator))


def _left(editor: Editor) -> list[str]:
    """Says what stands in the way still."""
    left = []
    unreadable = edge_tpu_rules().unreadable
    for operator in editor.graph.operators:
        op, version = editor.op(operator), editor.version(operator)
        if version >= unreadable.get(op, version + 1):
            left.append(
                f"{op} version {version} is refused by the compiler, and an older version does "
                f"not compute {editor.name(integers(operator.outputs)[0])}"
            )
    for index in [*integers(editor.graph.inputs), *integers(editor.graph.outputs)]:
        if editor.type(index) not in ("INT8", "UINT8"):
            left.append(f"{editor.name(index)} is {editor.type(index).lower()}, not 8 bit")
        shape = editor.shape(index)
        if len(shape) > 1 and shape[0] > 1 and index in integers(editor.graph.inputs):
            left.append(f"{editor.name(index)} has a batch of {shape[0]}; convert with batch 1")
    return left


def _option(operator: Any, name: str) -> int:
    return int(getattr(operator.builtinOptions, name, 0) or 0)


# Values of the schema's ActivationFunctionType that are operations of their own.
_ACTIVATIONS = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
_REPLACEMENTS: dict[str, Callable[[Editor, Any], str | None]] = {
    "LEAKY_RELU": _leaky_relu,
    "SPLIT_V": _split_v,
}
_NEEDED: dict[str, Callable[[Editor, Any], int]] = {
    "CONV_2D": _conv_version,
    "EXP": _exp_version,
    "QUANTIZE": _quantize_version,
    "TRANSPOSE_CONV": _transpose_conv_version,
}
