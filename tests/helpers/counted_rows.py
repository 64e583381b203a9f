"""A window of the prediction log, counted from columns in memory, as DriftMonitor counts it."""

import numpy as np
import pyarrow as pa

from tfx_loop.monitoring.drift.window import CountedWindow, log_layout
from tfx_loop.monitoring.profile.profiler import Profiler

SCORE = "output.probability"


def log_rows(columns, versions=None, failed=0, times=None):
    """Returns a prediction log's rows: features and `output.` columns by name, failed rows last."""
    count = len(next(iter(columns.values()))) if columns else 0
    whole = count + failed
    versions = np.repeat(*zip(*(versions or {3: count}).items(), strict=True))
    if times is None:
        times = np.arange(whole)
    table = {
        "request_id": [f"r{number}" for number in range(whole)],
        "instance_index": np.zeros(whole, np.int64),
        "event_time_ms": np.asarray(times, np.int64),
        "model_version": np.append(versions, np.zeros(failed, np.int64)),
        "status": np.repeat(["ok", "error"], [count, failed]),
    }
    for name, values in columns.items():
        values = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        values = pa.chunked_array([values]) if isinstance(values, pa.Array) else values
        values = pa.chunked_array([*values.chunks, pa.nulls(failed, values.type)], values.type)
        table[name if name.startswith("output.") else f"feature.{name}"] = values
    return pa.table(table)


def counted_window(
    reference,
    columns,
    name="w1",
    *,
    model="flights",
    bounds=(0, 0),
    sample_rows=1_000,
    roles=None,
    **log,
):
    """Returns the window; `log` goes to log_rows."""
    rows = log_rows(columns, **log)
    layout = log_layout(SCORE if reference.score else "", sample_rows, roles)
    profiler = Profiler(reference, layout)
    return CountedWindow(name, model, profiler.profile_all(rows.to_batches()), *bounds)
