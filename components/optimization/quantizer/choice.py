"""Choice of the variant that serves the target best, among those that keep to the budget. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_loop.optimization.metrics.budget import CompressionTarget
from tfx_loop.optimization.quantizer.judging import RungReason

# Medians of the same model, measured in turns on a busy machine, differ by some hundredths.
_AS_FAST = 1.05


@dataclass(frozen=True, kw_only=True)
class VariantCost:
    """A variant that keeps to the budget.

    Attributes:
        raw_bytes: Size of its file.
        latency_ms: Median of one call at batch 1; None unless the target is speed.
        mapped: Share of its operators that the Edge TPU runs; None where nobody says.
    """

    raw_bytes: int
    latency_ms: float | None = None
    mapped: float | None = None


def best(variants: Sequence[VariantCost], target: CompressionTarget) -> int | None:
    """Returns the position of the variant that serves the target best; None when there are none.

    Of variants as fast as the fastest (within 5 %) and of those that map alike, the smallest is
    taken; of equal ones the first.
    """
    if not variants:
        return None
    fit = list(range(len(variants)))
    if target is CompressionTarget.FASTEST:
        times = [_latency(variant) for variant in variants]
        fit = [i for i in fit if times[i] <= _AS_FAST * min(times)]
    if target is CompressionTarget.EDGE_TPU:
        shares = [variant.mapped or 0.0 for variant in variants]
        fit = [i for i in fit if shares[i] == max(shares)]
    return min(fit, key=lambda i: (variants[i].raw_bytes, i))


def why_left(left: VariantCost, chosen: VariantCost, target: CompressionTarget) -> RungReason:
    """Returns why a variant that keeps to the budget was not the one that was chosen."""
    # Among those that were fit the smallest was chosen: what is smaller than it was not fit.
    smaller = left.raw_bytes < chosen.raw_bytes
    if target is CompressionTarget.FASTEST and (
        smaller or _latency(left) > _AS_FAST * _latency(chosen)
    ):
        return RungReason.SLOWER_THAN_CHOSEN
    if target is CompressionTarget.EDGE_TPU and (left.mapped or 0.0) < (chosen.mapped or 0.0):
        return RungReason.MAPS_LESS_THAN_CHOSEN
    return RungReason.LARGER_THAN_CHOSEN


def _latency(variant: VariantCost) -> float:
    return float("inf") if variant.latency_ms is None else variant.latency_ms
