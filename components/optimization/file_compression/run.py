"""How does `loop compress` get from a model and a file of rows to a smaller model and a report?"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import (
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Parity,
    write_report,
)
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.storage import write_bytes
from tfx_loop.models import inference
from tfx_loop.models.formats import detect
from tfx_loop.models.inference import Source
from tfx_loop.models.parity import compare
from tfx_loop.models.rows.rows import Parts, Rows, joined, split, stratified_sample
from tfx_loop.optimization.file_compression.baseline import no_better_than_guessing
from tfx_loop.optimization.file_compression.data import check_file, read_rows
from tfx_loop.optimization.file_compression.folder import (
    MODEL_FILE,
    PAGE_FILE,
    REPORT_FILE,
    check_free,
    staged,
)
from tfx_loop.optimization.file_compression.request import Request
from tfx_loop.optimization.file_compression.verdict import told_of
from tfx_loop.optimization.metrics.budget import Budget, Judgement, judge
from tfx_loop.optimization.metrics.labels import encode_labels
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.metrics.scoring import pick
from tfx_loop.optimization.quantizer.ladder import SearchResult, search
from tfx_loop.optimization.quantizer.modes import IoType, Mode, SearchSettings
from tfx_loop.optimization.reporting import formatting
from tfx_loop.optimization.reporting.facts import Described, facts_of
from tfx_loop.optimization.reporting.page import render

Array = npt.NDArray[Any]
Progress = Callable[[str], None]
_LATENCY_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model with the rows that it is measured on.

    Attributes:
        source: The model.
        parts: Rows by use, labels as numbers.
        budget: What may be lost.
        notes: What was assumed.
    """

    source: Source
    parts: Parts
    budget: Budget
    notes: tuple[str, ...]


def compress(request: Request, progress: Progress) -> OptimizationResult:
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
        found = _searched(request, task, worker, Path(scratch), progress)
        report = _reported(request, task, found, worker, stage, Path(scratch), progress)
        write_report(report, stage / REPORT_FILE)
        write_bytes(str(stage / PAGE_FILE), render(report).encode())
    return report


def _task(request: Request, worker: Worker, progress: Progress) -> Task:
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
    parts = split(replace(rows, labels=labels), request.seed)
    counts = ", ".join(f"{count:,} {use}" for use, count in parts.counts().items())
    progress(f"rows: {counts}")
    return Task(
        source=source,
        parts=parts,
        budget=Budget(
            metric=metric,
            max_metric_drop=request.budget,
            max_slice_drop=request.slice_budget,
            target=request.target,
        ),
        notes=tuple(notes),
    )


def _read_as(metric: Metric, label: str) -> str:
    logits = "; the outputs are logits" if metric.scoring.from_logits else ""
    kind = metric.scoring.describe().split(",")[0]
    return f"{label} is {kind}, measured by {metric.name}{logits}."


def _searched(
    request: Request, task: Task, worker: Worker, scratch: Path, progress: Progress
) -> SearchResult:
    settings = SearchSettings(io_type=IoType(request.io))
    if request.rungs:
        settings = replace(settings, modes=tuple(Mode(name) for name in request.rungs))
    folder = scratch / "variants"
    folder.mkdir()
    return search(
        detect(task.source.path),
        task.parts.calibration,
        task.parts.choosing,
        task.budget,
        settings=settings,
        signature=task.source.signature,
        seed=request.seed,
        worker=worker,
        out_dir=folder,
        progress=progress,
    )


def _reported(
    request: Request,
    task: Task,
    found: SearchResult,
    worker: Worker,
    stage: Path,
    scratch: Path,
    progress: Progress,
) -> OptimizationResult:
    """Measures on the rows that nobody chose on, and puts the model in its place."""
    report = OptimizationResult(
        technique="quantization",
        verdict=OptimizationVerdict.NOT_KEPT,
        reason=OptimizationReason.NO_VARIANT_KEEPS_BUDGET,
        explanation=_none_keeps(task.budget),
        parent=_facts(request, task, None, worker, scratch)["parent"],
        metric=MetricUsed(
            name=task.budget.metric.name, higher_is_better=task.budget.metric.higher_is_better
        ),
        rungs=found.rungs,
        rows=task.parts.counts(),
        settings=request.settings(),
        notes=task.notes,
    )
    if found.chosen is None or found.path is None:
        return report
    progress(f"measuring {found.chosen.name} on rows that it has not seen")
    reporting, held_out, parity = _unseen(task, found.path, worker)
    facts = _facts(request, task, found, worker, scratch)
    parent_bytes = facts["parent"].size.raw_bytes
    told = told_of(found.chosen, reporting, held_out, task.budget, parent_bytes)
    if told.verdict is OptimizationVerdict.KEPT:
        shutil.copy(found.path, stage / MODEL_FILE)
    return replace(
        report,
        verdict=told.verdict,
        reason=told.reason,
        explanation=told.explanation,
        parent=facts["parent"],
        child=facts["child"],
        overall=reporting.overall,
        slices=reporting.slices,
        parity=parity,
    )


def _unseen(task: Task, variant: Path, worker: Worker) -> tuple[Judgement, Judgement, Parity]:
    """Returns what the variant loses on the reporting rows and on all held-out rows, and parity."""
    rows = joined(task.parts.reporting, task.parts.choosing)
    reporting = len(task.parts.reporting)
    parent = inference.outputs_of(
        worker, task.source.path, rows.inputs, signature=task.source.signature
    )
    child = inference.outputs_of(worker, str(variant), rows.inputs)
    first = [{name: values[:reporting] for name, values in x.items()} for x in (parent, child)]
    return (
        _judged(task, task.parts.reporting, *first),
        _judged(task, rows, parent, child),
        compare(*first),
    )


def _judged(
    task: Task, rows: Rows, parent: Mapping[str, Array], child: Mapping[str, Array]
) -> Judgement:
    assert rows.labels is not None
    return judge(parent, child, rows.labels, task.budget, rows.slices)


def _facts(
    request: Request, task: Task, found: SearchResult | None, worker: Worker, scratch: Path
) -> dict[str, ModelFacts]:
    models = {
        "parent": Described(
            path=task.source.path,
            signature=task.source.signature,
            shown_path=str(request.model),
        )
    }
    if found is not None and found.chosen is not None:
        models["child"] = Described(
            path=str(found.path), mode=found.chosen.mode, shown_path=MODEL_FILE
        )
    rows = scratch / "timed.npz"
    reporting = task.parts.reporting
    reporting.take(np.arange(min(len(reporting), _LATENCY_ROWS))).save_inputs(rows)
    return facts_of(worker, models, str(rows) if found else None)


def _none_keeps(budget: Budget) -> str:
    metric = formatting.metric_word(budget.metric.name)
    return f"No variant keeps to the budget: {budget.max_metric_drop:g} of {metric} may be lost"
