"""Which layers must stay in float, and how few of them do?

A layer's own error does not tell: where a wide range swallows a narrow one, each layer looks fine
beside its range. What counts is what reaches the output. So each layer is quantised alone, with all
others in float, and the error of the model's output is its sensitivity. (Leaving one layer in float
tells less: where a tensor is the trouble, the layer that writes it and the one that reads it must
both stay in float.) The most sensitive layers go to float first; how many, is found by bisection;
then each of them is tried in int8 again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

Floats = frozenset[str]
Error = Callable[[Floats], float]
Keeps = Callable[[Floats], bool]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Which layers stay in float.

    Attributes:
        floats: Names of their tensors; None when not even all of them are enough.
        errors: Error of the model's output when the layer alone is quantised, by tensor name;
            layers that were only tried with their neighbours share theirs.
        tried: Sets of layers that were judged.
    """

    floats: tuple[str, ...] | None
    errors: Mapping[str, float]
    tried: int


def find_float_layers(
    layers: Sequence[str], error_with: Error, keeps: Keeps, *, max_probes: int = 64
) -> Found:
    """Returns the layers that have to stay in float so that the budget is kept.

    Args:
        layers: Names of the layers' tensors, in the order in which they run.
        error_with: Error of the output with these layers in float and all others quantised;
            infinite where such a model does not run.
        keeps: Whether the model with these layers in float keeps to the budget.
        max_probes: Calls of `error_with`; a model with more layers is probed in groups first.
    """
    errors = sensitivities(layers, error_with, max_probes)
    ranked = sorted(layers, key=lambda name: -errors[name])
    tried = 0

    def kept(count: int) -> bool:
        nonlocal tried
        tried += 1
        return keeps(frozenset(ranked[:count]))

    if not kept(len(ranked)):
        return Found(floats=None, errors=errors, tried=tried)
    # Doubling, then bisection: few layers are expected, and float variants are the large ones.
    low, high = 0, 1
    while high < len(ranked) and not kept(high):
        low, high = high, min(2 * high, len(ranked))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    floats = ranked[:high]
    for name in reversed(floats[:-1]):
        fewer = [other for other in floats if other != name]
        tried += 1
        if keeps(frozenset(fewer)):
            floats = fewer
    order = {name: position for position, name in enumerate(layers)}
    return Found(floats=tuple(sorted(floats, key=order.__getitem__)), errors=errors, tried=tried)


def sensitivities(layers: Sequence[str], error_with: Error, max_probes: int) -> dict[str, float]:
    """Returns the error of the output with each layer quantised alone.

    With more layers than probes, neighbours are quantised together, and the groups with the largest
    errors are then taken apart.
    """
    everything = frozenset(layers)

    def error_of(group: Sequence[str]) -> float:
        return error_with(everything - frozenset(group))

    if len(layers) <= max_probes:
        return {name: error_of([name]) for name in layers}
    size = ceil(2 * len(layers) / max_probes)
    groups = [list(layers[i : i + size]) for i in range(0, len(layers), size)]
    together = {i: error_of(group) for i, group in enumerate(groups)}
    errors = {name: together[i] for i, group in enumerate(groups) for name in group}
    left = max_probes - len(groups)
    for i in sorted(together, key=lambda i: -together[i]):
        if len(groups[i]) > left:
            break
        left -= len(groups[i])
        errors |= {name: error_of([name]) for name in groups[i]}
    return errors
