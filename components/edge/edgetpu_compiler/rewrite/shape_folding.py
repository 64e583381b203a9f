"""Shapes that a graph computes at run time, folded into constants where they are known.

A converter that was not told the batch size writes SHAPE, STRIDED_SLICE and PACK in front of a
RESHAPE. With the batch fixed at 1 they are constants. Folding them is exact.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfx_loop.edge.edgetpu_compiler.rewrite.editor import TFLiteEditor, integers

Array = np.ndarray[Any, Any]


def fold_shapes(editor: TFLiteEditor) -> list[str]:
    """Replaces integer computations whose inputs are known by constants.

    Returns:
        Names of the tensors that became constants.
    """
    folded: list[str] = []
    gone = []
    for operator in list(editor.graph.operators):
        outputs = integers(operator.outputs)
        # Shapes and sizes are whole numbers; folding weights would be another model.
        if len(outputs) != 1 or editor.type(outputs[0]) not in ("INT32", "INT64"):
            continue
        # An output that is a constant would leave the model without an operator that writes it.
        if outputs[0] in integers(editor.graph.outputs):
            continue
        values = _evaluate(editor, operator)
        if values is None:
            continue
        editor.make_constant(outputs[0], values)
        folded.append(editor.name(outputs[0]))
        gone.append(operator)
    editor.remove(gone)
    return folded


def _evaluate(editor: TFLiteEditor, operator: Any) -> Array | None:
    """Returns what an operator computes; None where that is not known here."""
    op = editor.op(operator)
    if op == "SHAPE":
        source = integers(operator.inputs)[0]
        signature = integers(editor.tensor(source).shapeSignature)
        # int64 here; `make_constant` writes the type that the graph declares.
        return None if -1 in signature else np.asarray(editor.shape(source), np.int64)
    function = _FUNCTIONS.get(op)
    if function is None:
        return None
    # Constants of this round count as well: SHAPE, STRIDED_SLICE and PACK follow each other.
    inputs = [editor.constant(index) if index >= 0 else None for index in integers(operator.inputs)]
    if not inputs or any(values is None for values in inputs):
        return None
    try:
        return function(operator.builtinOptions, [v for v in inputs if v is not None])
    except (IndexError, ValueError):
        # Shapes that do not fit each other: the model is wrong, and LiteRT will say how.
        return None


def _strided_slice(options: Any, inputs: list[Array]) -> Array | None:
    values, begin, end, strides = inputs
    # Converters write none of them for shapes: left alone rather than guessed.
    if options.ellipsisMask or options.newAxisMask or getattr(options, "offset", False):
        return None
    slices: list[slice | int] = []
    for axis, (first, last, step) in enumerate(
        zip(begin.ravel(), end.ravel(), strides.ravel(), strict=True)
    ):
        # A bit an axis: the axis is taken at one place and dropped.
        if options.shrinkAxisMask >> axis & 1:
            slices.append(int(first))
            continue
        slices.append(
            slice(
                None if options.beginMask >> axis & 1 else int(first),
                None if options.endMask >> axis & 1 else int(last),
                int(step),
            )
        )
    return np.asarray(values[tuple(slices)])


def _pack(options: Any, inputs: list[Array]) -> Array:
    return np.stack(inputs, axis=options.axis)


def _concatenation(options: Any, inputs: list[Array]) -> Array:
    return np.concatenate(inputs, axis=options.axis)


def _product(options: Any, inputs: list[Array]) -> Array:
    axes = tuple(int(axis) for axis in inputs[1].ravel())
    return np.asarray(np.prod(inputs[0], axis=axes, keepdims=bool(options.keepDims)))


_FUNCTIONS: Mapping[str, Callable[[Any, list[Array]], Array | None]] = {
    "ADD": lambda options, inputs: inputs[0] + inputs[1],
    "CONCATENATION": _concatenation,
    "MUL": lambda options, inputs: inputs[0] * inputs[1],
    "PACK": _pack,
    "REDUCE_PROD": _product,
    "STRIDED_SLICE": _strided_slice,
    "SUB": lambda options, inputs: inputs[0] - inputs[1],
}
