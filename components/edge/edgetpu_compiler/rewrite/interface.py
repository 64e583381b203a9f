"""Float inputs and outputs of a model made 8 bit.

A float input or output with one QUANTIZE or DEQUANTIZE behind it loses that operator: the caller
quantises instead, with the scale and zero point that the tensor then carries, so the numbers stay
the same.
"""

from typing import Any

from tfx_loop.edge.edgetpu_compiler.rewrite.editor import TFLiteEditor, integers

_EIGHT_BIT = ("INT8", "UINT8")
# int8 and uint8 of one scale differ by this in value and in zero point.
_SHIFT = 128


def eight_bit_interface(editor: TFLiteEditor, wanted: str | None) -> list[tuple[str, str, bool]]:
    """Makes inputs and outputs 8 bit, exactly, where that is possible.

    Args:
        editor: The model.
        wanted: INT8 or UINT8; None takes the type behind a float one and leaves 8-bit ones alone.

    Returns:
        Name, what was done, and whether it is an input, of each that changed.
    """
    changed = []
    for index in list(dict.fromkeys(integers(editor.graph.inputs))):
        if (detail := _input(editor, index, wanted)) is not None:
            changed.append((detail[0], detail[1], True))
    for index in list(dict.fromkeys(integers(editor.graph.outputs))):
        if (detail := _output(editor, index, wanted)) is not None:
            changed.append((detail[0], detail[1], False))
    return changed


def _input(editor: TFLiteEditor, index: int, wanted: str | None) -> tuple[str, str] | None:
    name, kind = editor.name(index), editor.type(index)
    if kind in _EIGHT_BIT:
        if wanted in (None, kind):
            return None
        _shift_input(editor, index, str(wanted))
        return name, f"{kind.lower()} is {str(wanted).lower()}"
    consumers = editor.consumers(index)
    # With a second reader, or as an output, the float values themselves are still needed.
    if kind != "FLOAT32" or len(consumers) != 1 or index in integers(editor.graph.outputs):
        return None
    inner = _quantised_neighbour(editor, consumers[0], "QUANTIZE", integers(consumers[0].outputs))
    if inner is None:
        return None
    target = wanted or editor.type(inner)
    if target == editor.type(inner):
        editor.remove(consumers)
        _swap_names(editor, index, inner)
        editor.set_interface(index, inner, inputs=True)
    else:
        _retype_other(editor, index, inner, target)
    return name, f"float32 is {target.lower()}"


def _output(editor: TFLiteEditor, index: int, wanted: str | None) -> tuple[str, str] | None:
    name, kind = editor.name(index), editor.type(index)
    producer = editor.producer(index)
    if kind in _EIGHT_BIT:
        if wanted in (None, kind) or producer is None:
            return None
        _shift_output(editor, index, str(wanted))
        return name, f"{kind.lower()} is {str(wanted).lower()}"
    # An inner reader still needs the float values.
    if kind != "FLOAT32" or producer is None or editor.consumers(index):
        return None
    inner = _quantised_neighbour(editor, producer, "DEQUANTIZE", integers(producer.inputs))
    # A tensor that is an output already would be the same output twice.
    if inner is None or inner in integers(editor.graph.outputs):
        return None
    target = wanted or editor.type(inner)
    if target == editor.type(inner):
        # A constant or an input passed through: without the operator nothing would write the
        # output.
        if editor.producer(inner) is None:
            return None
        editor.remove([producer])
        _swap_names(editor, index, inner)
        editor.set_interface(index, inner, inputs=False)
    else:
        _retype_other(editor, index, inner, target)
        # A QUANTIZE between two 8-bit types requantises; of one scale it only moves the zero point.
        editor.set_operation(producer, "QUANTIZE", 1)
        editor.set_options(producer, None)
    return name, f"float32 is {target.lower()}"


def _quantised_neighbour(
    editor: TFLiteEditor, operator: Any, op: str, tensors: list[int]
) -> int | None:
    """Returns the 8-bit tensor on the other side of a QUANTIZE or DEQUANTIZE."""
    if editor.op(operator) != op or len(tensors) != 1:
        return None
    scales, _ = editor.quantization(tensors[0])
    return tensors[0] if editor.type(tensors[0]) in _EIGHT_BIT and len(scales) == 1 else None


def _retype_other(editor: TFLiteEditor, index: int, inner: int, target: str) -> None:
    """Makes a float input or output the 8-bit type that is not inside; a QUANTIZE converts."""
    scales, zero_points = editor.quantization(inner)
    # real = (q - zero_point) * scale: adding 128 to both leaves every real value as it is.
    shift = _SHIFT if target == "UINT8" else -_SHIFT
    editor.retype(index, target, zero_points[0] + shift, scales[0])


def _shift_input(editor: TFLiteEditor, index: int, target: str) -> None:
    """Puts a QUANTIZE behind an 8-bit input, so that it takes the other type."""
    # The new end takes the name that callers know, the old one a name with its type.
    end = editor.add_like(index, "")
    _retype_other(editor, end, index, target)
    editor.rename(index, f"{editor.name(index)}_{editor.type(index).lower()}")
    editor.insert(0, "QUANTIZE", 1, [end], [index])
    editor.set_interface(index, end, inputs=True)


def _shift_output(editor: TFLiteEditor, index: int, target: str) -> None:
    """Puts a QUANTIZE behind an 8-bit output, so that it gives the other type."""
    end = editor.add_like(index, "")
    _retype_other(editor, end, index, target)
    editor.rename(index, f"{editor.name(index)}_{editor.type(index).lower()}")
    editor.insert(len(editor.graph.operators), "QUANTIZE", 1, [index], [end])
    editor.set_interface(index, end, inputs=False)


def _swap_names(editor: TFLiteEditor, outer: int, inner: int) -> None:
    """Keeps the name that callers know."""
    name = editor.name(outer)
    editor.rename(outer, f"{name}_float32")
    editor.rename(inner, name)
