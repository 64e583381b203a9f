"""Which rows does TFMA judge, and what of its result is kept beside it?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError

FILE_NAME = "quality.json"


def judged_rows(
    log: pa.Table, *, start_ms: int, end_ms: int, score: str, label: str, slice_features: list[str]
) -> pa.RecordBatch:
    """Returns label, score and slice features of the labelled rows of a window, for TFMA.

    Args:
        log: Rows of a labelled PredictionLog.
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        score: Output that is judged, such as "probability".
        label: Name that the label gets.
        slice_features: Features by which quality is sliced.

    Returns:
        One list column each: `label` and `score` (float64), the slice features.

    Raises:
        DataError: The log lacks the score or a slice feature.
    """
    columns = {"label": label, f"output.{score}": score}
    columns |= {f"feature.{name}": name for name in slice_features}
    missing = sorted(set(columns) - set(log.column_names))
    if missing:
        raise DataError(
            f"Expected the columns {sorted(columns)} in the labelled log, found none of {missing}. "
            "Name the score and the slice features as the model's signature does."
        )
    time = log["event_time_ms"]
    inside = pc.and_(pc.greater_equal(time, start_ms), pc.less(time, end_ms))
    rows = log.filter(pc.and_(inside, pc.is_valid(log[f"output.{score}"])))
    return pa.RecordBatch.from_arrays(
        [_lists_of_one(rows[name]) for name in columns], list(columns.values())
    )


def summary(metrics_by_slice: Mapping[str, Mapping[str, float]], rows: int) -> dict[str, Any]:
    """Returns the JSON of `quality.json`: metrics by slice, as TFMA measured them."""
    slices = {
        name: {metric: value for metric, value in sorted(metrics.items()) if np.isfinite(value)}
        for name, metrics in sorted(metrics_by_slice.items())
    }
    return {"schema_version": 1, "rows": rows, "slices": slices}


def _lists_of_one(column: pa.ChunkedArray) -> pa.Array:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], column.type)
    if pa.types.is_integer(values.type):
        values = pc.cast(values, pa.int64())
    elif pa.types.is_floating(values.type):
        values = pc.cast(values, pa.float64())
    else:
        values = pc.cast(values, pa.large_binary())
    return pa.LargeListArray.from_arrays(pa.array(np.arange(len(values) + 1)), values)
