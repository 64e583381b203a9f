"""How is a choice written down? As an OptimizationReport whose rungs are the variants."""

from collections.abc import Mapping, Sequence

from tfx_loop.contracts.optimization_report import (
    ModelFacts,
    OptimizationResult,
    OptimizationVerdict,
    Rung,
    RungStatus,
)
from tfx_loop.contracts.optimization_report import OptimizationReason as ReportReason
from tfx_loop.optimization.variant_chooser.choice import (
    Choice,
    ChoiceReason,
    ChoiceTarget,
    VariantCandidate,
)

_STATUS = {
    ChoiceReason.CHOSEN: RungStatus.CHOSEN,
    ChoiceReason.NOT_BLESSED: RungStatus.OVER_BUDGET,
    ChoiceReason.PARENT_NOT_BLESSED: RungStatus.OVER_BUDGET,
    ChoiceReason.OVER_BUDGET: RungStatus.OVER_BUDGET,
    ChoiceReason.LARGER: RungStatus.KEPT,
    ChoiceReason.SLOWER: RungStatus.KEPT,
    ChoiceReason.NOT_TIMED: RungStatus.SKIPPED,
}


def report_of(
    choice: Choice,
    candidates: Sequence[VariantCandidate],
    facts: Mapping[str, ModelFacts],
    target: ChoiceTarget,
) -> OptimizationResult:
    """Returns the report: the first variant as the parent, the chosen one as the child."""
    found = choice.chosen is not None
    reason = ReportReason.WITHIN_BUDGET if found else ReportReason.NO_VARIANT_KEEPS_BUDGET
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
