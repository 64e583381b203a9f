"""Choice of the variant that is deployed, and the report on it. Pure.

Every variant passed, or failed, the same gate; among those that passed, the target decides. The
first is the model that the others were made from. It is a variant like them, so there is always
something to fall back on; when it did not pass its own gate, none of them may be deployed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tfx_loop.contracts.optimization_report import (
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Rung,
    RungStatus,
)
from tfx_loop.core.errors import DataError


class ChoiceTarget(str, Enum):
    """What the variant should be, among those that are good enough."""

    SMALLEST = "smallest"
    FASTEST = "fastest"


class ChoiceReason(str, Enum):
    """Why a variant was chosen or left."""

    CHOSEN = "chosen"
    NOT_BLESSED = "not_blessed"
    PARENT_NOT_BLESSED = "parent_not_blessed"
    OVER_BUDGET = "over_budget"
    LARGER = "larger_than_chosen"
    SLOWER = "slower_than_chosen"
    NOT_TIMED = "not_timed"
    PARENT_NOT_TIMED = "parent_not_timed"
    # Neither a gate nor an optimiser's budget vouches for it.
    NOT_EVALUATED = "not_evaluated"


# What the report calls each: a variant that was evaluated and refused is over budget.
_STATUS = {
    ChoiceReason.CHOSEN: RungStatus.CHOSEN,
    ChoiceReason.NOT_BLESSED: RungStatus.OVER_BUDGET,
    ChoiceReason.PARENT_NOT_BLESSED: RungStatus.OVER_BUDGET,
    ChoiceReason.OVER_BUDGET: RungStatus.OVER_BUDGET,
    ChoiceReason.LARGER: RungStatus.KEPT,
    ChoiceReason.SLOWER: RungStatus.KEPT,
    ChoiceReason.NOT_TIMED: RungStatus.SKIPPED,
    ChoiceReason.PARENT_NOT_TIMED: RungStatus.SKIPPED,
    ChoiceReason.NOT_EVALUATED: RungStatus.SKIPPED,
}


@dataclass(frozen=True, kw_only=True)
class VariantCandidate:
    """One variant.

    Attributes:
        name: Such as `float` or `quantized`.
        size_bytes: Bytes of what would be deployed.
        latency_ms: Median of one call at batch 1; None when nobody timed it.
        blessed: What the evaluation said; None when there was none.
        kept: Whether its optimiser found it within the budget; None when nobody asked it.
    """

    name: str
    size_bytes: int
    latency_ms: float | None = None
    blessed: bool | None = None
    kept: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes:
        chosen: Name of the variant; None when none may be deployed.
        reasons: A reason for every variant, in the order given.
        explanation: One sentence.
    """

    chosen: str | None
    reasons: Mapping[str, ChoiceReason]
    explanation: str


def choose(candidates: Sequence[VariantCandidate], target: ChoiceTarget) -> Choice:
    """Returns the best variant of those that may be deployed.

    A variant may be deployed when its evaluation blessed it; where it has none, its optimiser must
    have found it within the budget; one that nobody judged may not. The first one is what the
    others were made from: it needs no evaluation, where it is not blessed, none is deployed, and it
    stays unless another is known to be better.

    Raises:
        DataError: There is no candidate, or two have one name.
    """
    names = [candidate.name for candidate in candidates]
    if not names or len(set(names)) < len(names):
        raise DataError(f"Expected variants with names of their own, received {names}.")
    first = candidates[0]
    reasons = {c.name: _held_back(c, target, is_first=c is first) for c in candidates}
    if reasons[first.name] is None and _MEASURES[target](first) == float("inf"):
        # Nothing is known to be faster than what was not timed.
        unknown = [name for name, why in reasons.items() if not why and name != first.name]
        reasons |= dict.fromkeys(unknown, ChoiceReason.PARENT_NOT_TIMED)
    # The others were made from it and are compared with it: a refused parent vouches for none.
    if first.blessed is False:
        rest = dict.fromkeys(names[1:], ChoiceReason.PARENT_NOT_BLESSED)
        reasons = {names[0]: ChoiceReason.NOT_BLESSED, **rest}
    eligible = [candidate for candidate in candidates if reasons[candidate.name] is None]
    if not eligible:
        held = ", ".join(f"{name} ({reason})" for name, reason in _texts(reasons).items())
        return Choice(
            chosen=None,
            reasons={name: reason for name, reason in reasons.items() if reason},
            explanation=f"No variant may be deployed: {held}.",
        )
    # min keeps the first of equals, so the parent stays unless another is really better.
    best = min(eligible, key=_MEASURES[target])
    left = ChoiceReason.LARGER if target is ChoiceTarget.SMALLEST else ChoiceReason.SLOWER
    final = {
        name: reason or (ChoiceReason.CHOSEN if name == best.name else left)
        for name, reason in reasons.items()
    }
    return Choice(chosen=best.name, reasons=final, explanation=_sentence(best, candidates, target))


