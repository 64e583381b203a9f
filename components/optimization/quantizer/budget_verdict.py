"""Verdict on a variant against the budget, on rows that it was not calibrated on.

The rule: a variant is taken when it is certain (95 %, one-sided) that what it loses on rows like
these stays within the budget. It is left as over the budget when the estimate is above it, and as
not certain when the rows are too few to tell; then the report says how many would do.

A slice keeps to its limit by the same rule, each at the full certainty: a variant that breaks one
slice's limit passes only where that slice's bound fails. But a slice of 60 rows can hardly prove
that it lost less than half a point, and of twenty slices one will look bad by chance. So a slice
that proves nothing is named as too small, with the rows that would do, and holds a variant back
only when it is certain, at a level shared by all slices (Bonferroni), that it lost more than its
limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import (
    Interval,
    OutputResult,
    Parity,
    RungStatus,
    SliceResult,
    SliceStatus,
)
from tfx_loop.core.texts import listed
from tfx_loop.models.parity import compare
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.metrics import budget as budgets
from tfx_loop.optimization.metrics import several_outputs
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.drops import MetricDrop
from tfx_loop.optimization.metrics.intervals import CONFIDENCE
from tfx_loop.optimization.quantizer.expected_drop import expected_drop

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]

# What rounding of float32 moves a mean by, or the bound of a child that never decided otherwise.
_ROUNDING = 1e-6


class RungReason(str, Enum):
    """Why a rung was taken or left; stable codes of `Rung.reason`."""

    KEPT = "kept"
    NO_BUDGET = "no_budget"
    OVER_BUDGET = "over_budget"
    OVER_BUDGET_ON_SLICE = "over_budget_on_slice"
    NOT_CERTAIN = "not_certain"
    # It kept to the budget on the rows that choose, and not on those that only report.
    REFUTED = "refuted_on_unseen_rows"
    # Too large, or too slow, for what was asked.
    OVER_LIMIT = "over_limit"
    FAILED_TO_CONVERT = "failed_to_convert"
    DOES_NOT_RUN = "does_not_run"
    LARGER_THAN_CHOSEN = "larger_than_chosen"
    SLOWER_THAN_CHOSEN = "slower_than_chosen"
    MAPS_LESS_THAN_CHOSEN = "maps_less_than_chosen"
    # All layers in float would not keep to the budget either, or int8 itself failed.
    NOTHING_TO_SELECT = "nothing_to_select"
    NOT_NEEDED = "not_needed"
    # An operator computes in float, which the target cannot run.
    NOT_WHOLE_NUMBERS = "not_whole_numbers"


@dataclass(frozen=True, kw_only=True)
class RungOutcome:
    """A variant against the budget.

    Attributes:
        status: KEPT, OVER_BUDGET or FAILED.
        reason: Why.
        explanation: One sentence for people.
        overall: All rows; None without labels.
        slices: By slice.
        parity: With the parent.
        outputs: Each output, of a model with several.
    """

    status: RungStatus
    reason: RungReason
    explanation: str
    overall: SliceResult | None = None
    slices: tuple[SliceResult, ...] = ()
    parity: Parity | None = None
    outputs: tuple[OutputResult, ...] = ()

    @property
    def keeps(self) -> bool:
        """Says whether it may be taken."""
        return self.status is RungStatus.KEPT


@dataclass(frozen=True, kw_only=True)
class VariantJudge:
    """What variants are judged by.

    Attributes:
        rows: The rows that choose.
        parent: The parent's outputs for them.
        budget: None takes every variant that runs.
        confidence: One-sided.
        other_budgets: Of further outputs, by output; their labels are among the rows.
    """

    rows: Rows
    parent: Outputs
    budget: Budget | None
    other_budgets: Mapping[str, Budget] = field(default_factory=dict)
    confidence: float = CONFIDENCE

    def judge(self, child: Outputs, *, clips: bool = True) -> RungOutcome:
        """Returns whether a variant with these outputs for the rows keeps to the budget.

        Args:
            child: The variant's outputs.
            clips: Whether calibration fixed its ranges, so that rows beyond them lose more.
        """
        broken = sum(int((~np.isfinite(values)).sum()) for values in child.values())
        if broken:
            return RungOutcome(
                status=RungStatus.FAILED,
                reason=RungReason.DOES_NOT_RUN,
                explanation=f"It gives {broken:,} outputs that are NaN or infinite.",
            )
        parity, each = compare(self.parent, child), self._each(child)
        if self.budget is None or self.rows.labels is None:
            return RungOutcome(
                status=RungStatus.KEPT,
                reason=RungReason.NO_BUDGET,
                explanation="No budget was given: it was made as asked.",
                parity=parity,
                outputs=each,
            )
        outcome = self._against(self.budget, self.rows.labels, child, parity, clips)
        for name, budget in self.other_budgets.items():
            # Each output is held by itself: a variant that breaks one budget is taken only where
            # its bound fails, so no certainty is shared out among them.
            found = self._expected(budget, self.rows.other_labels[name], child, clips)
            status, reason, told = _verdict(found, budget, self.confidence)
            if outcome.keeps and status is not RungStatus.KEPT:
                told = f"Of its output {name}: {told}"
                outcome = replace(outcome, status=status, reason=reason, explanation=told)
        return replace(outcome, outputs=each)

    def _each(self, child: Outputs) -> tuple[OutputResult, ...]:
        labels, limits = dict(self.rows.other_labels), dict(self.other_budgets)
        if self.budget and self.rows.labels is not None and self.budget.metric.scoring.output:
            labels[self.budget.metric.scoring.output] = self.rows.labels
            limits[self.budget.metric.scoring.output] = self.budget
        return several_outputs.results(self.parent, child, labels, limits)

    def _expected(
        self,
        budget: Budget,
        labels: Array,
        child: Outputs,
        clips: bool,
        parent: Outputs | None = None,
    ) -> MetricDrop:
        """Returns the loss with the one-sided bound that decides as its upper end."""
        return expected_drop(
            self.parent if parent is None else parent,
            child,
            labels,
            budget.metric,
            # The upper end of a two-sided 90 % interval is the one-sided 95 % bound.
            confidence=2 * self.confidence - 1,
            clips=clips,
        )

    def _against(
        self, budget: Budget, labels: Array, child: Outputs, parity: Parity, clips: bool
    ) -> RungOutcome:
        shown = budgets.judge(self.parent, child, labels, budget, self.rows.slices)
        slices = self._slices(budget, labels, child, shown.slices, clips)
        # The report shows a two-sided 95 % interval; the verdict rests on a one-sided bound, the
        # upper end of a narrower interval.
        wide = expected_drop(self.parent, child, labels, budget.metric, clips=clips)
        bound = self._expected(budget, labels, child, clips)
        status, reason, explanation = _verdict(bound, budget, self.confidence)
        over = [part for part in slices if part.status is SliceStatus.OVER]
        if reason is RungReason.KEPT and over:
            status, reason = RungStatus.OVER_BUDGET, RungReason.OVER_BUDGET_ON_SLICE
            explanation = _over_on(over[0], len(over), budget)
        kept = status is RungStatus.KEPT
        # A variant that only a slice holds back keeps to the budget overall, and the report says
        # so.
        within = SliceStatus.WITHIN if kept or over else SliceStatus.OVER
        if kept and budget.max_slice_drop is not None:
            explanation = " ".join(filter(None, (explanation, too_small(slices))))
        return RungOutcome(
            status=status,
            reason=reason,
            explanation=explanation,
            overall=replace(shown.overall, drop=wide.interval, status=within),
            slices=slices,
            parity=parity,
        )

    def _slices(
        self,
        budget: Budget,
        labels: Array,
        child: Outputs,
        shown: tuple[SliceResult, ...],
        clips: bool,
    ) -> tuple[SliceResult, ...]:
        limit = budget.max_slice_drop
        if limit is None or not shown:
            return shown
        masks = dict(budgets.slice_masks(self.rows.slices))
        judged = sum(part.rows >= budget.min_slice_rows for part in shown)
        # Bonferroni: the slices share the error allowed; twice, for the interval has two ends.
        level = 1 - 2 * (1 - self.confidence) / max(judged, 1)
        return tuple(
            part
            if part.rows < budget.min_slice_rows
            else self._slice(part, masks[part.slice], labels, child, budget, level, clips)
            for part in shown
        )

    def _slice(
        self,
        part: SliceResult,
        mask: Array,
        labels: Array,
        child: Outputs,
        budget: Budget,
        level: float,
        clips: bool,
    ) -> SliceResult:
        limit = budget.max_slice_drop
        assert limit is not None
        parent = {name: values[mask] for name, values in self.parent.items()}
        own = {name: values[mask] for name, values in child.items()}
        found = expected_drop(
            parent, own, labels[mask], budget.metric, confidence=level, clips=clips
        )
        bound = self._expected(budget, labels[mask], own, clips, parent)
        # The lower end: a slice is over only when that is sure at the level that all share.
        if np.isfinite(found.low) and found.low > limit + _ROUNDING:
            status = SliceStatus.OVER
        elif np.isfinite(bound.high) and bound.high <= limit + _ROUNDING:
            status = SliceStatus.WITHIN
        else:
            status = SliceStatus.TOO_FEW_ROWS
        return replace(part, drop=bound.interval, status=status)


def too_small(slices: Sequence[SliceResult]) -> str:
    """Returns a sentence on the slices that are too small to hold their limit; empty for none."""
    found = [
        part
        for part in slices
        if part.limit is not None and part.status is SliceStatus.TOO_FEW_ROWS
    ]
    if not found:
        return ""
    named = [f"{part.slice} ({_lacking(part)})" for part in found]
    return (
        f"Too small to hold the slice budget of {found[0].limit:g} with certainty: {listed(named)}."
    )


def _lacking(part: SliceResult) -> str:
    value, high = part.drop.value, part.drop.high
    if value is None or high is None or part.limit is None:
        return f"{part.rows:,} rows"
    if value > part.limit:
        return f"{part.rows:,} rows, loses {value:.4f} on them"
    needed = _rows_needed(value, high, part.rows, part.limit)
    return f"{part.rows:,} rows" + (f", about {needed:,} would tell" if needed else "")


def rows_to_be_certain(found: MetricDrop, limit: float) -> int | None:
    """Returns how many rows would tell, were the estimate right; None when none would.

    The width of an interval shrinks with the root of the rows, and where no row was decided
    otherwise with the rows themselves (the rule of three).
    """
    unchanged = found.disagreeing == 0 or (found.by_probabilities and found.value == 0)
    return _rows_needed(found.value, found.high, found.rows, limit, power=1 if unchanged else 2)


def _rows_needed(value: float, high: float, rows: int, limit: float, power: int = 2) -> int | None:
    room = limit - value
    if not (np.isfinite(value) and np.isfinite(high)) or room <= 0:
        return None
    # Rows times a power of how much narrower the interval has to be.
    return ceil(rows * ((high - value) / room) ** power)


def _verdict(
    found: MetricDrop, budget: Budget, confidence: float
) -> tuple[RungStatus, RungReason, str]:
    name, limit = budget.metric.name, budget.max_metric_drop
    if not (np.isfinite(found.value) and np.isfinite(found.high)):
        told = f"{name} is not defined on these {found.rows:,} rows, so no loss can be excluded."
        return RungStatus.OVER_BUDGET, RungReason.NOT_CERTAIN, told
    if found.value > limit + _ROUNDING:
        told = f"It loses {found.value:.4f} of {name}; {limit:g} may be lost."
        return RungStatus.OVER_BUDGET, RungReason.OVER_BUDGET, told
    sure = f"{confidence:.0%}"
    if found.high <= limit + _ROUNDING:
        told = (
            f"It loses {_shown(found.value)} of {name}, at most {_shown(found.high)} with {sure} "
            f"certainty; {limit:g} may be lost."
        )
        return RungStatus.KEPT, RungReason.KEPT, told
    needed = rows_to_be_certain(found, limit)
    enough = f"; about {needed:,} rows would tell" if needed else ""
    told = (
        f"It loses {_shown(found.value)} of {name} on {found.rows:,} rows, but a loss of up to "
        f"{found.high:.4f} cannot be excluded with {sure} certainty; {limit:g} may be lost{enough}."
    )
    return RungStatus.OVER_BUDGET, RungReason.NOT_CERTAIN, told


def _shown(loss: float) -> str:
    # Below half a unit of the last digit a loss would read as 0.0000.
    return f"{loss:.4f}" if loss >= 5e-5 else "nothing" if loss <= 0 else "under 0.0001"


def _over_on(part: SliceResult, count: int, budget: Budget) -> str:
    lost = part.drop if part.drop.value is not None else Interval(value=0.0)
    more = f" and {count - 1} more slices" if count > 1 else ""
    return (
        f"It loses {lost.value:.4f} of {budget.metric.name} (at least {lost.low or 0:.4f}) on "
        f"{part.slice}{more}; {budget.max_slice_drop:g} may be lost on a slice."
    )
