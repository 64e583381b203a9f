"""Preparation of a .tflite file for the Edge TPU: what can be rewritten exactly is.

Every rewrite here leaves the numbers as they are: tests run the model before and after, in
TensorFlow Lite's own kernels. (XNNPACK rounds otherwise and takes other operators of the two, so
there they may differ by a step.) What would change numbers (a hard swish, float operators) is left,
and said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tfx_loop.core.errors import ModelError
from tfx_loop.core.storage import write_bytes
from tfx_loop.edge.edgetpu_compiler.rewrite.editor import TFLiteEditor, integers
from tfx_loop.edge.edgetpu_compiler.rewrite.interface import eight_bit_interface
from tfx_loop.edge.edgetpu_compiler.rewrite.operator_versions import lower_versions
from tfx_loop.edge.edgetpu_compiler.rewrite.replacements import (
    replace_operations,
    separate_activations,
)
from tfx_loop.edge.edgetpu_compiler.rewrite.shape_folding import fold_shapes
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import edge_tpu_rules
from tfx_loop.models.tflite.reading import load
from tfx_loop.models.tflite.schema import BROKEN


class RewriteKind(str, Enum):
    """What was changed."""

    BATCH_FIXED = "batch_fixed"
    SHAPE_FOLDED = "shape_folded"
    ACTIVATION_SEPARATED = "activation_separated"
    OPERATION_REPLACED = "operation_replaced"
    VERSION_LOWERED = "version_lowered"
    EIGHT_BIT_INPUT = "eight_bit_input"
    EIGHT_BIT_OUTPUT = "eight_bit_output"


class InterfaceType(str, Enum):
    """Type that inputs and outputs should have; AS_INSIDE takes the type behind a float one."""

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
class PreparedModel:
    """A prepared model.

    Attributes:
        content: The .tflite file; the same bytes when nothing was to be done.
        rewrites: What was changed, in order.
        obstacles: What stands in the way and cannot be changed exactly, a line each.
    """

    content: bytes
    rewrites: tuple[Rewrite, ...]
    obstacles: tuple[str, ...]


def prepare(content: bytes, *, interface: InterfaceType = InterfaceType.AS_INSIDE) -> PreparedModel:
    """Prepares a model for the Edge TPU compiler.

    Args:
        content: A .tflite file.
        interface: Type of inputs and outputs; float ones with a QUANTIZE or DEQUANTIZE behind them
            become 8 bit, so the caller quantises with the scale that the tensor then carries.

    Raises:
        ModelError: The bytes are no whole TensorFlow Lite model, or one that no runtime could run.
    """
    editor = TFLiteEditor(content)
    try:
        rewrites = _rewrite(
            editor, None if interface is InterfaceType.AS_INSIDE else interface.value.upper()
        )
        obstacles = _obstacles(editor)
        # Unchanged bytes, where nothing was done: packing again would reorder the file.
        prepared = editor.content() if rewrites else content
    except BROKEN as error:
        raise ModelError(
            "Expected a TensorFlow Lite model whose operators have the inputs and options of "
            f"their kind, received one that lacks some ({error}). Convert the model again."
        ) from error
    return PreparedModel(content=prepared, rewrites=tuple(rewrites), obstacles=tuple(obstacles))


def _rewrite(editor: TFLiteEditor, wanted: str | None) -> list[Rewrite]:
    """Makes all changes; `wanted` is the type of inputs and outputs."""
    # Before all else: shapes fold into constants only where the batch is known.
    rewrites = _fix_batch(editor)
    for kind, step in _STEPS:
        rewrites += [Rewrite(kind=kind, name=name, detail=done) for name, done in step(editor)]
    for name, detail, is_input in eight_bit_interface(editor, wanted):
        kind = RewriteKind.EIGHT_BIT_INPUT if is_input else RewriteKind.EIGHT_BIT_OUTPUT
        rewrites.append(Rewrite(kind=kind, name=name, detail=detail))
    return rewrites


def prepare_file(
    source: str | Path, target: str | Path, *, interface: InterfaceType = InterfaceType.AS_INSIDE
) -> PreparedModel:
    """Prepares a file into another one, which is written whole.

    Raises:
        ModelError: The source is absent or no whole TensorFlow Lite model.
    """
    prepared = prepare(load(source), interface=interface)
    write_bytes(str(target), prepared.content)
    return prepared


def prepared_share(path: str | Path) -> float:
    """Returns the share of a model's operators that map once it is prepared: 0 to 1.

    Raises:
        ModelError: The file is absent or no whole TensorFlow Lite model.
    """
    return analyse(prepare(load(path)).content).mapped_share


def _fix_batch(editor: TFLiteEditor) -> list[Rewrite]:
    """Closes a batch dimension that the converter left open; its shape says 1 already."""
    opened = []
    for index, tensor in enumerate(editor.graph.tensors):
        signature, shape = integers(tensor.shapeSignature), editor.shape(index)
        # Any other open size changes what is computed; closing it would be a guess.
        only_batch = -1 in signature[:1] and -1 not in signature[1:]
        if only_batch and shape[:1] == [1]:
            tensor.shapeSignature = None
            opened.append(index)
    inputs = [index for index in integers(editor.graph.inputs) if index in opened]
    named = ", ".join(editor.name(index) for index in inputs)
    if not opened:
        return []
    return [
        Rewrite(
            kind=RewriteKind.BATCH_FIXED,
            name=named or editor.name(opened[0]),
            detail=f"batch fixed at 1 in {len(opened)} tensors",
        )
    ]


def _fold(editor: TFLiteEditor) -> list[tuple[str, str]]:
    return [(name, "is a constant now") for name in fold_shapes(editor)]


def _obstacles(editor: TFLiteEditor) -> list[str]:
    """Says what stands in the way still."""
    obstacles = []
    unreadable = edge_tpu_rules().unreadable
    for operator in editor.graph.operators:
        op, version = editor.op(operator), editor.version(operator)
        if version >= unreadable.get(op, version + 1):
            obstacles.append(
                f"{op} version {version} is refused by the compiler, and an older version does "
                f"not compute {editor.name(integers(operator.outputs)[0])}"
            )
    for index in [*integers(editor.graph.inputs), *integers(editor.graph.outputs)]:
        if editor.type(index) not in ("INT8", "UINT8"):
            obstacles.append(f"{editor.name(index)} is {editor.type(index).lower()}, not 8 bit")
        shape = editor.shape(index)
        # The Edge TPU takes one row at a time; a larger batch maps to nothing.
        if len(shape) > 1 and shape[0] > 1 and index in integers(editor.graph.inputs):
            obstacles.append(
                f"{editor.name(index)} has a batch of {shape[0]}; convert with batch 1"
            )
    return obstacles


# Shapes first, as folding takes operators out; versions last, as the other steps put some in.
_STEPS: tuple[tuple[RewriteKind, Callable[[TFLiteEditor], list[tuple[str, str]]]], ...] = (
    (RewriteKind.SHAPE_FOLDED, _fold),
    (RewriteKind.ACTIVATION_SEPARATED, separate_activations),
    (RewriteKind.OPERATION_REPLACED, replace_operations),
    (RewriteKind.VERSION_LOWERED, lower_versions),
)
