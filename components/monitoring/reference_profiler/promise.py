"""Promise of a model on held-out rows: its task, its loss, and which scores came true."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.core.errors import DataError
from tfx_loop.models.task_labels import encoded_labels, inferred_task, label_named
from tfx_loop.models.task_losses import (
    Floats,
    answered,
    bounded_errors,
    constant_answer,
    may_judge,
    repeated,
    row_losses,
    shaped_answers,
)
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.columns import FeatureType, is_list, is_number
from tfx_loop.monitoring.profile.counts import BinCounter
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.profile.reference import FrozenProfile, PromisedLoss

# Of the losses of numbers, which have no upper end: few rows are to count as one error alike.
_CAP = 0.99
# A model without any error would make the first one infinitely large.
_LEAST_CAP = 1e-12


@dataclass(frozen=True)
class ScoredRows:
    """Rows that a model scored.

    Attributes:
        answers: Of shape [rows] or [rows, numbers]; None where no model was asked.
        labels: The label column; None where there is none.
        records: Serialized tf.Examples of some of the rows, for the importances.
    """

    answers: Floats | None = None
    labels: Any = None
    records: tuple[bytes, ...] = ()

    @property
    def scores(self) -> Any:
        """One number a row, as a pyarrow array: of several the largest, how sure the model is."""
        if self.answers is None:
            return None
        flat_answers = self.answers if self.answers.ndim == 1 else self.answers.max(axis=1)
        return pa.array(flat_answers)


def task_of(named: ModelTask | None, scored: ScoredRows) -> ModelTask | None:
    """Returns the task that a person named, or that labels and answers show.

    Raises:
        DataError: They may be classes or amounts.
    """
    if named is not None or scored.labels is None or scored.answers is None:
        return named
    column = scored.labels
    several = scored.answers.ndim == 2
    if is_list(column.type):
        values = column.flatten()
        if len(values) != len(column) or not is_number(values.type):
            if several:
                raise DataError(
                    f"Expected a task beside labels such as {column[0].as_py()} and "
                    f"{scored.answers.shape[1]} numbers a row, received none. Name it: "
                    "ReferenceProfiler(task='classes:3'), 'classes:red,green' or 'labels:a,b'."
                )
            return None
        column = values
    if not is_number(column.type):
        return None
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return inferred_task(np.asarray(numbers), scored.answers)


def with_one_label_a_row(table: Any, label: str, task: ModelTask | None) -> Any:
    """Returns training rows whose labels are one value each: of one-hot rows the class."""
    if task is None or not label or label not in table.column_names:
        return table
    column = unchunked(table.column(label))
    lengths = column.value_lengths().to_pylist() if is_list(column.type) else []
    if task.kind is not TaskKind.LABELS and max((n or 0 for n in lengths), default=0) <= 1:
        return table
    numbers = encoded_labels(column, task)
    place = table.column_names.index(label)
    if task.classes and task.kind is TaskKind.CLASSES:
        # By name, as the log's labels come: the numbers of outputs are this model's alone.
        names = [None if np.isnan(n) else label_named(n, task) for n in numbers]
        return table.set_column(place, label, pa.array(names, pa.string()))
    plain = pa.array(np.nan_to_num(numbers).astype(np.int64), mask=np.isnan(numbers))
    return table.set_column(place, label, plain)


def scores_that_came_true(scored: ScoredRows, task: ModelTask | None) -> Any:
    """Returns whether each scored row has label 1, or of several classes whether it was right.

    None where neither is asked: of numbers, and of sets of labels.
    """
    if scored.labels is None or scored.answers is None:
        return None
    if task is None or task.kind not in (TaskKind.BINARY, TaskKind.CLASSES):
        return None
    labels = encoded_labels(scored.labels, task)
    if task.kind is TaskKind.CLASSES:
        labels = np.where(np.isnan(labels), np.nan, labels == scored.answers.argmax(axis=1))
    return pa.array(labels, mask=np.isnan(labels))


def with_promise(
    profile: FrozenProfile, scored: ScoredRows, trained: Any, task: ModelTask | None
) -> FrozenProfile:
    """Returns the profile with the task, and with what the model lost on the scored rows.

    Args:
        profile: Of the training rows.
        scored: Held-out rows.
        trained: The label column of the training rows; None without one.
        task: What the model answers.

    Raises:
        DataError: Labels or answers do not fit the task.
    """
    if task is None:
        return profile
    profile = replace(profile, task=task)
    if scored.answers is None or scored.labels is None or trained is None:
        return profile
    answers = shaped_answers(scored.answers, len(scored.answers), task)
    labels, known = encoded_labels(scored.labels, task), encoded_labels(trained, task)
    seen = answered(answers) & np.isfinite(labels)
    known = known[np.isfinite(known)]
    # Scores that are no probabilities (margins, ranks) promise no loss: none is better than a wrong
    # one.
    if not seen.any() or not len(known) or not may_judge(answers[seen], task):
        return profile
    return replace(profile, promised=_promised(profile, labels, answers, seen, known, task))


def _promised(
    profile: FrozenProfile,
    labels: Floats,
    answers: Floats,
    seen: Any,
    known: Floats,
    task: ModelTask,
) -> PromisedLoss:
    losses = row_losses(labels[seen], answers[seen], task)
    flat = row_losses(labels[seen], repeated(constant_answer(known, task), len(losses)), task)
    cap, by_bin, squares = 1.0, np.zeros(0), np.zeros(0)
    if task.kind is TaskKind.REGRESSION:
        cap = max(float(np.quantile(losses, _CAP)), _LEAST_CAP)
        by_bin, squares = _by_bin(profile, answers[seen], losses)
    errors = bounded_errors(labels[seen], answers[seen], task, cap)
    return PromisedLoss(
        rows=len(losses),
        mean=float(losses.mean()),
        # Of independent rows; who groups rows is told of the design effect by the monitor.
        standard_error=float(losses.std() / np.sqrt(len(losses))),
        constant=float(flat.mean()),
        cap=cap,
        bounded=float(errors.mean()),
        by_bin=tuple(by_bin.tolist()),
        squares_by_bin=tuple(squares.tolist()),
    )


def _by_bin(profile: FrozenProfile, answers: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Returns the sums of losses and of their squares in each bin of the score."""
    score = profile.score
    if score is None or not isinstance(score.bins, NumericBins):
        return np.zeros(0), np.zeros(0)
    places = BinCounter(FeatureType.NUMERIC, score.bins).place(pa.array(answers)).places
    bins = len(score.bins)
    sums, squares = (
        np.bincount(places, weights=w, minlength=bins)[:bins].astype(np.float64)
        for w in (losses, losses**2)
    )
    return sums, squares
