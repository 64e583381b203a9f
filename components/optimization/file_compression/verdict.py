"""Final verdict on the chosen variant, from rows that nobody chose on. Pure.

The rows that only report are few where the file is small, and 95 % intervals of a loss are then
wider than most budgets. So the verdict is taken back when they show more than the budget allows,
unless that is no more than their number can tell: the interval reaches down to the limit, and over
all held-out rows (those that chose and those that report) the loss stays within it. One row is let
pass: of 100 rows it is 0.01, and a budget of 0.005 can neither be confirmed nor refuted on them.
"""

from dataclasses import dataclass

from tfx_loop.contracts.optimization_report import (
    OptimizationReason,
    OptimizationVerdict,
    Rung,
    SliceResult,
)
from tfx_loop.optimization.metrics.budget import Budget, BudgetJudgement, one_row
from tfx_loop.optimization.reporting import formatting


@dataclass(frozen=True, kw_only=True)
class FinalVerdict:
    """The verdict on a variant.

    Attributes:
        verdict: Whether it keeps to the budget.
        reason: Why.
        explanation: One sentence for people.
    """

    verdict: OptimizationVerdict
    reason: OptimizationReason
    explanation: str


def final_verdict(
    chosen: Rung,
    reporting: BudgetJudgement,
    held_out: BudgetJudgement,
    budget: Budget,
    parent_bytes: int,
) -> FinalVerdict:
    """Returns the verdict.

    Args:
        chosen: The variant.
        reporting: What it loses on the rows that only report.
        held_out: What it loses on these and on the rows that chose it.
        budget: What may be lost.
        parent_bytes: Size of the model that came in.
    """
    metric = formatting.metric_word(budget.metric.name)
    everywhere = {part.slice: part for part in (held_out.overall, *held_out.slices)}
    for part in reporting.over:
        if _refutes(part, everywhere[part.slice], budget):
            where = "" if part is reporting.overall else f" on {part.slice}"
            allowed = formatting.number(part.limit)
            return FinalVerdict(
                verdict=OptimizationVerdict.NOT_KEPT,
                reason=OptimizationReason.NOT_CONFIRMED,
                explanation=f"{_capital(chosen.name)} kept to the budget on the rows that chose "
                f"it, and loses {formatting.number(part.drop.value)} of {metric}{where} on "
                f"{part.rows:,} rows that it had not seen; {allowed} was allowed",
            )
    few = bool(reporting.over)
    return FinalVerdict(
        verdict=OptimizationVerdict.KEPT,
        reason=OptimizationReason.WITHIN_ON_ALL_HELD_OUT
        if few
        else OptimizationReason.WITHIN_BUDGET,
        explanation=_kept(chosen, reporting, budget, parent_bytes)
        + (_unsure(reporting.over[0], everywhere) if few else ""),
    )


def _refutes(part: SliceResult, everywhere: SliceResult, budget: Budget) -> bool:
    """Says whether a part that is over its limit takes the verdict back."""
    assert part.limit is not None
    if part.drop.value is None or everywhere.drop.value is None:
        return True
    # The whole interval lies beyond the limit: that is no matter of few rows.
    if part.drop.low is not None and part.drop.low > part.limit:
        return True
    allowed = max(part.limit, one_row(budget.metric, everywhere.rows))
    # 1e-9: a drop that is a fraction of rows equals its limit up to the last bit.
    return everywhere.drop.value > allowed + 1e-9


def _kept(chosen: Rung, reporting: BudgetJudgement, budget: Budget, parent_bytes: int) -> str:
    size = chosen.size.raw_bytes if chosen.size else 0
    # Below 1.05 the factor would be shown as "1.0 times smaller".
    smaller = parent_bytes >= 1.05 * size > 0
    gained = (
        f"{formatting.times(parent_bytes, size)} smaller" if smaller else formatting.size_text(size)
    )
    lost, metric = reporting.overall.drop.value or 0.0, formatting.metric_word(budget.metric.name)
    loss = _loss(metric, lost, budget.metric.higher_is_better)
    allowed = formatting.number(budget.max_metric_drop)
    return f"{_capital(chosen.name)} keeps to the budget: {gained}, {loss}, {allowed} was allowed"


def _unsure(part: SliceResult, everywhere: dict[str, SliceResult]) -> str:
    whole = everywhere[part.slice]
    where = "" if part.slice == "overall" else f" of {part.slice}"
    few, all_of_them = (formatting.number(x.drop.value) for x in (part, whole))
    return (
        f"; {few} on {part.rows:,} rows{where} is within what so few can tell, over all "
        f"{whole.rows:,} held-out rows it is {all_of_them}"
    )


def _loss(metric: str, lost: float, higher_is_better: bool) -> str:
    if not higher_is_better:
        return (
            f"{metric} rose by {formatting.number(lost)}" if lost > 0 else f"{metric} did not rise"
        )
    return f"{formatting.number(lost)} of {metric} lost" if lost > 0 else f"no {metric} lost"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
