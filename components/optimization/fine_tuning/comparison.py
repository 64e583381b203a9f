"""Report on a trained child beside its parent, on rows that neither was trained on."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from tfx_loop.contracts.model_evaluation import OVERALL
from tfx_loop.contracts.optimization_report import (
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    SliceResult,
    SliceStatus,
)
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.guard import guard
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.parity import compare
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.fine_tuning.settings import FineTuningNodeSettings
from tfx_loop.optimization.metrics.budget import Budget, BudgetJudgement, judge
from tfx_loop.optimization.metrics.eval_config import from_eval_config
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.metrics.scoring import Scoring, infer_scoring
from tfx_loop.optimization.reporting.facts import MeasuredModel, facts_of
from tfx_loop.optimization.reporting.sizes import size_of

Array: TypeAlias = npt.NDArray[Any]
# Trained children are compared for their metric; a rough median is enough beside it.
_SECONDS_OF_CALLS = 0.5


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """The metric that a child is judged by, and what it may lose of it.

    Attributes:
        label: Feature that holds the label.
        metric: Class name of the metric; None for accuracy, or R2 where the labels are numbers.
        slices: Features that results are broken down by.
        max_metric_drop: What may be lost; None for no limit.
        max_slice_drop: What may be lost on each slice; None for no limit.
        signature: That the Evaluator asks; empty where no eval_config names one.
    """

    label: str
    metric: str | None = None
    slices: tuple[str, ...] = ()
    max_metric_drop: float | None = None
    max_slice_drop: float | None = None
    signature: str = ""

    @classmethod
    def of(cls, settings: FineTuningNodeSettings) -> "Acceptance":
        """Returns what the settings of a node say.

        The Evaluator's own configuration names metric, label and slices, where it is given.

        Raises:
            ConfigError: Neither names the label.
        """
        evaluation = None
        if settings.eval_config:
            evaluation = from_eval_config(settings.eval_config, settings.metric or None)
        label = settings.label_key or (evaluation.label if evaluation else None)
        if not label:
            raise ConfigError(
                "Expected label_key, or an eval_config that names one, received neither. "
                "Name the feature that holds the label."
            )
        return cls(
            label=label,
            metric=evaluation.metric_name if evaluation else settings.metric or None,
            slices=evaluation.slice_columns if evaluation else (),
            max_metric_drop=settings.max_metric_drop,
            max_slice_drop=settings.max_slice_drop,
            signature=evaluation.signature if evaluation else "",
        )


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """One of the two models that are compared.

    Attributes:
        model: The file that answers and is timed.
        rows: The reporting rows as it takes them.
        deployed: The file or folder whose bytes count; None for the one that answers.
        output: Which output is judged, where it has several.
    """

    model: MeasuredModel
    rows: Rows
    deployed: Path | None = None
    output: str | None = None


def comparison_report(
    worker: Worker,
    parent: ComparedModel,
    child: ComparedModel,
    acceptance: Acceptance,
    *,
    technique: str,
    settings: Mapping[str, Any],
    notes: tuple[str, ...] = (),
    refused: str = "",
) -> OptimizationResult:
    """Returns the report on a child.

    Args:
        worker: Asks and times both models.
        parent: What the child was made from.
        child: The trained model.
        acceptance: Metric and limits.
        technique: `pruning`, `clustering`, `distillation`.
        settings: What was asked for, as JSON.
        notes: What was assumed or left out, in sentences.
        refused: Why the child is refused whatever it scores, in a sentence; empty where it is not.

    Raises:
        DataError: The rows have no labels, or do not fit a model.
    """
    labels = parent.rows.labels
    if labels is None:
        raise DataError("Expected labels to judge the child by, received none. Name label_key.")
    with tempfile.TemporaryDirectory(prefix="loop-compare-", dir=worker.folder) as scratch:
        before, scoring = _scores(worker, parent, labels, None, scratch)
        after, _ = _scores(worker, child, labels, scoring, scratch)
        facts = _facts(worker, parent, child, Path(scratch))
    # By the parent's answers: the child must not choose by what it is judged.
    metric = infer_metric(labels, before, acceptance.metric)
    judgement = _judgement(before, after, labels, metric, parent.rows.slices, acceptance)
    verdict, reason, explanation = _verdict(judgement, metric, acceptance, refused)
    return OptimizationResult(
        technique=technique,
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
        settings=settings,
        notes=(*guard.notes(), *notes, *parent.rows.notes),
    )


def _scores(
    worker: Worker, compared: ComparedModel, labels: Array, like: Scoring | None, scratch: str
) -> tuple[Array, Scoring]:
    """Returns probabilities or numbers, whatever the model's outputs are, and how they are read."""
    outputs = outputs_of(
        worker,
        compared.model.path,
        compared.rows.inputs,
        signature=compared.model.signature,
        custom_objects=compared.model.custom_objects,
        folder=scratch,
    )
    scoring = infer_scoring(labels, outputs, compared.output if len(outputs) > 1 else None)
    # A metric of two kinds of answers compares nothing.
    if like is not None and scoring.kind is not like.kind:
        raise DataError(
            f"Expected a child that predicts {like.describe()}, received one that predicts "
            f"{scoring.describe()}."
        )
    _, scores = scoring.read(labels, outputs)
    return scores, scoring


