"""Rows that TFMA judges, and what of its result is kept beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.task import BINARY, ModelTask, TaskKind
from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.models.task_labels import encoded_labels, inferred_task
from tfx_loop.models.task_losses import Floats, shaped_answers
from tfx_loop.monitoring.profile.columns import flat, is_list, is_number
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.profile.redacted import named_values
from tfx_loop.monitoring.quality_monitor.judged_groups import LABEL_SLICE, grouped

# The name of TFMA's example weight: how many rows of the log a judged row stands for.
WEIGHT = "rows"
_SCORES = pa.large_list(pa.float64())


@dataclass(frozen=True, kw_only=True)
class JudgedWindow:
    """Which rows are judged, and by which output.

    Attributes:
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        score: Output that is judged, such as "probability".
        task: What the model answers.
    """

    start_ms: int
    end_ms: int
    score: str
    task: ModelTask = BINARY


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Scores, labels and times of a window's rows, each of shape (rows,), in order of time.

    Attributes:
        scores: The judged output, in the task's shape; None where it has several scores a row and
            nobody said what they are.
        labels: Its labels, encoded (models/task_labels.py).
        event_times_ms: When each row happened, milliseconds UTC.
        label_times_ms: When its label came.
        unknown: Rows that are left out, as no class of the task has their label.
    """

    scores: npt.NDArray[np.float64] | None
    labels: npt.NDArray[np.float64]
    event_times_ms: npt.NDArray[np.int64]
    label_times_ms: npt.NDArray[np.int64]
    unknown: int = 0


def shown_task(log: pa.Table, window: JudgedWindow) -> ModelTask:
    """Returns the task that labels and answers of a log show; binary where that can't be told.

    Raises:
        DataError: They may be classes or amounts.
    """
    if not log.num_rows or is_list(log.schema.field(f"output.{window.score}").type):
        return BINARY
    column = unchunked(log["label"])
    if not is_number(column.type):
        return BINARY
    labels = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return inferred_task(labels, log[f"output.{window.score}"].to_numpy())


def labelled_rows(log: pa.Table, window: JudgedWindow) -> LabelledRows:
    """Returns the rows of a labelled log that fall into a window, in order of time and identity."""
    if not log.num_rows:
        none, never = np.zeros(0), np.zeros(0, dtype=np.int64)
        # No rows have the shape of the task's answers, too: what follows computes with it.
        several = window.task.kind in (TaskKind.CLASSES, TaskKind.LABELS)
        unasked = np.zeros((0, window.task.outputs)) if several else none
        return LabelledRows(scores=unasked, labels=none, event_times_ms=never, label_times_ms=never)
    rows = scored_rows(log, window)
    order = ("event_time_ms", "request_id", "instance_index")
    rows = rows.sort_by([(name, "ascending") for name in order if name in rows.column_names])
    if _several_unnamed(rows[f"output.{window.score}"].type, window):
        scores, labels = None, rows["label"].to_numpy().astype(np.float64)
    else:
        labels, scores = _labels_and_answers(rows, window)
    known = np.isfinite(labels)
    return LabelledRows(
        scores=None if scores is None else scores[known],
        labels=labels[known],
        event_times_ms=rows["event_time_ms"].to_numpy()[known],
        label_times_ms=rows["label_time_ms"].to_numpy()[known],
        unknown=int((~known).sum()),
    )


def judged_rows(
    log: pa.Table,
    window: JudgedWindow,
    *,
    label: str,
    slice_features: list[str],
    redaction: Redaction = OPEN,
) -> pa.RecordBatch:
    """Returns the labelled and scored rows of a window for TFMA, like rows counted together.

    A set of labels is a row for each label, sliced by it as well (judged_groups.py). Rows with
    several scores that nobody said the meaning of stay as they are.

    Args:
        log: Rows of a labelled PredictionLog.
        window: Which of them, and by which output.
        label: Name that the label gets.
        slice_features: Features by which quality is sliced.
        redaction: What slices are called; TFMA's own files have these names, too.

    Returns:
        One list column each: `label`, `score` and `WEIGHT` (float64), the slice features. Lists
        have one value, but those of the scores of several classes.

    Raises:
        DataError: The log has rows, and lacks the score or a slice feature.
    """
    score = window.score
    columns = {"label": label, f"output.{score}": score}
    columns |= {f"feature.{name}": name for name in slice_features}
    if not log.num_rows:
        return _batch({name: pa.array([], pa.float64()) for name in (*columns.values(), WEIGHT)})
    missing = sorted(set(columns) - set(log.column_names))
    if missing:
        raise DataError(
            f"Expected the columns {sorted(columns)} in the labelled log, found none of {missing}. "
            "Name the score and the slice features as the model's signature does."
        )
    rows = scored_rows(log, window)
    rows = rows.select(list(columns)).rename_columns(list(columns.values()))
    for name in slice_features:
        named = named_values(flat(rows[name]), name, redaction)
        rows = rows.set_column(rows.column_names.index(name), name, named)
    if _several_unnamed(rows[score].type, window):
        ones = pa.array(np.ones(rows.num_rows))
        values = {name: rows[name] for name in slice_features}
        values |= {label: pc.cast(rows[label], pa.float64()), WEIGHT: ones}
        return _batch(values, {score: rows[score].combine_chunks().cast(_SCORES)})
    labels, answers = _labels_and_answers(rows, window, label, score)
    known = np.isfinite(labels)
    rows = rows.filter(pa.array(known))
    codes = [_codes(rows[name]) for name in slice_features]
    groups = grouped(labels[known], answers[known], codes, window.task)
    plain: dict[str, Any] = {label: pa.array(groups.labels), WEIGHT: pa.array(groups.rows)}
    plain |= {name: rows[name].take(pa.array(groups.first)) for name in slice_features}
    if groups.names:
        plain[LABEL_SLICE] = pa.array(groups.names, pa.string())
    if groups.answers.ndim == 1:
        return _batch({label: plain.pop(label), score: pa.array(groups.answers), **plain})
    return _batch(plain, {score: pa.array(groups.answers.tolist(), _SCORES)})


