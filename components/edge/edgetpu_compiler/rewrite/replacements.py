"""Operators that the Edge TPU does not take, replaced by ones that compute the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfx_loop.edge.edgetpu_compiler.rewrite.editor import TFLiteEditor, integers, option
from tfx_loop.models.tflite.schema import schema

# Values of the schema's ActivationFunctionType that are operations of their own.
_ACTIVATIONS = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}


def separate_activations(editor: TFLiteEditor) -> list[tuple[str, str]]:
    """Gives a fused activation its own operator where the Edge TPU takes no fused one.

    Exact: a kernel clamps to the activation's range in the scale of the output, after rounding,
    and so does the separate operator on that very scale.

    Returns:
        Name of its output and what was done, of each operator that changed.
    """
    changed = []
    for operator in list(editor.graph.operators):
        # The operations whose fused activation the documentation excludes or the compiler's version
        # lacks.
        if editor.op(operator) not in ("TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
            continue
        activation = _ACTIVATIONS.get(option(operator, "fusedActivationFunction"))
        output = integers(operator.outputs)[0]
        # Float operators stay on the CPU either way.
        if activation is None or editor.type(output) not in ("INT8", "UINT8"):
            continue
        before = editor.add_like(output, "_before_activation")
        operator.outputs = [before]
        operator.builtinOptions.fusedActivationFunction = 0
        # Version 2 of RELU and RELU6 brought int8 (tools/versioning/op_version.cc).
        version = 2 if editor.type(output) == "INT8" and activation != "RELU_N1_TO_1" else 1
        editor.insert(editor.position(operator) + 1, activation, version, [before], [output])
        detail = f"{activation} after {editor.op(operator)} is an operator of its own"
        changed.append((editor.name(output), detail))
    return changed


def replace_operations(editor: TFLiteEditor) -> list[tuple[str, str]]:
    """Replaces operations that the Edge TPU lacks; returns as `separate_activations`."""
    changed = []
    for operator in list(editor.graph.operators):
        replace = _REPLACEMENTS.get(editor.op(operator))
        detail = replace(editor, operator) if replace is not None else None
        if detail is not None:
            changed.append((editor.name(integers(operator.outputs)[0]), detail))
    return changed


def _leaky_relu(editor: TFLiteEditor, operator: Any) -> str | None:
    """LEAKY_RELU as PRELU with one slope.

    Exact: both multiply what is below zero by one fixed-point number made of
    input_scale * slope / output_scale (tensorflow/lite/kernels/activations.cc); the slope is 1 in
    the scale `alpha`.
    """
    source, output = integers(operator.inputs)[0], integers(operator.outputs)[0]
    types = {editor.type(source), editor.type(output)}
    alpha = float(operator.builtinOptions.alpha)
    # A slope of 0 or below has no scale: scales are positive.
    if len(types) != 1 or not types <= {"INT8", "UINT8"} or alpha <= 0:
        return None
    shape = editor.shape(source)
    # One slope a channel; the batch is no dimension of it.
    # Ones of scale alpha are the slope to the last bit of a float32.
    slopes = np.ones([1] * max(len(shape) - 2, 0) + shape[-1:], types.pop().lower())
    slope = editor.add_constant(f"{editor.name(output)}_slope", slopes, scale=alpha)
    operator.inputs = [source, slope]
    editor.set_operation(operator, "PRELU", 1)
    editor.set_options(operator, None)
    return f"LEAKY_RELU of slope {alpha:g} is a PRELU"


def _split_v(editor: TFLiteEditor, operator: Any) -> str | None:
    """SPLIT_V into equal parts as SPLIT. Exact: nothing is computed."""
    source, sizes, axis = integers(operator.inputs)
    parts = editor.constant(sizes)
    if parts is None or editor.constant(axis) is None or len(set(parts.ravel().tolist())) != 1:
        return None
    # -1 among the sizes means "the rest", which has no number here.
    if editor.type(source) not in ("INT8", "UINT8") or int(parts.ravel()[0]) < 0:
        return None
    options = schema().SplitOptionsT()
    options.numSplits = parts.size
    # SPLIT takes the axis first, SPLIT_V last.
    operator.inputs = [axis, source]
    editor.set_operation(operator, "SPLIT", 2 if editor.type(source) == "INT8" else 1)
    editor.set_options(operator, options)
    return f"SPLIT_V into {parts.size} equal parts is a SPLIT"


_REPLACEMENTS: dict[str, Callable[[TFLiteEditor, Any], str | None]] = {
    "LEAKY_RELU": _leaky_relu,
    "SPLIT_V": _split_v,
}
