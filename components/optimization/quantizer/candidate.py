"""What is known of a variant while the search runs, and how does it become a rung of the report?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from tfx_loop.contracts.optimization_report import Rung, RungStatus, Size
from tfx_loop.optimization.metrics.budget import Target
from tfx_loop.optimization.quantizer.choice import Measured, why_left
from tfx_loop.optimization.quantizer.judging import Judged, Left
from tfx_loop.optimization.quantizer.modes import Mode
from tfx_loop.optimization.quantizer.variants import Made

# Share of the operators of a .tflite file that the Edge TPU runs.
Maps = Callable[[Path], float]

UNTRIED = Judged(status=RungStatus.SKIPPED, reason=Left.NOT_NEEDED, explanation="")


@dataclass(kw_only=True)
class Candidate:
    """A variant in the making.

    Attributes:
        mode: How it is made.
        judged: Against the budget.
        name: What people call it.
        made: Its file; None until there is one.
        size: Of the file.
        latency_ms: Median of one call, where the target is speed.
        mapped: Share of its operators that the Edge TPU runs, where somebody says.
        float_layers: Layers that a selective variant leaves in float.
        layer_errors: Error of the output when a layer alone is quantised.
        seconds: Time to make and to judge it.
    """

    mode: Mode
    judged: Judged
    name: str
    made: Made | None = None
    size: Size | None = None
    latency_ms: float | None = None
    mapped: float | None = None
    float_layers: tuple[str, ...] = ()
    layer_errors: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def measured(self) -> Measured:
        """What the choice looks at."""
        assert self.size is not None
        return Measured(
            raw_bytes=self.size.raw_bytes, latency_ms=self.latency_ms, mapped=self.mapped
        )

    def map(self, maps: Maps | None) -> None:
        """Fails a variant that computes in float, and notes how much of another one maps."""
        assert self.made is not None
        if floats := self.made.float_operators:
            self.judged = replace(
                self.judged,
                status=RungStatus.FAILED,
                reason=Left.NOT_WHOLE_NUMBERS,
                explanation=f"{len(floats)} operators compute in float, such as {floats[0]}; the "
                "Edge TPU runs whole numbers alone.",
            )
        elif maps is not None:
            self.mapped = maps(self.made.path)
            told = f"{self.judged.explanation} {self.mapped:.0%} of it maps."
            self.judged = replace(self.judged, explanation=told)

    def rung(self, chosen: Optional["Candidate"], target: Target) -> Rung:
        """Returns what the report says of it."""
        judged = self.judged
        status, reason, told = judged.status, judged.reason, judged.explanation
        if self is chosen:
            status = RungStatus.CHOSEN
        elif judged.keeps and chosen is not None:
            reason = why_left(self.measured, chosen.measured, target)
            told = f"{told} {chosen.name} serves the target better."
        overall = judged.overall
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
            slices=judged.slices,
            parity=judged.parity,
            latency_ms=self.latency_ms,
            float_layers=self.float_layers,
            layer_errors=self.layer_errors,
            seconds=round(self.seconds, 2),
        )


def failed(reason: Left, error: Exception | str, folder: Path | None = None) -> Judged:
    """Returns the judgement of a variant that there is none of.

    Args:
        reason: Stable code.
        error: What went wrong.
        folder: Temporary; paths in it are cut to the file's name.
    """
    told = str(error).replace(f"{folder}/", "") if folder else str(error)
    return Judged(status=RungStatus.FAILED, reason=reason, explanation=told)
