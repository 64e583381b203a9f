"""What do rows that nobody chose on say of the variant that was chosen? Pure."""

from dataclasses import dataclass

from components.optimization import words
from components.optimization.budget import Budget, Judgement, one_row
from components.optimization.report import Reason, Rung, SliceStatus, Verdict


@dataclass(frozen=True, kw_only=True)
class Told:
    """The verdict on a variant.

    Attributes:
        verdict: Whether it keeps to the budget.
        reason: Why.
        explanation: One sentence for people.
    """

    verdict: Verdict
    reason: Reason
    explanation: str


def told_of(chosen: Rung, judgement: Judgement, budget: Budget, parent_bytes: int) -> Told:
    """Returns the verdict from the reporting rows.

    A drop above the budget by no more than what one row can move is let pass: of 100 rows, one is
    0.01, and a budget of 0.005 can neither be confirmed nor refuted on them.
    """
    metric = words.metric_word(budget.metric.name)
    size = chosen.size.raw_bytes if chosen.size else 0
    over = [
        part
        for part in judgement.over
        if (part.drop.value or 0.0) > one_row(budget.metric, part.rows) + 1e-9
        or part.drop.value is None
    ]
    if over:
        part = over[0]
        where = "" if part is judgement.overall else f" on {part.slice}"
        return Told(
            verdict=Verdict.NOT_KEPT,
            reason=Reason.NOT_CONFIRMED,
            explanation=f"{_capital(chosen.name)} kept to the budget on the rows that chose it, "
            f"and loses {words.number(part.drop.value)} of {metric}{where} on {part.rows:,} rows "
            f"that it had not seen; {words.number(part.limit)} was allowed",
        )
    lost = judgement.overall.drop.value or 0.0
    gained = (
        f"{words.times(parent_bytes, size)} smaller"
        if size and parent_bytes >= 1.05 * size
        else f"{words.size_text(size)}"
    )
    loss = _loss(metric, lost, budget.metric.higher_is_better)
    unsure = judgement.overall.status is SliceStatus.OVER
    return Told(
        verdict=Verdict.KEPT,
        reason=Reason.WITHIN_ONE_ROW if unsure else Reason.WITHIN_BUDGET,
        explanation=f"{_capital(chosen.name)} keeps to the budget: {gained}, {loss}, "
        f"{words.number(budget.max_metric_drop)} was allowed"
        + (f" (one of {judgement.overall.rows:,} rows)" if unsure else ""),
    )


def _loss(metric: str, lost: float, higher_is_better: bool) -> str:
    if not higher_is_better:
        return f"{metric} rose by {words.number(lost)}" if lost > 0 else f"{metric} did not rise"
    return f"{words.number(lost)} of {metric} lost" if lost > 0 else f"no {metric} lost"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
