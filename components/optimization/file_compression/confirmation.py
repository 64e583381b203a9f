"""Verdict on the chosen variant, from rows that nobody chose on. Pure.

A variant that loses more than the budget on the rows that only report is not kept, however few they
are: nobody could show a reader such a report and say that the budget holds. The search then falls
back to the next variant. Slices are smaller, and one of many looks bad by chance: a slice over its
limit counts when its interval excludes the limit, or when all held-out rows (those that chose and
those that report) are over it too.
"""

from collections.abc import Sequence

from tfx_loop.contracts.optimization_report import OutputResult, Rung, SliceResult
from tfx_loop.optimization.metrics.budget import Budget, BudgetJudgement, is_within, one_row
from tfx_loop.optimization.reporting import formatting


def refutation(
    name: str, reporting: BudgetJudgement, held_out: BudgetJudgement, budget: Budget
) -> str | None:
    """Returns why a variant does not keep to the budget after all, in a sentence; None if it does.

    Args:
        name: What people call the variant.
        reporting: What it loses on the rows that only report.
        held_out: What it loses on these and on the rows that chose it.
        budget: What may be lost.
    """
    everywhere = {part.slice: part for part in (held_out.overall, *held_out.slices)}
    for part in reporting.over:
        overall = part is reporting.overall
        if overall or _slice_is_over(part, everywhere[part.slice], budget):
            where = "" if overall else f" on {part.slice}"
            metric = formatting.metric_word(budget.metric.name)
            return (
                f"{_capital(name)} kept to the budget on the rows that chose it, and loses "
                f"{formatting.number(part.drop.value)} of {metric}{where} on {part.rows:,} rows "
                f"that it had not seen; {formatting.number(part.limit)} was allowed"
            )
    return None


def refutation_by_outputs(name: str, found: Sequence[OutputResult]) -> str | None:
    """Returns which output loses more than its budget on unseen rows, in a sentence; else None."""
    for one in found:
        part = one.overall
        if part is not None and part.limit is not None and _is_over(part):
            metric = formatting.metric_word(one.metric.name) if one.metric else "its metric"
            return (
                f"{_capital(name)} kept to the budget of {one.output} on the rows that "
                f"chose it, and loses {formatting.number(part.drop.value)} of {metric} on "
                f"{part.rows:,} rows that it had not seen; {formatting.number(part.limit)} was "
                "allowed"
            )
    return None


def kept(chosen: Rung, reporting: BudgetJudgement, budget: Budget, gained: str) -> str:
    """Returns what a variant gained and lost, in a sentence.

    Args:
        chosen: The variant.
        reporting: What it loses on the rows that only report.
        budget: What may be lost.
        gained: What is said of its size.
    """
    lost, metric = reporting.overall.drop.value or 0.0, formatting.metric_word(budget.metric.name)
    loss = _loss(metric, lost, budget.metric.higher_is_better)
    allowed = formatting.number(budget.max_metric_drop)
    return f"{_capital(chosen.name)} keeps to the budget: {gained}, {loss}, {allowed} was allowed"


def _slice_is_over(part: SliceResult, everywhere: SliceResult, budget: Budget) -> bool:
    assert part.limit is not None
    # A metric that is not defined on these rows (AUC with one class) confirms nothing.
    if part.drop.value is None or everywhere.drop.value is None:
        return True
    # The whole interval lies beyond the limit: that is no matter of few rows.
    if part.drop.low is not None and part.drop.low > part.limit:
        return True
    # No slice is refused for a single row.
    allowed = max(part.limit, one_row(budget.metric, everywhere.rows))
    return not is_within(everywhere.drop.value, allowed)


def _loss(metric: str, lost: float, higher_is_better: bool) -> str:
    if not higher_is_better:
        return (
            f"{metric} rose by {formatting.number(lost)}" if lost > 0 else f"{metric} did not rise"
        )
    return f"{formatting.number(lost)} of {metric} lost" if lost > 0 else f"no {metric} lost"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_over(part: SliceResult) -> bool:
    value = part.drop.value
    return value is None or part.limit is None or not is_within(value, part.limit)
