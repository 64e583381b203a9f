"""The run of `loop compress`: from a model and a file of rows to a smaller model and a report."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Parity,
)
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.storage import write_bytes
from tfx_loop.models import inference
from tfx_loop.models.formats import detect
from tfx_loop.models.guard import guard
from tfx_loop.models.inference import ModelSource
from tfx_loop.models.parity import compare
from tfx_loop.models.rows.splits import Rows, RowSplit, joined, split, stratified_sample
from tfx_loop.optimization.file_compression.baseline import no_better_than_guessing
from tfx_loop.optimization.file_compression.data import check_file, read_rows
from tfx_loop.optimization.file_compression.folder import (
    MODEL_FILE,
    PAGE_FILE,
    REPORT_FILE,
    check_free,
    staged,
)
from tfx_loop.optimization.file_compression.request import CompressionRequest
from tfx_loop.optimization.file_compression.verdict import final_verdict
from tfx_loop.optimization.metrics.budget import Budget, BudgetJudgement, judge
from tfx_loop.optimization.metrics.labels import encode_labels
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.metrics.scoring import pick
from tfx_loop.optimization.quantizer.ladder import SearchResult, search
from tfx_loop.optimization.quantizer.modes import IoType, QuantizationMode, SearchSettings
from tfx_loop.optimization.quantizer.request import SearchRequest
from tfx_loop.optimization.reporting import formatting
from tfx_loop.optimization.reporting.facts import MeasuredModel, facts_of
from tfx_loop.optimization.reporting.page import render

Array = npt.NDArray[Any]
Progress = Callable[[str], None]
# Rows that latency is measured with, cycled through: two batches of 32.
_LATENCY_ROWS = 64
_NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class CompressionTask:
    """A model with the rows that it is measured on.

    Attributes:
        request: What is asked.
        worker: Opens, converts and asks the models.
        source: The model.
        parts: Rows by use, labels as numbers.
        budget: What may be lost.
        choosing_outputs: The parent's outputs for the rows that choose.
        reporting_outputs: The parent's outputs for the rows that report.
        notes: What was assumed.
    """

    request: CompressionRequest
    worker: Worker
    source: ModelSource
    parts: RowSplit
    budget: Budget
    choosing_outputs: Mapping[str, Array]
    reporting_outputs: Mapping[str, Array]
    notes: tuple[str, ...]


def compress(request: CompressionRequest, progress: Progress) -> OptimizationResult:
    """Writes the smallest model within the budget, its report and its page; returns the report.

    Without a variant that keeps to the budget the folder holds report and page alone.

    Args:
        request: What is asked.
        progress: Gets a line for each step.

    Raises:
        LoopError: Model, rows or settings are not what was expected, or the work failed; nothing
            was written.
    """
    check_free(request.out)
    detect(request.model)
    check_file(request.data, request.label, request.slice_columns)
    limits = {"timeout_seconds": request.timeout_seconds, "memory_mb": request.memory_mb}
    with (
        Worker(**limits) as worker,
        staged(request.out) as stage,
        tempfile.TemporaryDirectory(prefix="loop-compress-") as scratch,
    ):
        task = _task(request, worker, progress)
        variant = Path(scratch) / "variants" / MODEL_FILE
        found = search(_search_request(task), worker, variant, progress)
        report = _report(task, found, Path(scratch), progress)
        if report.verdict is OptimizationVerdict.KEPT:
            shutil.copy(variant, stage / MODEL_FILE)
        OPTIMIZATION_REPORT.save(report, stage / REPORT_FILE)
        write_bytes(str(stage / PAGE_FILE), render(report).encode())
    return report


def _task(request: CompressionRequest, worker: Worker, progress: Progress) -> CompressionTask:
    source = inference.source_of(
        worker, str(detect(request.model).path), signature=request.signature
    )
    shown = ", ".join(str(tensor) for tensor in source.inputs)
    progress(f"model: {request.model}, {source.format}, takes {shown}")
    rows = read_rows(request.data, source.inputs, request.label, request.slice_columns)
    if request.max_rows is not None:
        rows = stratified_sample(rows, request.max_rows, request.seed)
    outputs = inference.outputs_of(worker, source.path, rows.inputs, signature=source.signature)
    label = request.label or "y"
    assert rows.labels is not None
    if (request.output is None and len(outputs) > 1) or request.output not in (None, *outputs):
        raise ConfigError(
            f"Expected --output, the one that {label} belongs to, of {', '.join(outputs)}; "
            f"received {request.output or 'none'}. Name one."
        )
    scores = pick(outputs, request.output)
    labels, said = encode_labels(rows.labels, scores, label)
    metric = infer_metric(labels, outputs, request.metric, request.output)
    notes = [*rows.notes, *([said] if said else []), _read_as(metric, label)]
    if warning := no_better_than_guessing(metric, labels, outputs):
        notes.append(warning)
    for note in notes:
        progress(note)
    rows = replace(rows, labels=labels)
    parts = split(rows, request.seed)
    # The parent was asked once about all rows; row numbers that are split alike find its answers.
    numbered = replace(rows, inputs={_NUMBER: np.arange(len(rows))}, slices={})
    numbers = split(numbered, request.seed)
    counts = ", ".join(f"{count:,} {use}" for use, count in parts.counts().items())
    progress(f"rows: {counts}")
    return CompressionTask(
        request=request,
        worker=worker,
        source=source,
        parts=parts,
        budget=Budget(
            metric=metric,
            max_metric_drop=request.budget,
            max_slice_drop=request.slice_budget,
            target=request.target,
        ),
        choosing_outputs=_at(outputs, numbers.choosing),
        reporting_outputs=_at(outputs, numbers.reporting),
        notes=tuple(notes),
    )


def _at(outputs: Mapping[str, Array], numbered: Rows) -> dict[str, Array]:
    return {name: values[numbered.inputs[_NUMBER]] for name, values in outputs.items()}


def _read_as(metric: Metric, label: str) -> str:
    logits = "; the outputs are logits" if metric.scoring.from_logits else ""
    kind = metric.scoring.describe().split(",")[0]
    return f"{label} is {kind}, measured by {metric.name}{logits}."


def _search_request(task: CompressionTask) -> SearchRequest:
    settings = SearchSettings(io_type=IoType(task.request.io))
    if rungs := task.request.rungs:
        settings = replace(settings, modes=tuple(QuantizationMode(name) for name in rungs))
    return SearchRequest(
        source=detect(task.source.path),
        calibration=task.parts.calibration,
        choosing=task.parts.choosing,
        budget=task.budget,
        search=settings,
        signature=task.source.signature,
        seed=task.request.seed,
        parent_outputs=task.choosing_outputs,
    )


def _report(
    task: CompressionTask, found: SearchResult, scratch: Path, progress: Progress
) -> OptimizationResult:
    """Returns the report; a variant that was chosen is measured on rows that nobody chose on."""
    if found.chosen is not None:
        progress(f"measuring {found.chosen.name} on rows that it has not seen")
    facts = _facts(task, found, scratch)
    report = OptimizationResult(
        technique="quantization",
        verdict=OptimizationVerdict.NOT_KEPT,
        reason=OptimizationReason.NO_VARIANT_KEEPS_BUDGET,
        explanation=_none_keeps(task.budget),
        parent=facts["parent"],
        metric=MetricUsed(
            name=task.budget.metric.name, higher_is_better=task.budget.metric.higher_is_better
        ),
        rungs=found.rungs,
        rows=task.parts.counts(),
        settings=task.request.settings(),
        notes=(*guard.notes(), *task.notes),
    )
    if found.chosen is None or found.path is None:
        return report
    reporting, held_out, parity = _unseen(task, found.path)
    parent_bytes = facts["parent"].size.raw_bytes
    final = final_verdict(found.chosen, reporting, held_out, task.budget, parent_bytes)
    return replace(
        report,
        verdict=final.verdict,
        reason=final.reason,
        explanation=final.explanation,
        child=facts["child"],
        overall=reporting.overall,
        slices=reporting.slices,
        parity=parity,
    )


def _unseen(
    task: CompressionTask, variant: Path
) -> tuple[BudgetJudgement, BudgetJudgement, Parity]:
    """Returns what the variant loses on the reporting rows and on all held-out rows, and parity."""
    rows = joined(task.parts.reporting, task.parts.choosing)
    reporting = len(task.parts.reporting)
    parent = {
        name: np.concatenate([values, task.choosing_outputs[name]])
        for name, values in task.reporting_outputs.items()
    }
    child = inference.outputs_of(task.worker, str(variant), rows.inputs)
    first = [{name: values[:reporting] for name, values in x.items()} for x in (parent, child)]
    return (
        _judged(task, task.parts.reporting, *first),
        _judged(task, rows, parent, child),
        compare(*first),
    )


def _judged(
    task: CompressionTask, rows: Rows, parent: Mapping[str, Array], child: Mapping[str, Array]
) -> BudgetJudgement:
    assert rows.labels is not None
    return judge(parent, child, rows.labels, task.budget, rows.slices)


def _facts(task: CompressionTask, found: SearchResult, scratch: Path) -> dict[str, ModelFacts]:
    """Returns what is known of the parent, and of the variant with the time of a call of both."""
    models = {
        "parent": MeasuredModel(
            path=task.source.path,
            signature=task.source.signature,
            shown_path=str(task.request.model),
        )
    }
    if found.chosen is None:
        return facts_of(task.worker, models)
    models["child"] = MeasuredModel(
        path=str(found.path), mode=found.chosen.mode, shown_path=MODEL_FILE
    )
    rows = scratch / "timed.npz"
    reporting = task.parts.reporting
    reporting.take(np.arange(min(len(reporting), _LATENCY_ROWS))).save_inputs(rows)
    return facts_of(task.worker, models, str(rows))


def _none_keeps(budget: Budget) -> str:
    metric = formatting.metric_word(budget.metric.name)
    return f"No variant keeps to the budget: {budget.max_metric_drop:g} of {metric} may be lost"
