"""Variants while the search runs: the rung that each becomes, and the choice among them.

Chosen is the variant that serves the target best, of those that keep to the budget.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from tfx_loop.contracts.optimization_report import Rung, RungStatus, Size
from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.quantizer.budget_verdict import RungOutcome, RungReason
from tfx_loop.optimization.quantizer.modes import QuantizationMode
from tfx_loop.optimization.quantizer.variant_builder import TfliteVariant

UNTRIED = RungOutcome(status=RungStatus.SKIPPED, reason=RungReason.NOT_NEEDED, explanation="")
# Medians of the same model, measured in turns on a busy machine, differ by some hundredths.
_AS_FAST = 1.05


@dataclass(frozen=True, kw_only=True)
class VariantCost:
    """A variant that keeps to the budget.

    Attributes:
        raw_bytes: Size of its file.
        latency_ms: Median of one call at batch 1; None unless the target is speed.
        mapped: Share of its operators that the Edge TPU runs; None where nobody says.
        zipped_bytes: Size of the file zipped; None unless the target is that.
    """

    raw_bytes: int
    latency_ms: float | None = None
    mapped: float | None = None
    zipped_bytes: int | None = None

    def size(self, target: CompressionTarget) -> int:
        """Returns the bytes that the target counts."""
        zipped = target is CompressionTarget.SMALLEST_ZIPPED and self.zipped_bytes is not None
        return (self.zipped_bytes or 0) if zipped else self.raw_bytes


@dataclass(frozen=True, kw_only=True)
class VariantLimits:
    """What a variant may take beside the metric that it may lose.

    Attributes:
        max_bytes: Of its file; None for any.
        max_latency_ms: Of the median of one call at batch 1, on this machine; None for any.
    """

    max_bytes: int | None = None
    max_latency_ms: float | None = None

    def __post_init__(self) -> None:
        """Checks that something fits."""
        for name in ("max_bytes", "max_latency_ms"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(
                    f"Expected {name} above 0, received {value}. Leave it out for no limit."
                )

    def broken_by(self, cost: VariantCost) -> str:
        """Returns which limit a variant breaks, in a sentence; empty for none."""
        if self.max_bytes is not None and cost.raw_bytes > self.max_bytes:
            return f"It takes {cost.raw_bytes:,} bytes; {self.max_bytes:,} are allowed."
        most = self.max_latency_ms
        if most is not None and cost.latency_ms is not None and cost.latency_ms > most:
            return f"A call takes {cost.latency_ms:.3g} ms; {most:g} are allowed."
        return ""


@dataclass(kw_only=True)
class RungCandidate:
    """A variant in the making.

    Attributes:
        mode: How it is made.
        outcome: Against the budget.
        name: What people call it.
        variant: Its file; None until there is one.
        size: Of the file.
        latency_ms: Median of one call, where the target is speed.
        mapped: Share of its operators that the Edge TPU runs, where somebody says.
        float_layers: Layers that a selective variant leaves in float.
        layer_errors: Error of the output when a layer alone is quantised.
        seconds: Time to make and to judge it.
    """

    mode: QuantizationMode
    outcome: RungOutcome
    name: str
    variant: TfliteVariant | None = None
    size: Size | None = None
    latency_ms: float | None = None
    mapped: float | None = None
    float_layers: tuple[str, ...] = ()
    layer_errors: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def cost(self) -> VariantCost:
        """What the choice looks at."""
        assert self.size is not None
        return VariantCost(
            raw_bytes=self.size.raw_bytes,
            latency_ms=self.latency_ms,
            mapped=self.mapped,
            zipped_bytes=self.size.zipped_bytes,
        )

    def map(self, mapped_share: Callable[[Path], float]) -> None:
        """Fails a variant that computes in float, and notes how much of another one maps.

        Args:
            mapped_share: Returns the share of a file's operators that the Edge TPU runs.
        """
        assert self.variant is not None
        # The Edge TPU's compiler would leave these, and all after the first of them, to the CPU.
        if floats := self.variant.float_operators:
            self.outcome = replace(
                self.outcome,
                status=RungStatus.FAILED,
                reason=RungReason.NOT_WHOLE_NUMBERS,
                explanation=f"{len(floats)} operators compute in float, such as {floats[0]}; the "
                "Edge TPU runs whole numbers alone.",
            )
        else:
            self.mapped = mapped_share(self.variant.path)
            told = f"{self.outcome.explanation} {self.mapped:.0%} of it maps."
            self.outcome = replace(self.outcome, explanation=told)

    def rung(self, chosen: Optional["RungCandidate"], target: CompressionTarget) -> Rung:
        """Returns what the report says of it."""
        outcome = self.outcome
        status, reason, told = outcome.status, outcome.reason, outcome.explanation
        if self is chosen:
            status = RungStatus.CHOSEN
        elif outcome.keeps and chosen is not None:
            reason = why_left(self.cost, chosen.cost, target)
            told = f"{told} {chosen.name} serves the target better."
        overall = outcome.overall
        return Rung(
            name=self.name,
            mode=self.mode.value,
            status=status,
            reason=reason.value,
            explanation=told,
            size=self.size,
            metric=overall.child if overall else None,
            drop=overall.drop if overall else None,
            limit=overall.limit if overall else None,
            slices=outcome.slices,
            parity=outcome.parity,
            latency_ms=self.latency_ms,
            float_layers=self.float_layers,
            layer_errors=self.layer_errors,
            seconds=round(self.seconds, 2),
        )


def failed(reason: RungReason, error: Exception | str, folder: Path | None = None) -> RungOutcome:
    """Returns the outcome of a rung that came to no variant.

    Args:
        reason: Stable code.
        error: What went wrong.
        folder: Temporary; paths in it are cut to the file's name.
    """
    told = str(error).replace(f"{folder}/", "") if folder else str(error)
    return RungOutcome(status=RungStatus.FAILED, reason=reason, explanation=told)


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
        # Shares of one graph's operators: equal ones are equal fractions, so that == is safe.
        fit = [i for i in fit if shares[i] == max(shares)]
    return min(fit, key=lambda i: (variants[i].size(target), i))


def why_left(left: VariantCost, chosen: VariantCost, target: CompressionTarget) -> RungReason:
    """Returns why a variant that keeps to the budget was not the one that was chosen."""
    # Among those that were fit the smallest was chosen: what is smaller than it was not fit.
    smaller = left.size(target) < chosen.size(target)
    if target is CompressionTarget.FASTEST and (
        smaller or _latency(left) > _AS_FAST * _latency(chosen)
    ):
        return RungReason.SLOWER_THAN_CHOSEN
    if target is CompressionTarget.EDGE_TPU and (left.mapped or 0.0) < (chosen.mapped or 0.0):
        return RungReason.MAPS_LESS_THAN_CHOSEN
    return RungReason.LARGER_THAN_CHOSEN


def _latency(variant: VariantCost) -> float:
    return float("inf") if variant.latency_ms is None else variant.latency_ms
