"""Operator versions lowered to those that the Edge TPU compiler reads."""

from collections.abc import Callable
from typing import Any

from tfx_loop.edge.edgetpu_compiler.rewrite.editor import TFLiteEditor, integers, option
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import edge_tpu_rules


def lower_versions(editor: TFLiteEditor) -> list[tuple[str, str]]:
    """Writes the lowest version that has an operator's attributes, where a newer one is refused.

    Versions by attribute: tensorflow/lite/tools/versioning/op_version.cc.

    Returns:
        Name of its output and what was done, of each operator that changed.
    """
    changed = []
    for operator in editor.graph.operators:
        op, version = editor.op(operator), editor.version(operator)
        refused = edge_tpu_rules().unreadable.get(op)
        # A version that the compiler reads is left: lowering it further would gain nothing.
        if refused is None or version < refused:
            continue
        if (needed := _NEEDED[op](editor, operator)) < refused:
            editor.set_operation(operator, op, needed)
            detail = f"{op} version {version} is version {needed}"
            changed.append((editor.name(integers(operator.outputs)[0]), detail))
    return changed


def _transpose_conv_version(editor: TFLiteEditor, operator: Any) -> int:
    inputs = integers(operator.inputs)
    # An activation of its own came with version 4.
    if option(operator, "fusedActivationFunction"):
        return 4
    # The bias, the fourth input, came with version 3; -1 is how TFLite writes an input left out.
    if len(inputs) == 4 and inputs[3] != -1:
        return 3
    return 2 if editor.type(inputs[1]) == "INT8" else 1


def _quantize_version(editor: TFLiteEditor, operator: Any) -> int:
    source, output = integers(operator.inputs)[0], integers(operator.outputs)[0]
    # More scales than one are per channel, which version 3 brought.
    if len(editor.quantization(output)[0]) > 1:
        return 3
    return 2 if "INT16" in (editor.type(source), editor.type(output)) else 1


def _exp_version(editor: TFLiteEditor, operator: Any) -> int:
    return 1 if editor.type(integers(operator.inputs)[0]) == "FLOAT32" else 2


def _conv_version(editor: TFLiteEditor, operator: Any) -> int:
    data, weights = integers(operator.inputs)[:2]
    types = (editor.type(data), editor.type(weights))
    # Fewer input channels in the filter than in the data: a grouped convolution, version 6.
    if editor.shape(data)[-1:] != editor.shape(weights)[-1:]:
        return 6
    return {("INT8", "INT8"): 3, ("UINT8", "UINT8"): 1}.get(types, editor.version(operator))


# As TensorFlow's tools/versioning/op_version.cc numbers them.
_NEEDED: dict[str, Callable[[TFLiteEditor, Any], int]] = {
    "CONV_2D": _conv_version,
    "EXP": _exp_version,
    "QUANTIZE": _quantize_version,
    "TRANSPOSE_CONV": _transpose_conv_version,
}
