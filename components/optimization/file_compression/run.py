"""The run of `loop compress`: from a model and a file of rows to a smaller model and a report."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    OutputResult,
    Parity,
    RungStatus,
    SliceResult,
    SliceStatus,
)
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ModelError
from tfx_loop.core.import_path import user_function
from tfx_loop.core.storage import write_bytes
from tfx_loop.models import inference
from tfx_loop.models.formats import detect
from tfx_loop.models.guard import guard
from tfx_loop.models.parity import compare
from tfx_loop.models.rows.splits import Rows, joined
from tfx_loop.optimization.file_compression import confirmation
from tfx_loop.optimization.file_compression.data import (
    check_file,
    read_classes,
)
from tfx_loop.optimization.file_compression.folder import (
    MODEL_FILE,
    PAGE_FILE,
    REPORT_FILE,
    check_free,
    staged,
)
from tfx_loop.optimization.file_compression.request import CompressionRequest
from tfx_loop.optimization.file_compression.task import CompressionTask, Progress, task_of
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics import several_outputs
from tfx_loop.optimization.metrics.budget import Budget, BudgetJudgement, judge
from tfx_loop.optimization.quantizer.budget_verdict import RungReason, too_small
from tfx_loop.optimization.quantizer.modes import IoType, QuantizationMode
from tfx_loop.optimization.quantizer.request import SearchRequest
from tfx_loop.optimization.quantizer.search import SearchResult, search
from tfx_loop.optimization.quantizer.settings import SearchSettings
from tfx_loop.optimization.reporting import formatting
from tfx_loop.optimization.reporting.facts import MeasuredModel, facts_of
from tfx_loop.optimization.reporting.front import front_of
from tfx_loop.optimization.reporting.latency import TIMED_ROWS
from tfx_loop.optimization.reporting.page import render

Array = npt.NDArray[Any]
_BASELINE = "float.tflite"


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
    # Before the worker starts: a wrong path or label is told in no time, not after TensorFlow's
    # import.
    detect(request.model)
    if isinstance(request.evaluate, str):
        user_function(request.evaluate, "evaluate")
    further = [other.label for other in request.others]
    columns = (*request.slice_columns, *further)
    check_file(request.data, request.label, columns, loader=request.loader)
    if request.train is not None:
        check_file(request.train, request.label, further, loader=request.loader)
    if request.classes is not None:
        read_classes(request.classes)
    limits = {"timeout_seconds": request.timeout_seconds, "memory_mb": request.memory_mb}
    with (
        Worker(**limits) as worker,
        staged(request.out) as stage,
        tempfile.TemporaryDirectory(prefix="loop-compress-", dir=worker.folder) as scratch,
    ):
        task = task_of(request, worker, Path(scratch), progress)
        variant = Path(scratch) / "variants" / MODEL_FILE
        request_of_search = _search_request(task, Path(scratch) / _BASELINE)
        unseen = ReportingRows(task, progress)
        found = search(request_of_search, worker, variant, progress, unseen.refutation)
        _check_converted(found)
        report = _report(task, found, unseen, Path(scratch))
        for warning in unseen.warnings:
            progress(warning)
        # A model that did not keep to the budget on unseen rows is not left where scripts pick it
        # up.
        if report.verdict is OptimizationVerdict.KEPT:
            shutil.copy(variant, stage / MODEL_FILE)
        OPTIMIZATION_REPORT.save(report, stage / REPORT_FILE)
        write_bytes(str(stage / PAGE_FILE), render(report).encode())
    return report


def _search_request(task: CompressionTask, baseline: Path) -> SearchRequest:
    training = FineTuningSettings(
        epochs=task.request.epochs, custom_objects=task.request.custom_objects
    )
    settings = SearchSettings(
        io_type=IoType(task.request.io), fine_tuning=training if task.training else None
    )
    if rungs := task.request.rungs:
        settings = replace(settings, modes=tuple(QuantizationMode(name) for name in rungs))
    return SearchRequest(
        source=detect(task.source.path),
        calibration=task.parts.calibration,
        choosing=task.parts.choosing,
        budget=task.budget,
        other_budgets=task.other_budgets,
        limits=task.request.limits,
        search=settings,
        signature=task.source.signature,
        seed=task.request.seed,
        parent_outputs=task.choosing_outputs,
        baseline=baseline,
        keras=task.given.path if task.training else None,
        training=task.training,
    )


class ReportingRows:
    """The rows that nobody chose on, asked about variants before one is taken.

    Attributes:
        reporting: What the variant that was asked about last loses on them.
        parity: Its difference from the parent on them.
        outputs: What happened to each output, of a model with several.
        warnings: A line for each output that nothing was asked of.
    """

    reporting: BudgetJudgement
    parity: Parity
    outputs: tuple[OutputResult, ...] = ()
    warnings: tuple[str, ...] = ()

    def __init__(self, task: CompressionTask, progress: Progress) -> None:
        self._task, self._progress = task, progress

    def refutation(self, name: str, variant: Path) -> str | None:
        """Returns why a variant does not keep to the budget on these rows; None where it does."""
        self._progress(f"measuring {name} on rows that it has not seen")
        task = self._task
        # The rows that report come first: the first `count` of them are judged alone, all of them
        # together.
        rows, count = joined(task.parts.reporting, task.parts.choosing), len(task.parts.reporting)
        parent = {
            name: np.concatenate([values, task.choosing_outputs[name]])
            for name, values in task.reporting_outputs.items()
        }
        child = inference.outputs_of(task.worker, str(variant), rows.inputs)
        first = [{name: values[:count] for name, values in x.items()} for x in (parent, child)]
        self.reporting = _judged(task, task.parts.reporting, *first)
        self.parity = compare(*first)
        labels = {**task.parts.reporting.other_labels}
        budgets = {**task.other_budgets}
        if task.request.output and task.parts.reporting.labels is not None:
            labels[task.request.output] = task.parts.reporting.labels
            budgets[task.request.output] = task.budget
        self.outputs = several_outputs.results(first[0], first[1], labels, budgets)
        self.warnings = tuple(several_outputs.warnings(self.outputs, first[0]))
        held_out = _judged(task, rows, parent, child)
        return confirmation.refutation(
            name, self.reporting, held_out, task.budget
        ) or confirmation.refutation_by_outputs(name, self.outputs)


def _check_converted(found: SearchResult) -> None:
    """Checks that the converter took the model in some way; the budget is not to blame else.

    Raises:
        ModelError: It refused the model in every mode that was tried.
    """
    tried = [rung for rung in found.rungs if rung.status is not RungStatus.SKIPPED]
    refused = [rung for rung in tried if rung.reason == RungReason.FAILED_TO_CONVERT.value]
    if tried and len(refused) == len(tried):
        raise ModelError(
            f"Expected a model that TensorFlow's converter takes in some mode, received one that "
            f"it refuses in all {len(tried)}, with its own batch and with a batch of 1. "
            f"{refused[-1].name}: {refused[-1].explanation}"
        )


def _report(
    task: CompressionTask, found: SearchResult, unseen: ReportingRows, scratch: Path
) -> OptimizationResult:
    """Returns the report; a variant that was chosen is measured on rows that nobody chose on."""
    facts = _facts(task, found, scratch)
    refuted = [rung for rung in found.rungs if rung.reason == RungReason.REFUTED.value]
    report = OptimizationResult(
        technique="quantization",
        verdict=OptimizationVerdict.NOT_KEPT,
        reason=OptimizationReason.NOT_CONFIRMED
        if refuted
        else OptimizationReason.NO_VARIANT_KEEPS_BUDGET,
        explanation=refuted[0].explanation.rstrip(".") if refuted else _none_keeps(task),
        parent=facts["parent"],
        metric=several_outputs.used(task.budget),
        rungs=found.rungs,
        front=front_of(found.rungs),
        rows=task.parts.counts(),
        settings=task.request.settings(),
        notes=(*guard.notes(), *task.notes),
    )
    if found.chosen is None:
        return report
    # Told of the choosing rows: slices too small to decide there were not guarded by anything.
    small = too_small(found.chosen.slices)
    gained = formatting.gained_size(facts["child"], facts["parent"], facts.get("baseline"))
    return replace(
        report,
        verdict=OptimizationVerdict.KEPT,
        reason=OptimizationReason.WITHIN_BUDGET,
        explanation=confirmation.kept(found.chosen, unseen.reporting, task.budget, gained),
        child=facts["child"],
        baseline=facts.get("baseline"),
        overall=unseen.reporting.overall,
        slices=_as_certain(unseen.reporting.slices, found.chosen.slices),
        parity=unseen.parity,
        outputs=unseen.outputs,
        notes=(*report.notes, *unseen.warnings, *([small] if small else [])),
    )


def _as_certain(
    reporting: Sequence[SliceResult], choosing: Sequence[SliceResult]
) -> tuple[SliceResult, ...]:
    """Returns slices of the reporting rows; only what was certain before counts as within."""
    certain = {part.slice for part in choosing if part.status is SliceStatus.WITHIN}
    return tuple(
        replace(part, status=SliceStatus.TOO_FEW_ROWS)
        if part.status is SliceStatus.WITHIN and part.slice not in certain
        else part
        for part in reporting
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
            # What was exported of it is no file of the user's.
            sized=str(task.given.path),
        )
    }
    if found.chosen is None:
        return facts_of(task.worker, models)
    models["child"] = MeasuredModel(
        path=str(found.path), mode=found.chosen.mode, shown_path=MODEL_FILE
    )
    if (scratch / _BASELINE).is_file():
        models["baseline"] = MeasuredModel(path=str(scratch / _BASELINE), shown_path=_BASELINE)
    rows = scratch / "timed.npz"
    reporting = task.parts.reporting
    reporting.take(np.arange(min(len(reporting), TIMED_ROWS))).save_inputs(rows)
    return facts_of(task.worker, models, str(rows))


def _none_keeps(task: CompressionTask) -> str:
    first = (task.request.output or "") if task.other_budgets else ""
    budgets: dict[str, Budget] = {first: task.budget, **task.other_budgets}
    allowed = [
        f"{budget.max_metric_drop:.4g} of "
        f"{formatting.metric_word(budget.metric.name)}{f' of {output}' if output else ''}"
        for output, budget in budgets.items()
    ]
    return f"No variant keeps to the budget: {' and '.join(allowed)} may be lost"
