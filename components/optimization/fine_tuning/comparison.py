"""How good is a trained child beside its parent, on rows that neither was trained on?"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from tfx_loop.contracts.optimization_report import (
    OVERALL,
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    SliceResult,
    SliceStatus,
)
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import DataError
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.parity import compare
from tfx_loop.models.rows.rows import Rows
from tfx_loop.optimization.fine_tuning.node import Judged
from tfx_loop.optimization.metrics.budget import Budget, Judgement, judge
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.metrics.scoring import Scoring, infer_scoring
from tfx_loop.optimization.reporting.facts import Described, facts_of
from tfx_loop.optimization.reporting.sizes import size_of

Array: TypeAlias = npt.NDArray[Any]
_SECONDS_OF_CALLS = 0.5


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two models that are compared.

    Attributes:
        asked: The file that answers and is timed.
        rows: The reporting rows as it takes them.
        deployed: The file or folder whose bytes count; None for the one that answers.
        output: Which output is judged, where it has several.
    """

    asked: Described
    rows: Rows
    deployed: Path | None = None
    output: str | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is judged, and by what.

    Attributes:
        technique: `pruning`, `clustering`, `distillation`.
        settings: What was asked for, as JSON.
        judged: Metric and limits.
        refused: Why the child is refused whatever it scores, in a sentence; empty where it is not.
        notes: What was assumed or left out, in sentences.
    """

    technique: str
    settings: Mapping[str, Any]
    judged: Judged
    refused: str = ""
    notes: tuple[str, ...] = ()


def compared(worker: Worker, parent: Side, child: Side, asked: Asked) -> OptimizationResult:
    """Returns the report on a child.

    Raises:
        DataError: The rows have no labels, or do not fit a model.
    """
    labels = parent.rows.labels
    if labels is None:
        raise DataError("Expected labels to judge the child by, received none. Name label_key.")
    with tempfile.TemporaryDirectory(prefix="loop-compare-") as scratch:
        before, scoring = _scores(worker, parent, labels, None, scratch)
        after, _ = _scores(worker, child, labels, scoring, scratch)
        facts = _facts(worker, parent, child, Path(scratch))
    metric = infer_metric(labels, before, asked.judged.metric)
    judgement = _judged(before, after, labels, metric, parent.rows.slices, asked)
    verdict, reason, explanation = _verdict(judgement, metric, asked)
    return OptimizationResult(
        technique=asked.technique,
        verdict=verdict,
        reason=reason,
        explanation=explanation,
        parent=facts["parent"],
        child=facts["child"],
        metric=MetricUsed(name=metric.name, higher_is_better=metric.higher_is_better),
        overall=judgement.overall,
        slices=judgement.slices,
        parity=compare({"scores": before}, {"scores": after}),
        rows={"reporting": len(parent.rows)},
        settings=asked.settings,
        notes=(*asked.notes, *parent.rows.notes),
    )


def _scores(
    worker: Worker, side: Side, labels: Array, like: Scoring | None, scratch: str
) -> tuple[Array, Scoring]:
    """Returns probabilities or numbers, whatever the model's outputs are, and how they are read."""
    outputs = outputs_of(
        worker,
        side.asked.path,
        side.rows.inputs,
        signature=side.asked.signature,
        custom_objects=side.asked.custom_objects,
        folder=scratch,
    )
    scoring = infer_scoring(labels, outputs, side.output if len(outputs) > 1 else None)
    if like is not None and scoring.kind is not like.kind:
        raise DataError(
            f"Expected a child that predicts {like.describe()}, received one that predicts "
            f"{scoring.describe()}."
        )
    _, scores = scoring.read(labels, outputs)
    return scores, scoring


def _judged(
    before: Array,
    after: Array,
    labels: Array,
    metric: Metric,
    slices: Mapping[str, Array],
    asked: Asked,
) -> Judgement:
    budget = Budget(
        metric=metric,
        max_metric_drop=asked.judged.max_metric_drop or 0.0,
        max_slice_drop=asked.judged.max_slice_drop,
    )
    judgement = judge(before, after, labels, budget, slices)
    if asked.judged.max_metric_drop is not None:
        return judgement
    overall = replace(judgement.overall, limit=None, status=SliceStatus.NOT_LIMITED)
    return replace(judgement, overall=overall)


def _verdict(
    judgement: Judgement, metric: Metric, asked: Asked
) -> tuple[OptimizationVerdict, OptimizationReason, str]:
    told = _told(judgement.overall, metric)
    if asked.refused:
        return (
            OptimizationVerdict.NOT_KEPT,
            OptimizationReason.SPARSITY_NOT_REACHED,
            f"{asked.refused} {told}.",
        )
    if over := judgement.over:
        where = "" if over[0].slice == OVERALL else f" on {over[0].slice}"
        explanation = f"{_told(over[0], metric)}{where}; {over[0].limit:.4g} may be lost."
        return OptimizationVerdict.NOT_KEPT, OptimizationReason.NO_VARIANT_KEEPS_BUDGET, explanation
    asked_for = (asked.judged.max_metric_drop, asked.judged.max_slice_drop)
    limits = [limit for limit in asked_for if limit is not None]
    if not limits:
        return OptimizationVerdict.KEPT, OptimizationReason.NO_BUDGET, f"{told}; no limit was set."
    return (
        OptimizationVerdict.KEPT,
        OptimizationReason.WITHIN_BUDGET,
        f"{told}; {limits[0]:.4g} may be lost.",
    )


def _told(result: SliceResult, metric: Metric) -> str:
    lost = result.drop.value
    if lost is None:
        return f"{metric.name} is not defined on these rows"
    return f"{abs(lost):.4g} of {metric.name} {'lost' if lost > 0 else 'gained'}"


def _facts(worker: Worker, parent: Side, child: Side, scratch: Path) -> dict[str, ModelFacts]:
    """Times both in turns where they take the same rows, else one after the other."""
    sides = {"parent": parent, "child": child}
    together = set(parent.rows.inputs) == set(child.rows.inputs)
    found: dict[str, ModelFacts] = {}
    for names in [list(sides)] if together else [[name] for name in sides]:
        path = scratch / f"{names[0]}.npz"
        sides[names[0]].rows.save_inputs(path)
        models = {name: sides[name].asked for name in names}
        found |= facts_of(worker, models, str(path), seconds=_SECONDS_OF_CALLS)
    return {name: _sized(facts, sides[name].deployed) for name, facts in found.items()}


def _sized(facts: ModelFacts, deployed: Path | None) -> ModelFacts:
    """A Keras file carries its optimizer's memory; what is deployed does not."""
    return facts if deployed is None else replace(facts, size=size_of(deployed))
