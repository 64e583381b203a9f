"""The report of the node Quantizer on its search."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tfx_loop.contracts.optimization_report import (
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Rung,
)
from tfx_loop.models.guard import guard
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.quantizer.search import SearchResult
from tfx_loop.optimization.reporting.front import front_of

TECHNIQUE = "quantization"


def report_of(
    result: SearchResult,
    *,
    parent: ModelFacts,
    child: ModelFacts | None,
    baseline: ModelFacts | None = None,
    budget: Budget | None,
    rows: Mapping[str, int],
    settings: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> OptimizationResult:
    """Returns the report.

    Args:
        result: What the search came to.
        parent: The model that came in.
        child: The model that was chosen; None when none was.
        baseline: The parent as a float .tflite; None when it could not be made.
        budget: What might be lost.
        rows: Rows by use.
        settings: What was asked for.
        notes: What was assumed of the data.
    """
    verdict, reason, told = verdict_of(result, budget)
    chosen = result.chosen
    return OptimizationResult(
        technique=TECHNIQUE,
        verdict=verdict,
        reason=reason,
        explanation=told,
        parent=parent,
        child=None if child is None or chosen is None else with_layers(child, chosen),
        baseline=baseline,
        metric=None
        if budget is None
        else MetricUsed(name=budget.metric.name, higher_is_better=budget.metric.higher_is_better),
        overall=result.overall,
        slices=chosen.slices if chosen else (),
        parity=chosen.parity if chosen else None,
        outputs=result.outputs,
        rungs=result.rungs,
        front=front_of(result.rungs),
        rows=rows,
        settings=settings,
        notes=(*guard.notes(), *notes, *result.warnings),
    )


def verdict_of(
    result: SearchResult, budget: Budget | None
) -> tuple[OptimizationVerdict, OptimizationReason, str]:
    """Returns verdict, reason and a sentence."""
    if result.chosen is None:
        tried = ", ".join(f"{rung.name} ({rung.reason})" for rung in result.rungs)
        told = f"No variant keeps to the budget: {tried or 'none was tried'}."
        return OptimizationVerdict.NOT_KEPT, OptimizationReason.NO_VARIANT_KEEPS_BUDGET, told
    if budget is None:
        told = f"{result.chosen.name} was made as asked; no budget was given."
        return OptimizationVerdict.KEPT, OptimizationReason.NO_BUDGET, told
    told = f"{result.chosen.name}: {result.chosen.explanation}"
    return OptimizationVerdict.KEPT, OptimizationReason.WITHIN_BUDGET, told


def with_layers(child: ModelFacts, chosen: Rung) -> ModelFacts:
    """Returns the facts with the layers that stayed in float marked, and each layer's error."""
    marked = tuple(
        replace(
            layer,
            kept_in_float=layer.name in chosen.float_layers,
            error=chosen.layer_errors.get(layer.name),
        )
        for layer in child.layers
    )
    return replace(child, layers=marked)