def _judgement(
    before: Array,
    after: Array,
    labels: Array,
    metric: Metric,
    slices: Mapping[str, Array],
    acceptance: Acceptance,
) -> BudgetJudgement:
    budget = Budget(
        metric=metric,
        # A budget needs a number; without a limit its status is replaced below.
        max_metric_drop=acceptance.max_metric_drop or 0.0,
        max_slice_drop=acceptance.max_slice_drop,
    )
    judgement = judge(before, after, labels, budget, slices)
    if acceptance.max_metric_drop is not None:
        return judgement
    overall = replace(judgement.overall, limit=None, status=SliceStatus.NOT_LIMITED)
    return replace(judgement, overall=overall)


def _verdict(
    judgement: BudgetJudgement, metric: Metric, acceptance: Acceptance, refused: str
) -> tuple[OptimizationVerdict, OptimizationReason, str]:
    told = _loss(judgement.overall, metric)
    # First: fewer zeros than asked for make the child no answer, whatever it scores.
    if refused:
        return (
            OptimizationVerdict.NOT_KEPT,
            OptimizationReason.SPARSITY_NOT_REACHED,
            f"{refused} {told}.",
        )
    if over := judgement.over:
        where = "" if over[0].slice == OVERALL else f" on {over[0].slice}"
        explanation = f"{_loss(over[0], metric)}{where}; {over[0].limit:.4g} may be lost."
        return OptimizationVerdict.NOT_KEPT, OptimizationReason.NO_VARIANT_KEEPS_BUDGET, explanation
    stated = (acceptance.max_metric_drop, acceptance.max_slice_drop)
    limits = [limit for limit in stated if limit is not None]
    if not limits:
        return OptimizationVerdict.KEPT, OptimizationReason.NO_BUDGET, f"{told}; no limit was set."
    return (
        OptimizationVerdict.KEPT,
        OptimizationReason.WITHIN_BUDGET,
        f"{told}; {limits[0]:.4g} may be lost.",
    )


def _loss(result: SliceResult, metric: Metric) -> str:
    lost = result.drop.value
    if lost is None:
        return f"{metric.name} is not defined on these rows"
    return f"{abs(lost):.4g} of {metric.name} {'lost' if lost > 0 else 'gained'}"


def _facts(
    worker: Worker, parent: ComparedModel, child: ComparedModel, scratch: Path
) -> dict[str, ModelFacts]:
    """Times both in turns where they take the same rows, else one after the other."""
    models = {"parent": parent, "child": child}
    # In turns, so that another load of the machine slows both.
    together = set(parent.rows.inputs) == set(child.rows.inputs)
    found: dict[str, ModelFacts] = {}
    for names in [list(models)] if together else [[name] for name in models]:
        path = scratch / f"{names[0]}.npz"
        models[names[0]].rows.save_inputs(path)
        timed = {name: models[name].model for name in names}
        found |= facts_of(worker, timed, str(path), seconds=_SECONDS_OF_CALLS)
    return {name: _sized(facts, models[name].deployed) for name, facts in found.items()}


def _sized(facts: ModelFacts, deployed: Path | None) -> ModelFacts:
    """A Keras file carries its optimizer's memory; what is deployed does not."""
    return facts if deployed is None else replace(facts, size=size_of(deployed))