def report_of(
    choice: Choice,
    candidates: Sequence[VariantCandidate],
    facts: Mapping[str, ModelFacts],
    target: ChoiceTarget,
) -> OptimizationResult:
    """Returns the report: the first variant as the parent, the chosen one as the child."""
    found = choice.chosen is not None
    reason = (
        OptimizationReason.WITHIN_BUDGET if found else OptimizationReason.NO_VARIANT_KEEPS_BUDGET
    )
    return OptimizationResult(
        technique="choice",
        verdict=OptimizationVerdict.KEPT if found else OptimizationVerdict.NOT_KEPT,
        reason=reason,
        explanation=choice.explanation,
        parent=facts[candidates[0].name],
        child=facts[choice.chosen] if choice.chosen else None,
        rungs=tuple(
            Rung(
                name=candidate.name,
                mode=facts[candidate.name].mode,
                status=_STATUS[choice.reasons[candidate.name]],
                reason=choice.reasons[candidate.name].value,
                size=facts[candidate.name].size,
                latency_ms=candidate.latency_ms,
            )
            for candidate in candidates
        ),
        settings={"target": target.value},
    )


def _held_back(
    candidate: VariantCandidate, target: ChoiceTarget, *, is_first: bool
) -> ChoiceReason | None:
    if candidate.blessed is False:
        return ChoiceReason.NOT_BLESSED
    # The Evaluator's word goes before the optimiser's: it is the same gate for all variants.
    if candidate.blessed is None and candidate.kept is False:
        return ChoiceReason.OVER_BUDGET
    if candidate.blessed is None and candidate.kept is None and not is_first:
        return ChoiceReason.NOT_EVALUATED
    if target is ChoiceTarget.FASTEST and candidate.latency_ms is None and not is_first:
        return ChoiceReason.NOT_TIMED
    return None


def _texts(reasons: Mapping[str, ChoiceReason | None]) -> dict[str, str]:
    return {name: reason.value if reason else "" for name, reason in reasons.items()}


def _size(candidate: VariantCandidate) -> float:
    return candidate.size_bytes


def _latency(candidate: VariantCandidate) -> float:
    return candidate.latency_ms if candidate.latency_ms is not None else float("inf")


_MEASURES: Mapping[ChoiceTarget, Callable[[VariantCandidate], float]] = {
    ChoiceTarget.SMALLEST: _size,
    ChoiceTarget.FASTEST: _latency,
}


def _sentence(
    best: VariantCandidate, candidates: Sequence[VariantCandidate], target: ChoiceTarget
) -> str:
    first = candidates[0]
    measure = _MEASURES[target]
    known = measure(first) < float("inf")
    if best.name == first.name:
        why = f"no other variant is both allowed and {target.value}"
        unknown = "it could not be timed, so no other variant is known to be faster"
        return f"{best.name} is deployed: {why if known else unknown}."
    if not known or not measure(best):
        return f"{best.name} is deployed: it is the {target.value} that is allowed."
    gain = measure(first) / measure(best)
    thing = "smaller" if target is ChoiceTarget.SMALLEST else "faster"
    return f"{best.name} is deployed: {gain:.1f} times {thing} than {first.name}."
