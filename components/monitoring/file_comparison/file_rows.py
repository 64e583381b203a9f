"""How are a file's rows read for counting? Once, each with its number and the slice it is in."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.file_comparison.plan import SLICE, Plan
from tfx_loop.monitoring.file_comparison.roles import plain_column
from tfx_loop.monitoring.profile.layout import Layout

_ROW = "_loop_row"


def file_layout(sample_rows: int) -> Layout:
    """Returns where `read_rows` puts what is counted."""
    return Layout(
        identity=(_ROW,),
        event_time=_ROW,
        model_version="",
        sampling_rate="",
        status="",
        ignored=(SLICE,),
        sample_rows=sample_rows,
    )


def read_rows(table: TableFile, plan: Plan) -> Iterator[Any]:
    """Yields a file's planned columns as record batches, as Profiler takes them.

    Args:
        table: The file.
        plan: Which columns to read, and how rows are sliced.

    Raises:
        DataError: The file turns out to be damaged.
    """
    there = set(table.schema.names)
    names = [name for name in plan.columns if name in there]
    sliced = plan.slices if plan.slices and plan.slices.profile.column in there else None
    first = 0
    for batch in table.batches(names or table.schema.names[:1]):
        columns = {name: plain_column(batch.column(place)) for place, name in enumerate(names)}
        columns[_ROW] = pa.array(range(first, first + batch.num_rows), pa.int64())
        if sliced:
            columns[SLICE] = sliced.of(batch)
        first += batch.num_rows
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