def _several_unnamed(kind: Any, window: JudgedWindow) -> bool:
    return is_list(kind) and not window.task.outputs


def _labels_and_answers(
    rows: pa.Table, window: JudgedWindow, label: str = "label", score: str = ""
) -> tuple[Floats, Floats]:
    column = unchunked(rows[score or f"output.{window.score}"])
    values = np.array(column.to_pylist()) if is_list(column.type) else column.to_numpy()
    answers = shaped_answers(values, rows.num_rows, window.task)
    return encoded_labels(rows[label], window.task), answers


def _codes(column: Any) -> npt.NDArray[np.int64]:
    """Returns a number for each value of a column to slice by; -1 where it is missing."""
    texts = pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    indices = texts.dictionary_encode().indices
    return np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def scored_rows(log: pa.Table, window: JudgedWindow) -> pa.Table:
    """Returns the rows of a log that fall into a window and have a finite score, or only such.

    Raises:
        DataError: Rows have scores of different numbers of classes.
    """
    time = log["event_time_ms"]
    inside = pc.and_(pc.greater_equal(time, window.start_ms), pc.less(time, window.end_ms))
    # One NaN among the scores would cost the window all its metrics.
    scores = log[f"output.{window.score}"]
    if is_list(scores.type):
        scored = _scored_classes(scores.combine_chunks(), window.score)
    else:
        scored = pc.fill_null(pc.is_finite(scores), False)
    return log.filter(pc.and_(inside, scored))


def _scored_classes(scores: Any, name: str) -> Any:
    """Returns which rows have a finite score of every class."""
    if isinstance(scores, pa.ChunkedArray):  # Some pyarrow versions combine into chunks again.
        scores = pa.concat_arrays(scores.chunks) if scores.num_chunks else pa.array([], _SCORES)
    lengths = pc.fill_null(pc.list_value_length(scores), 0).to_numpy(zero_copy_only=False)
    sizes = np.unique(lengths[lengths > 0])
    if len(sizes) > 1:
        raise DataError(
            f"Expected scores of the same classes in every row of the output {name!r}, received "
            f"{sizes.min()} to {sizes.max()} of them. Name an output of one size as "
            "prediction_key."
        )
    finite = pc.fill_null(pc.is_finite(scores.flatten()), False).to_numpy(zero_copy_only=False)
    # The row of each score, by which finite ones are counted: all of a row's have to be.
    rows = np.repeat(np.arange(len(scores)), lengths)
    return pa.array((np.bincount(rows, finite, len(scores)) == lengths) & (lengths > 0))


def row_count(rows: pa.RecordBatch) -> int:
    """Returns how many rows of the log the rows for TFMA stand for."""
    return int(pc.sum(rows.column(rows.schema.get_field_index(WEIGHT)).flatten()).as_py() or 0)


def finite_metrics(
    metrics_by_slice: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float]]:
    """Returns TFMA's numbers by slice and name, in order, without those that are not finite."""
    return {
        name: {metric: value for metric, value in sorted(metrics.items()) if np.isfinite(value)}
        for name, metrics in sorted(metrics_by_slice.items())
    }


def _batch(columns: Mapping[str, Any], lists: Mapping[str, Any] | None = None) -> pa.RecordBatch:
    arrays = {name: _lists_of_one(column) for name, column in columns.items()} | dict(lists or {})
    return pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))


def _lists_of_one(column: Any) -> pa.Array:
    """Returns one list a row; null where the value is missing, so that no slice is made of it."""
    kind = pa.large_binary()
    if pa.types.is_integer(column.type):
        kind = pa.int64()  # a slice is called "hour=7", not "hour=7.0"
    elif pa.types.is_floating(column.type):
        kind = pa.float64()
    values = pa.array(column.to_pylist(), column.type)
    missing = values.is_null().to_numpy(zero_copy_only=False)
    # A null offset makes its list null; the last one only ends the list before it.
    offsets = pa.array(
        np.concatenate([[0], np.cumsum(~missing)]), pa.int64(), mask=np.append(missing, False)
    )
    return pa.LargeListArray.from_arrays(offsets, pc.cast(values.drop_null(), kind))
