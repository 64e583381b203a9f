"""Checks of one operator's size against what is known to fit the Edge TPU.

That limits by size exist is documented ("certain reshapes might not be mapped for large tensor
sizes"), their places are not. The numbers in `rules.json` lie between what the compiler's logs show
mapped and what they show left on the CPU.

What counts is how a tensor lies on the chip. Its tiles share a map by y and x; a tensor whose third
innermost dimension is 1 (anchors by classes, time steps by features) is a single row of positions
that they cannot share by y. The largest such row in a log that maps has 176,400 bytes (84 x 2,100),
the smallest that does not has 206,976 (2,352 x 85), where maps of several MiB are taken. Each
position is padded to words of four bytes: 57,600 positions of 3 classes stay on the CPU as those of
4 coordinates do, although they hold less than rows that map.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from tfx_loop.edge.edgetpu_compiler.graph.operator_in_graph import OperatorInGraph, Settings
from tfx_loop.models.tflite.model import Tensor

CheckFunction = Callable[[OperatorInGraph, Settings], str | None]

# The documentation wants multiples of it too: "the z-dimension must be multiple of 4".
_WORD = 4


def is_row(tensor: Tensor) -> bool:
    """Says whether a tensor has several positions, all of the same y."""
    # Shapes of fewer than three dimensions count as if 1 stood before them.
    inner = (1, 1, 1, *tensor.shape)[-3:]
    return inner[0] == 1 and inner[1] > 1


def depth_at_most(subject: OperatorInGraph, settings: Settings) -> str | None:
    """The innermost dimension is not too long."""
    depth = subject.output.shape[-1] if subject.output.shape else 1
    limit = settings["limit"]
    return None if depth <= limit else f"has {depth} elements in a row, above {limit}"


def output_at_most(subject: OperatorInGraph, settings: Settings) -> str | None:
    """The output is not larger than what is known to map."""
    return _too_large(subject.output, settings["limit"])


def input_at_most(subject: OperatorInGraph, settings: Settings) -> str | None:
    """The input is not larger than what is known to map."""
    tensor = subject.input(settings.get("position", 0))
    return None if tensor is None else _too_large(tensor, settings["limit"])


def reduced_positions_below(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Not too many positions fall into one."""
    axes, source = subject.axes(1), subject.input(0)
    if axes is None or source is None:
        return None
    count = math.prod(source.shape[axis] for axis in set(axes))
    if count < settings["limit"]:
        return None
    return f"reduces {count} positions into one; {settings['limit']} and more do not map for sure"


def row_at_most(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A single row of positions is not larger than what is known to map; maps may be.

    The output, or the input at `position`: what is cut from a row that is too large stays too.
    """
    tensor = subject.input(settings["position"]) if "position" in settings else subject.output
    if tensor is None or not is_row(tensor):
        return None
    positions, depth = tensor.shape[-2:]
    # -(-a // b) is a / b rounded up: each position takes whole words.
    padded = positions * -(-depth // _WORD) * _WORD
    if padded <= settings["limit"]:
        return None
    return (
        f"holds {padded:,} bytes in one row of {positions:,} positions; rows map up to about "
        f"{settings['limit']:,}"
    )


def rows_at_most(subject: OperatorInGraph, settings: Settings) -> str | None:
    """The output is a vector, or has no more rows than were seen to map."""
    rows, limit = math.prod(subject.output.shape[:-1]), settings["limit"]
    return None if rows <= limit else f"has {rows:,} rows of output; up to {limit:,} are known"


def moves_at_most(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A transposition moves nothing in memory, only dimensions of size 1, or not too much."""
    source, order = subject.input(0), subject.input(1)
    values = order.integers() if order is not None else None
    if source is None or values is None or len(values) != len(source.shape):
        return "its permutation is not constant"
    # Dimensions of size 1 may stand anywhere without a byte being moved.
    moved = [axis for axis in values if source.shape[axis % len(source.shape)] != 1]
    if moved == sorted(moved) or source.size_bytes <= settings["limit"]:
        return None
    return (
        f"permutes {list(source.shape)} by {list(values)}, {source.size_bytes:,} bytes; above "
        f"{settings['limit']:,} it does not map for sure"
    )


def scaled_between(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A map is stretched by a factor that is known to map."""
    factors = _factors(subject)
    if all(1 <= factor <= settings["limit"] for factor in factors):
        return None
    shown = " and ".join(f"{factor:g}" for factor in sorted(set(factors)))
    return f"stretches its input by {shown}; 1 to {settings['limit']} are known to map"


def scaled_by_whole_steps(subject: OperatorInGraph, settings: Settings) -> str | None:
    """The steps between interpolated positions are exact: a stretch by a whole number."""
    source = subject.input(0)
    # Batch, height, width, channels: with another rank nothing is known of its sizes.
    if source is None or len(source.shape) != 4 or len(subject.output.shape) != 4:
        return None
    # With aligned corners the steps are (out - 1) / (in - 1), else out / in.
    corner = 1 if subject.attribute("alignCorners") else 0
    for before, after in zip(source.shape[1:3], subject.output.shape[1:3], strict=True):
        if before != after and (before <= corner or (after - corner) % (before - corner)):
            return f"stretches {before} positions to {after}, no whole number of steps"
    return None


def _too_large(tensor: Tensor, limit: int) -> str | None:
    size = tensor.size_bytes
    if size <= limit:
        return None
    return f"holds {size:,} bytes in one tensor; above {limit:,} it does not map for sure"


def _factors(subject: OperatorInGraph) -> list[float]:
    """Returns how far the two spatial dimensions are stretched."""
    source = subject.input(0)
    if source is None or len(source.shape) != 4 or len(subject.output.shape) != 4:
        return []
    # A damaged file may say 0.
    before = np.maximum(source.shape[1:3], 1)
    return [float(value) for value in np.asarray(subject.output.shape[1:3]) / before]


CHECKS: Mapping[str, CheckFunction] = {
    check.__name__: check
    for check in (
        depth_at_most,
        input_at_most,
        moves_at_most,
        output_at_most,
        reduced_positions_below,
        row_at_most,
        rows_at_most,
        scaled_between,
        scaled_by_whole_steps,
    )
}
