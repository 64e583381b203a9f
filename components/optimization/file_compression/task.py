"""The task of `loop compress`: a model and a file's rows; labels, metrics and budgets settled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.import_path import user_function
from tfx_loop.models import inference
from tfx_loop.models.class_names import class_names_of
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.inference import ModelSource
from tfx_loop.models.keras.export import plain_model
from tfx_loop.models.keras.file import is_of_keras_3
from tfx_loop.models.rows.splits import Rows, RowSplit, joined, split, stratified_sample
from tfx_loop.optimization.file_compression.data import read_classes, read_rows
from tfx_loop.optimization.file_compression.guess_warning import no_better_than_guessing
from tfx_loop.optimization.file_compression.request import CompressionRequest
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.labels import ClassNames, encode_labels
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.metrics.own_metric import OwnMetric, own_metric
from tfx_loop.optimization.metrics.scoring import pick

Array = npt.NDArray[Any]
Progress = Callable[[str], None]
_NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class CompressionTask:
    """A model with the rows that it is measured on.

    Attributes:
        request: What is asked.
        worker: Opens, converts and asks the models.
        source: The model as it is asked and converted.
        given: The model as it came.
        parts: Rows by use, labels as numbers.
        budget: What may be lost.
        other_budgets: What may be lost of further outputs, by output.
        choosing_outputs: The parent's outputs for the rows that choose.
        reporting_outputs: The parent's outputs for the rows that report.
        training: Rows to train on, labels as those of `parts`; None for none.
        notes: What was assumed.
    """

    request: CompressionRequest
    worker: Worker
    source: ModelSource
    given: ModelFile
    parts: RowSplit
    budget: Budget
    other_budgets: Mapping[str, Budget]
    choosing_outputs: Mapping[str, Array]
    reporting_outputs: Mapping[str, Array]
    notes: tuple[str, ...]
    training: Rows | None = None


def task_of(
    request: CompressionRequest, worker: Worker, scratch: Path, progress: Progress
) -> CompressionTask:
    """Returns the task of a request.

    Args:
        request: What is asked.
        worker: Opens and asks the model.
        scratch: Gets what is made of a model that needs code, or Keras 3.
        progress: Gets a line for each thing that was read or assumed.

    Raises:
        LoopError: Model, rows or settings are not what was expected.
    """
    given = detect(request.model)
    plain = plain_model(worker, given, scratch / "exported", request.custom_objects)
    source = inference.source_of(worker, str(plain.path), signature=request.signature)
    shown = ", ".join(str(tensor) for tensor in source.inputs)
    progress(f"model: {request.model}, {given.format.value}, takes {shown}")
    further = {other.output: other.label for other in request.others}

    def read(path: Path, slice_columns: Sequence[str] = ()) -> Rows:
        return read_rows(
            path,
            source.inputs,
            request.label,
            slice_columns,
            further,
            loader=request.loader,
            preprocess=request.preprocess,
        )

    def ask(rows: Rows) -> dict[str, Array]:
        return inference.outputs_of(worker, source.path, rows.inputs, signature=source.signature)

    rows = read(request.data, request.slice_columns)
    if request.max_rows is not None:
        rows = stratified_sample(rows, request.max_rows, request.seed)
    outputs = ask(rows)
    _check_outputs(request, outputs)
    names = ClassNames(
        given=read_classes(request.classes) if request.classes else (),
        of_model=lambda count: class_names_of(worker, str(given.path), count),
    )
    training = None
    if request.train is not None:
        check_trainable(given)
        training = read(request.train)
        rows, training, said = _numbered_alike(request, (rows, outputs), training, ask, names)
        progress(f"rows to train on: {len(training):,}{f'. {said}' if said else ''}")
    rows, budget, notes = _settled(request, rows, outputs, names)
    rows, others, further_notes = _others_settled(request, rows, outputs)
    notes = [*rows.notes, *notes, *further_notes]
    for note in notes:
        progress(note)
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
        given=given,
        parts=parts,
        budget=budget,
        other_budgets=others,
        choosing_outputs=_at(outputs, numbers.choosing),
        reporting_outputs=_at(outputs, numbers.reporting),
        notes=tuple(notes),
        training=training,
    )


def check_trainable(given: ModelFile) -> None:
    """Checks that a model can be trained further.

    Raises:
        ConfigError: It is no file of tf_keras, which TensorFlow's optimisation toolkit works on.
    """
    file = given.format in (Format.KERAS, Format.H5)
    if not file or is_of_keras_3(given.path):
        kind = "a file of Keras 3" if file else f"a {given.format.value}"
        raise ConfigError(
            f"Expected a .keras or .h5 file of tf_keras (Keras 2) beside --train, received {kind}. "
            "Leave --train out: the other rungs take it."
        )


def _numbered_alike(
    request: CompressionRequest,
    judged: tuple[Rows, Mapping[str, Array]],
    training: Rows,
    ask: Callable[[Rows], Mapping[str, Array]],
    names: ClassNames,
) -> tuple[Rows, Rows, str | None]:
    """Returns both sets of rows with labels as numbers, the same number for the same class.

    Numbered apart, a file that lacks a class would give the next one its number.
    """
    rows, outputs = judged
    both = joined(replace(rows, slices={}), training)
    assert both.labels is not None
    scores = [pick(found, request.output) for found in (outputs, ask(training))]
    label = request.label or "y"
    labels, said = encode_labels(both.labels, np.concatenate(scores), label, names)
    parts = labels[: len(rows)], labels[len(rows) :]
    training = replace(training, labels=parts[1])
    # A function of the user's reads labels as they are.
    return (rows if request.evaluate else replace(rows, labels=parts[0])), training, said


def check_share(metric: Metric, drop: float) -> None:
    """Checks that a budget of a share is one: 1 of an accuracy is all of it.

    Raises:
        ConfigError: It is 1 or more, of a metric between 0 and 1.
    """
    # A person who writes 1 means a percentage point.
    if drop >= 1 and metric.is_share:
        raise ConfigError(
            f"Expected a --budget below 1 of {metric.name}, which lies between 0 and 1, received "
            f"{drop:g}. One percentage point is 0.01 or 1%."
        )


def _check_outputs(request: CompressionRequest, outputs: Mapping[str, Array]) -> None:
    label = request.label or "y"
    if (request.output is None and len(outputs) > 1) or request.output not in (None, *outputs):
        raise ConfigError(
            f"Expected --output, the one that {label} belongs to, of {', '.join(outputs)}; "
            f"received {request.output or 'none'}. Name one."
        )
    for other in request.others:
        if other.output not in outputs or other.output == request.output:
            raise ConfigError(
                f"Expected a further output of {', '.join(outputs)} in --budget, received "
                f"{other.output}. Name each output once."
            )


def _settled(
    request: CompressionRequest, rows: Rows, outputs: Mapping[str, Array], names: ClassNames
) -> tuple[Rows, Budget, list[str]]:
    """Returns the rows with labels as numbers, the budget, and what was assumed."""
    label = request.label or "y"
    assert rows.labels is not None
    if request.evaluate is not None:
        # The function reads labels as the user's own; those that are text stay so.
        labels, said = rows.labels, None
        metric: Metric = _own(request, outputs)
    else:
        labels, said = encode_labels(rows.labels, pick(outputs, request.output), label, names)
        metric = infer_metric(labels, outputs, request.metric, request.output)
    scale, told = budget_unit(request, metric, labels, outputs)
    if not request.relative:
        check_share(metric, request.budget)
    budget = Budget(
        metric=metric,
        max_metric_drop=request.budget * scale,
        max_slice_drop=None if request.slice_budget is None else request.slice_budget * scale,
        target=request.target,
    )
    notes = [*([said] if said else []), _read_as(metric, label), *told]
    if warning := no_better_than_guessing(metric, labels, outputs):
        notes.append(warning)
    return replace(rows, labels=labels), budget, notes


def _own(request: CompressionRequest, outputs: Mapping[str, Array]) -> OwnMetric:
    given = request.evaluate
    function = user_function(given, "evaluate") if isinstance(given, str) else given
    assert function is not None
    return own_metric(
        function,
        request.evaluate_name,
        higher_is_better=request.higher_is_better,
        output=request.output if len(outputs) > 1 else None,
    )


def _others_settled(
    request: CompressionRequest, rows: Rows, outputs: Mapping[str, Array]
) -> tuple[Rows, dict[str, Budget], list[str]]:
    """Does the same for further outputs."""
    labels, budgets, notes = {}, {}, []
    for other in request.others:
        found, said = encode_labels(
            rows.other_labels[other.output], pick(outputs, other.output), other.label
        )
        metric = infer_metric(found, outputs, other.metric, other.output)
        scale, told = budget_unit(request, metric, found, outputs)
        if not request.relative:
            check_share(metric, other.budget)
        labels[other.output] = found
        budgets[other.output] = Budget(metric=metric, max_metric_drop=other.budget * scale)
        notes += [*([said] if said else []), _read_as(metric, other.label), *told]
    return replace(rows, other_labels=labels), budgets, notes


def budget_unit(
    request: CompressionRequest, metric: Metric, labels: Array, outputs: Mapping[str, Array]
) -> tuple[float, list[str]]:
    """Returns what a budget of 1 is in the metric's unit, and a line that says so.

    Raises:
        ConfigError: Budgets are shares of the parent's value, and that is no number or 0.
    """
    if not request.relative:
        return 1.0, []
    # Of all rows: the limit is stated once, before any variant is seen, and the same for all.
    value = metric.measure(labels, outputs).value
    if not np.isfinite(value) or value == 0:
        raise ConfigError(
            f"Expected a model whose {metric.name} is a number other than 0, as --relative takes "
            f"shares of it, received {value:g}. State the budget in the metric's unit."
        )
    return abs(value), [f"Budgets are shares of the model's own {metric.name}, {value:.4g}."]


def _at(outputs: Mapping[str, Array], numbered: Rows) -> dict[str, Array]:
    return {name: values[numbered.inputs[_NUMBER]] for name, values in outputs.items()}


def _read_as(metric: Metric, label: str) -> str:
    if isinstance(metric, OwnMetric):
        return f"The answers to {label} are measured by the function {metric.name}."
    logits = "; the outputs are logits" if metric.scoring.from_logits else ""
    kind = metric.scoring.describe().split(",")[0]
    return f"{label} is {kind}, measured by {metric.name}{logits}."
