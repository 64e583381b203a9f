"""Look at a .tflite file: custom operators, memory, and graphs that call each other.

`tflite.reading` has checked offsets, sizes and indices before.
"""

import graphlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.models.guard import limits
from tfx_loop.models.guard.archive import scan_directory
from tfx_loop.models.guard.findings import Finding, Harm
from tfx_loop.models.guard.graph import text
from tfx_loop.models.guard.messages import parse
from tfx_loop.models.guard.operations import file_of, harm_of
from tfx_loop.models.guard.tflite_sizes import computed_bytes
from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP, Operator, TFLiteModel
from tfx_loop.models.tflite.reading import read_model

# Custom operators that every TFLite interpreter brings along (tensorflow/lite/kernels/register.cc).
COMMON_CUSTOM_OPS = frozenset(
    {"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"}
)
# Of the Edge TPU's runtime (coral/posenet/posenet_decoder_op.cc).
_CORAL_CUSTOM_OPS = frozenset({EDGETPU_CUSTOM_OP, "PosenetDecoderOp"})
FLEX = "Flex"
_CONVERT = "Convert the model without it"


def scan_tflite(path: Path, where: Path) -> Iterator[Finding]:
    """Yields what makes a .tflite file unsafe.

    Args:
        path: The file.
        where: Its name for messages.

    Raises:
        ModelError: It is damaged.
    """
    model = read_model(path, where=str(where))
    if zipfile.is_zipfile(path):
        # Labels and other files of TensorFlow Lite's metadata stand behind the model.
        yield from scan_directory(path, appended=True)
    for name in model.custom_ops:
        if name not in COMMON_CUSTOM_OPS | _CORAL_CUSTOM_OPS:
            yield from _custom(name, f"operator {name!r}", name.removeprefix(FLEX))
    for named in model.external_files:
        yield Finding(
            part="external buffers",
            found=f"constants in the file {named[:80]!r}",
            harm=Harm.READS,
            remedy="Convert the model with its constants in it",
        )
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            if operator.custom.startswith(FLEX):
                yield from _flex(number, operator)
        arena, largest = computed_bytes(graph)
        if arena > limits.MAX_ARENA_BYTES:
            at = f", most of them by operator {largest}" if graph.operators else ""
            yield Finding(
                part=f"subgraph {number}",
                found=f"tensors of {arena >> 20} MiB{at}",
                harm=Harm.EXHAUSTS,
                remedy="Convert the model with smaller inputs",
            )
    yield from _calls(model)


def _custom(name: str, part: str, operation: str) -> Iterator[Finding]:
    """Yields a custom operator that is not TFLite's; Flex ones are operations of TensorFlow."""
    harm = harm_of(operation) if name.startswith(FLEX) else Harm.UNKNOWN
    if harm is not None:
        yield Finding(
            part=part, found=f"the custom op {name}", harm=harm, remedy=_CONVERT, allow=name
        )


def _flex(number: int, operator: Operator) -> Iterator[Finding]:
    """Yields what a Flex operator runs: the node in its options, whatever it is called."""
    part = f"operator {operator.index} of subgraph {number}"
    try:
        named, node = _flex_node(operator.custom_options)
    except ValueError as error:
        yield Finding(
            part=part,
            found=f"{operator.custom} with options that cannot be read ({error})",
            harm=Harm.UNKNOWN,
            remedy=_CONVERT,
        )
        return
    operation = text(node.op)
    if {named, operation} != {operator.custom.removeprefix(FLEX)}:
        found, harm, allow = f"{operator.custom} that runs {operation!r}", Harm.AMBIGUOUS, ""
    elif len({entry.key for entry in node.attr}) < len(node.attr):
        found, harm, allow = f"{operator.custom} with an attribute twice", Harm.AMBIGUOUS, ""
    elif (file := file_of(node)) is not None:
        found, harm, allow = f"{operator.custom} of {file[1]}", file[0], operator.custom
    else:
        return
    yield Finding(part=part, found=found, harm=harm, remedy=_CONVERT, allow=allow)


def _flex_node(options: bytes) -> tuple[str, Any]:
    """Returns the operation's name and its node (tensorflow/lite/delegates/flex/kernel.cc).

    Raises:
        ValueError: The options hold no such thing.
    """
    from flatbuffers import flexbuffers  # type: ignore[import-untyped,unused-ignore]

    try:
        # Two strings; the node is one as TensorFlow writes it, but no text.
        name, node = (bytes(each.AsStringBytes) for each in flexbuffers.GetRoot(options).AsVector)
    except Exception as error:  # The reader checks nothing and fails in many ways.
        raise ValueError(type(error).__name__) from error
    return text(name), parse("Node", node, "a Flex operator")


def _calls(model: TFLiteModel) -> Iterator[Finding]:
    """Yields graphs that are not there, or call each other without a sensible end."""
    calls = [
        [
            called
            for operator in graph.operators
            for key, value in operator.attributes.items()
            if "subgraph" in key.lower()
            for called in _indices(value)
        ]
        for graph in model.subgraphs
    ]
    absent = [
        (number, each)
        for number, called in enumerate(calls)
        for each in called
        if not 0 <= each < len(calls)
    ]
    for number, each in absent:
        yield _endless(number, f"a call of subgraph {each}")
    if absent:
        return
    sorter = graphlib.TopologicalSorter({number: set(each) for number, each in enumerate(calls)})
    try:
        order = [*sorter.static_order()]
    except graphlib.CycleError as error:
        yield _endless(int(error.args[1][0]), "a call of itself")
        return
    depths, runs = [0] * len(calls), [0] * len(calls)
    # Those that are called come first: a runtime prepares them once for each way that leads there.
    for number in order:
        depths[number] = 1 + max((depths[each] for each in calls[number]), default=0)
        runs[number] = 1 + sum(runs[each] for each in calls[number])
    if max(depths) > limits.MAX_CALL_DEPTH:
        yield _endless(depths.index(max(depths)), f"calls that nest {max(depths)} deep")
    elif max(runs) > limits.MAX_CALLS:
        yield _endless(runs.index(max(runs)), f"calls that come to more than {limits.MAX_CALLS}")


def _indices(value: Any) -> Sequence[int]:
    """Returns the graphs that an option names: one, or a list of them."""
    if isinstance(value, int):
        return (value,)
    return [int(each) for each in value] if isinstance(value, list | np.ndarray) else ()


def _endless(number: int, found: str) -> Finding:
    return Finding(
        part=f"subgraph {number}",
        found=found,
        harm=Harm.EXHAUSTS,
        remedy="Convert the model again",
    )
