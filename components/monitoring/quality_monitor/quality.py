"""Rows that TFMA judges, and what of its result is kept beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError

WEIGHT = "rows"
# Scores in the same thousandth count as one: AUC moves by what ties within it are worth.
_SCORE_BINS = 1000


@dataclass(frozen=True, kw_only=True)
class JudgedWindow:
    """Which rows are judged, and by which output.

    Attributes:
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        score: Output that is judged, such as "probability".
    """

    start_ms: int
    end_ms: int
    score: str


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Scores, labels and times of a window's rows, each of shape (rows,), in order of time.

    Attributes:
        scores: The judged output.
        labels: Its labels.
        event_times_ms: When each row happened, milliseconds UTC.
        label_times_ms: When its label came.
    """

    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.float64]
    event_times_ms: npt.NDArray[np.int64]
    label_times_ms: npt.NDArray[np.int64]


def labelled_rows(log: pa.Table, window: JudgedWindow) -> LabelledRows:
    """Returns the rows of a labelled log that fall into a window, in order of time and identity."""
    if not log.num_rows:
        none, never = np.zeros(0), np.zeros(0, dtype=np.int64)
        return LabelledRows(scores=none, labels=none, event_times_ms=never, label_times_ms=never)
    rows = scored_rows(log, window)
    order = ("event_time_ms", "request_id", "instance_index")
    rows = rows.sort_by([(name, "ascending") for name in order if name in rows.column_names])
    return LabelledRows(
        scores=rows[f"output.{window.score}"].to_numpy().astype(np.float64),
        labels=rows["label"].to_numpy().astype(np.float64),
        event_times_ms=rows["event_time_ms"].to_numpy(),
        label_times_ms=rows["label_time_ms"].to_numpy(),
    )


def judged_rows(
    log: pa.Table, window: JudgedWindow, *, label: str, slice_features: list[str]
) -> pa.RecordBatch:
    """Returns the labelled and scored rows of a window for TFMA, like rows counted together.

    TFMA walks through rows in Python, half a millisecond each. Rows with the same label, the same
    slice and scores in the same thousandth become one row with their mean score and their number as
    its weight. Counts, calibration and what a threshold of 0.5 gives stay exact; AUC moves by what
    ties within a thousandth are worth.

    Args:
        log: Rows of a labelled PredictionLog.
        window: Which of them, and by which output.
        label: Name that the label gets.
        slice_features: Features by which quality is sliced.

    Returns:
        One list column each: `label`, `score` and `WEIGHT` (float64), the slice features.

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
    bins = pc.floor(pc.multiply(pc.cast(rows[score], pa.float64()), _SCORE_BINS))
    counted = (
        rows.append_column("bin", bins)
        .group_by([label, "bin", *slice_features])
        .aggregate([(score, "mean"), (score, "count")])
    )
    return _batch(
        {
            label: pc.cast(counted[label], pa.float64()),
            score: counted[f"{score}_mean"],
            WEIGHT: pc.cast(counted[f"{score}_count"], pa.float64()),
        }
        | {name: counted[name] for name in slice_features}
    )


def scored_rows(log: pa.Table, window: JudgedWindow) -> pa.Table:
    """Returns the rows of a log that fall into a window and have a finite score."""
    time = log["event_time_ms"]
    inside = pc.and_(pc.greater_equal(time, window.start_ms), pc.less(time, window.end_ms))
    # One NaN among the scores would cost the window all its metrics.
    scored = pc.fill_null(pc.is_finite(log[f"output.{window.score}"]), False)
    return log.filter(pc.and_(inside, scored))


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


def _batch(columns: Mapping[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [_lists_of_one(column) for column in columns.values()], list(columns)
    )


def _lists_of_one(column: Any) -> pa.Array:
    """Returns one list a row; null where the value is missing, so that no slice is made of it."""
    kind = pa.large_binary()
    if pa.types.is_integer(column.type):
        kind = pa.int64()  # a slice is called "hour=7", not "hour=7.0"
    elif pa.types.is_floating(column.type):
        kind = pa.float64()
    values = pa.array(column.to_pylist(), column.type)
    missing = values.is_null().to_numpy(zero_copy_only=False)
    offsets = pa.array(
        np.concatenate([[0], np.cumsum(~missing)]), pa.int64(), mask=np.append(missing, False)
    )
    return pa.LargeListArray.from_arrays(offsets, pc.cast(values.drop_null(), kind))
