"""Checks of one operator against the documented limits of the Edge TPU.

Each check looks at an operator and its tensors and says what is wrong, or None. Which operation
has which checks, with which numbers and on whose word, stands in `rules.json`. Limits by size
stand in `size_checks.py`.
"""

from collections.abc import Mapping

from tfx_loop.edge.edgetpu_compiler.graph.operator_in_graph import OperatorInGraph, Settings
from tfx_loop.edge.edgetpu_compiler.rules import size_checks
from tfx_loop.edge.edgetpu_compiler.rules.size_checks import CheckFunction


def no_fused_activation(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Pools and concatenations take no fused activation function."""
    if subject.attribute("fusedActivationFunction"):
        return "has a fused activation function"
    return None


def constant_parameters(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Weights, biases and slopes stand in the file."""
    for position in settings["positions"]:
        tensor = subject.input(position)
        if tensor is not None and not tensor.is_constant:
            return f"its parameter {tensor.name or position} is not constant"
    return None


def same_dilation(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A kernel is dilated by the same factor in both directions."""
    x, y = subject.attribute("dilationWFactor", 1), subject.attribute("dilationHFactor", 1)
    return None if x == y else f"is dilated by {y} in y and {x} in x"


def not_grouped(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Every output channel sees every input channel."""
    data, weights = subject.input(0), subject.input(1)
    if data is None or weights is None or not data.shape or not weights.shape:
        return None
    # Weights are [filters, y, x, channels]; fewer channels than the data has are those of a group.
    if data.shape[-1] == weights.shape[-1]:
        return None
    return f"is a grouped convolution ({data.shape[-1]} channels in, {weights.shape[-1]} a filter)"


def default_weights_format(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Weights are not shuffled for a CPU."""
    return "has shuffled weights" if subject.attribute("weightsFormat") else None


def concatenated_constant_is_padding(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A constant is concatenated only as zero padding, to one other tensor."""
    tensors = subject.graph.tensors_at(subject.operator.inputs)
    constants = [tensor for tensor in tensors if tensor.is_constant]
    if not constants:
        return None
    if len(tensors) != 2:
        return "concatenates a constant with more than one tensor"
    values = constants[0].integers()
    # Padding with zeros means the zero point: that is what stands for 0.0.
    zero = constants[0].zero_points[0] if constants[0].zero_points else 0
    if values is None or any(value != zero for value in values):
        return "concatenates a constant that is not zero"
    return None


def reduces_no_batch(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A reduction leaves the batch dimension alone."""
    axes = subject.axes(1)
    if axes is None:
        return "its axes are not constant"
    return "reduces the batch dimension" if 0 in axes else None


def reduced_depth_multiple_of(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A mean over the channels has a multiple of four of them."""
    axes, source = subject.axes(1), subject.input(0)
    if axes is None or source is None or not source.shape:
        return None
    depth = source.shape[-1]
    if len(source.shape) - 1 in axes and depth % settings["multiple"]:
        return f"averages {depth} channels, no multiple of {settings['multiple']}"
    return None


def axis_is_not_batch(subject: OperatorInGraph, settings: Settings) -> str | None:
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
    # Axes may be counted from the end.
    return "works along the batch dimension" if axis in (0, -rank) else None


def pads_no_batch(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Padding leaves the batch dimension alone."""
    paddings = subject.input(1)
    values = paddings.integers() if paddings is not None else None
    if values is None:
        return "its paddings are not constant"
    # Paddings are pairs (before, after), the batch's first.
    return "pads the batch dimension" if any(values[:2]) else None


def alpha_one_dimensional(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A PReLU has one slope a channel."""
    alpha = subject.input(1)
    if alpha is None or all(size == 1 for size in alpha.shape[:-1]):
        return None
    return f"has slopes of shape {list(alpha.shape)}, and only the last may be above 1"


def both_ends_three_dimensional(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A resize goes from a map to a map; one of a single position has no y and x to speak of."""
    source = subject.input(0)
    for tensor in (source, subject.output):
        # NHWC: 1 to 3 are height and width.
        if tensor is not None and tensor.shape[1:3] == (1, 1):
            return f"resizes {list(tensor.shape)}, which has one dimension and not three"
    return None


def strides_are_one(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A strided slice takes everything between begin and end."""
    strides = subject.input(3)
    values = strides.integers() if strides is not None else None
    if values is None:
        return "its strides are not constant"
    return None if all(value == 1 for value in values) else f"has strides {list(values)}"


def no_ellipsis_or_new_axis(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A strided slice has neither an ellipsis nor a new axis."""
    if subject.attribute("ellipsisMask") or subject.attribute("newAxisMask"):
        return "has an ellipsis or a new axis"
    return None


def plain_lstm(subject: OperatorInGraph, settings: Settings) -> str | None:
    """A unidirectional LSTM with all four gates and neither peepholes nor projection."""
    if subject.attribute("timeMajor"):
        return "is time major"
    # Positions of unidirectional_sequence_lstm.cc: 1 to 4 weights of the input, 5 to 8 recurrent.
    if any(subject.input(position) is None for position in (1, 2, 3, 4, 5, 6, 7, 8)):
        return "has no weights for one of its gates"
    # 9 to 11 peepholes, 16 and 17 projection and its bias.
    if any(subject.input(position) is not None for position in (9, 10, 11, 16, 17)):
        return "has peepholes or a projection"
    # Coefficients of layer normalisation, one a gate.
    if any(subject.input(position) is not None for position in (20, 21, 22, 23)):
        return "has layer normalisation"
    return None


def never(subject: OperatorInGraph, settings: Settings) -> str | None:
    """Documented as supported, and seen otherwise."""
    return str(settings["why"])


def version_below(subject: OperatorInGraph, settings: Settings) -> str | None:
    """The operation has a version that the compiler takes."""
    if subject.operator.version < settings["limit"]:
        return None
    return f"has version {subject.operator.version}, and {settings['limit']} was not taken"


CHECKS: Mapping[str, CheckFunction] = {
    **size_checks.CHECKS,
    **{
        check.__name__: check
        for check in (
            alpha_one_dimensional,
            axis_is_not_batch,
            both_ends_three_dimensional,
            concatenated_constant_is_padding,
            constant_parameters,
            default_weights_format,
            never,
            no_ellipsis_or_new_axis,
            no_fused_activation,
            not_grouped,
            pads_no_batch,
            plain_lstm,
            reduced_depth_multiple_of,
            reduces_no_batch,
            same_dilation,
            strides_are_one,
            version_below,
        )
    },
}
