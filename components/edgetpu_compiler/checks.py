"""Does one operator keep to one documented limit of the Edge TPU?

Each check looks at an operator and its tensors and says what is wrong, or None. Which operation
has which checks, with which numbers and on whose word, stands in `rules.json`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.edgetpu_compiler.model import Operator, Subgraph, Tensor

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """An operator within its graph."""

    graph: Subgraph
    operator: Operator

    @property
    def output(self) -> Tensor:
        """Its first output."""
        return self.graph.tensors[self.operator.outputs[0]]

    def input(self, position: int) -> Tensor | None:
        """One of its inputs; None when absent."""
        return self.graph.input(self.operator, position)

    def attribute(self, name: str, default: int = 0) -> int:
        """One of its builtin options as an integer."""
        value = self.operator.attributes.get(name, default)
        return int(value) if value is not None else default

    def axes(self, position: int) -> tuple[int, ...] | None:
        """Axes named by a constant input, counted from the front; None when computed."""
        source, named = self.input(0), self.input(position)
        values = named.integers() if named is not None else None
        if source is None or values is None:
            return None
        rank = len(source.shape)
        return tuple(value % rank for value in values) if rank else ()


def no_fused_activation(subject: Subject, settings: Settings) -> str | None:
    """Pools and concatenations take no fused activation function."""
    if subject.attribute("fusedActivationFunction"):
        return "has a fused activation function"
    return None


def constant_parameters(subject: Subject, settings: Settings) -> str | None:
    """Weights, biases and slopes stand in the file."""
    for position in settings["positions"]:
        tensor = subject.input(position)
        if tensor is not None and not tensor.is_constant:
            return f"its parameter {tensor.name or position} is not constant"
    return None


def same_dilation(subject: Subject, settings: Settings) -> str | None:
    """A kernel is dilated by the same factor in both directions."""
    x, y = subject.attribute("dilationWFactor", 1), subject.attribute("dilationHFactor", 1)
    return None if x == y else f"is dilated by {y} in y and {x} in x"


def not_grouped(subject: Subject, settings: Settings) -> str | None:
    """Every output channel sees every input channel."""
    data, weights = subject.input(0), subject.input(1)
    if data is None or weights is None or not data.shape or not weights.shape:
        return None
    if data.shape[-1] == weights.shape[-1]:
        return None
    return f"is a grouped convolution ({data.shape[-1]} channels in, {weights.shape[-1]} a filter)"


def default_weights_format(subject: Subject, settings: Settings) -> str | None:
    """Weights are not shuffled for a CPU."""
    return "has shuffled weights" if subject.attribute("weightsFormat") else None


def one_row(subject: Subject, settings: Settings) -> str | None:
    """The output has one dimension: all but the last have size 1."""
    rows = math.prod(subject.output.shape[:-1])
    return None if rows <= 1 else f"has {rows} rows of output, and one is documented"


def depth_at_most(subject: Subject, settings: Settings) -> str | None:
    """The innermost dimension is not too long."""
    depth = subject.output.shape[-1] if subject.output.shape else 1
    limit = settings["limit"]
    return None if depth <= limit else f"has {depth} elements in a row, above {limit}"


def output_at_most(subject: Subject, settings: Settings) -> str | None:
    """The output is not larger than what is known to map."""
    return _too_large(subject.output, settings["limit"])


def input_at_most(subject: Subject, settings: Settings) -> str | None:
    """The input is not larger than what is known to map."""
    tensor = subject.input(settings.get("position", 0))
    return None if tensor is None else _too_large(tensor, settings["limit"])


def concatenated_constant_is_padding(subject: Subject, settings: Settings) -> str | None:
    """A constant is concatenated only as zero padding, to one other tensor."""
    tensors = subject.graph.of(subject.operator.inputs)
    constants = [tensor for tensor in tensors if tensor.is_constant]
    if not constants:
        return None
    if len(tensors) != 2:
        return "concatenates a constant with more than one tensor"
    values = constants[0].integers()
    zero = constants[0].zero_points[0] if constants[0].zero_points else 0
    if values is None or any(value != zero for value in values):
        return "concatenates a constant that is not zero"
    return None


def reduces_no_batch(subject: Subject, settings: Settings) -> str | None:
    """A reduction leaves the batch dimension alone."""
    axes = subject.axes(1)
    if axes is None:
        return "its axes are not constant"
    return "reduces the batch dimension" if 0 in axes else None


def reduced_depth_multiple_of(subject: Subject, settings: Settings) -> str | None:
    """A mean over the channels has a multiple of four of them."""
    axes, source = subject.axes(1), subject.input(0)
    if axes is None or source is None or not source.shape:
        return None
    depth = source.shape[-1]
    if len(source.shape) - 1 in axes and depth % settings["multiple"]:
        return f"averages {depth} channels, no multiple of {settings['multiple']}"
    return None


def reduced_positions_below(subject: Subject, settings: Settings) -> str | None:
    """Not too many positions fall into one."""
    axes, source = subject.axes(1), subject.input(0)
    if axes is None or source is None:
        return None
    count = math.prod(source.shape[axis] for axis in set(axes))
    if count < settings["limit"]:
        return None
    return f"reduces {count} positions into one; {settings['limit']} and more do not map for sure"


def axis_is_not_batch(subject: Subject, settings: Settings) -> str | None:
    """Splitting and packing leave the batch dimension alone."""
    if "position" in settings:
        named = subject.input(settings["position"])
        values = named.integers() if named is not None else None
        if not values:
            return "its axis is not constant"
        data = subject.input(settings["position"] + 1)
        axis, rank = values[0], len(data.shape) if data is not None else 0
    else:
        axis, rank = subject.attribute("axis"), len(subject.output.shape)
    return "works along the batch dimension" if axis in (0, -rank) else None


def pads_no_batch(subject: Subject, settings: Settings) -> str | None:
    """Padding leaves the batch dimension alone."""
    paddings = subject.input(1)
    values = paddings.integers() if paddings is not None else None
    if values is None:
        return "its paddings are not constant"
    return "pads the batch dimension" if any(values[:2]) else None


def alpha_one_dimensional(subject: Subject, settings: Settings) -> str | None:
    """A PReLU has one slope a channel."""
    alpha = subject.input(1)
    if alpha is None or all(size == 1 for size in alpha.shape[:-1]):
        return None
    return f"has slopes of shape {list(alpha.shape)}, and only the last may be above 1"


def both_ends_three_dimensional(subject: Subject, settings: Settings) -> str | None:
    """A resize goes from a map to a map; one of a single position has no y and x to speak of."""
    source = subject.input(0)
    for tensor in (source, subject.output):
        if tensor is not None and tensor.shape[1:3] == (1, 1):
            return f"resizes {list(tensor.shape)}, which has one dimension and not three"
    return None


def scaled_between(subject: Subject, settings: Settings) -> str | None:
    """A map is stretched by a factor that is known to map."""
    factors = _factors(subject)
    if all(1 <= factor <= settings["limit"] for factor in factors):
        return None
    shown = " and ".join(f"{factor:g}" for factor in sorted(set(factors)))
    return f"stretches its input by {shown}; 1 to {settings['limit']} are known to map"


def scaled_by_whole_steps(subject: Subject, settings: Settings) -> str | None:
    """The steps between interpolated positions are exact: a stretch by a whole number."""
    source = subject.input(0)
    if source is None or len(source.shape) != 4 or len(subject.output.shape) != 4:
        return None
    corner = 1 if subject.attribute("alignCorners") else 0
    for before, after in zip(source.shape[1:3], subject.output.shape[1:3], strict=True):
        if before != after and (before <= corner or (after - corner) % (before - corner)):
            return f"stretches {before} positions to {after}, no whole number of steps"
    return None


def strides_are_one(subject: Subject, settings: Settings) -> str | None:
    """A strided slice takes everything between begin and end."""
    strides = subject.input(3)
    values = strides.integers() if strides is not None else None
    if values is None:
        return "its strides are not constant"
    return None if all(value == 1 for value in values) else f"has strides {list(values)}"


def no_ellipsis_or_new_axis(subject: Subject, settings: Settings) -> str | None:
    """A strided slice has neither an ellipsis nor a new axis."""
    if subject.attribute("ellipsisMask") or subject.attribute("newAxisMask"):
        return "has an ellipsis or a new axis"
    return None


def moves_no_data(subject: Subject, settings: Settings) -> str | None:
    """A transposition only moves dimensions of size 1, so nothing moves in memory."""
    source, order = subject.input(0), subject.input(1)
    values = order.integers() if order is not None else None
    if source is None or values is None or len(values) != len(source.shape):
        return "its permutation is not constant"
    moved = [axis for axis in values if source.shape[axis % len(source.shape)] != 1]
    if moved == sorted(moved):
        return None
    return f"permutes {list(source.shape)} by {list(values)}; some permutations map, some do not"


def plain_lstm(subject: Subject, settings: Settings) -> str | None:
    """A unidirectional LSTM with all four gates and neither peepholes nor projection."""
    if subject.attribute("timeMajor"):
        return "is time major"
    if any(subject.input(position) is None for position in (1, 2, 3, 4, 5, 6, 7, 8)):
        return "has no weights for one of its gates"
    if any(subject.input(position) is not None for position in (9, 10, 11, 16, 17)):
        return "has peepholes or a projection"
    if any(subject.input(position) is not None for position in (20, 21, 22, 23)):
        return "has layer normalisation"
    return None


def never(subject: Subject, settings: Settings) -> str | None:
    """Documented as supported, and seen otherwise."""
    return str(settings["why"])


def _too_large(tensor: Tensor, limit: int) -> str | None:
    size = tensor.size_bytes
    if size <= limit:
        return None
    return f"holds {size:,} bytes in one tensor; up to {limit:,} are known to map"


def _factors(subject: Subject) -> list[float]:
    """Returns how far the two spatial dimensions are stretched."""
    source = subject.input(0)
    if source is None or len(source.shape) != 4 or len(subject.output.shape) != 4:
        return []
    before = np.maximum(source.shape[1:3], 1)
    return [float(value) for value in np.asarray(subject.output.shape[1:3]) / before]


CHECKS: Mapping[str, Callable[[Subject, Settings], str | None]] = {
    check.__name__: check
    for check in (
        alpha_one_dimensional,
        axis_is_not_batch,
        both_ends_three_dimensional,
        concatenated_constant_is_padding,
        constant_parameters,
        default_weights_format,
        depth_at_most,
        input_at_most,
        moves_no_data,
        never,
        no_ellipsis_or_new_axis,
        no_fused_activation,
        not_grouped,
        one_row,
        output_at_most,
        pads_no_batch,
        plain_lstm,
        reduced_depth_multiple_of,
        reduced_positions_below,
        reduces_no_batch,
        same_dilation,
        scaled_between,
        scaled_by_whole_steps,
        strides_are_one,
    )
}
