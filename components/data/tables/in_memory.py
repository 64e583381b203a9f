"""Tables of Python programs: pandas, Polars, Arrow, and what hands its rows over as Arrow."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.foreign_types import plain_batch, plain_schema
from tfx_loop.data.tables.pandas_frames import arrow_of_frame
from tfx_loop.data.tables.sql import is_query, query_rows
from tfx_loop.data.tables.table_file import TableFile, open_table

# How libraries hand a table over: Polars; DuckDB's relations and results, older and newer; ADBC's
# and other cursors; Spark 4.
_METHODS = ("to_arrow", "to_arrow_table", "fetch_arrow_table", "arrow", "toArrow")


# 128 MB of numbers: what is read more than once is held up to that.
_MOST_HELD = 1 << 24


class _Memory:
    """Batches of a table in memory, as files would give them."""

    def __init__(self, table: Any) -> None:
        self.schema, self.rows = plain_schema(table.schema), table.num_rows
        self._table = table.rename_columns(self.schema.names)

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        for batch in self._table.select(columns).to_batches(max_chunksize=batch_rows):
            yield plain_batch(batch, self._table.schema).replace_schema_metadata()


def held(table: TableFile) -> TableFile:
    """Returns a table of moderate size in memory, for who reads it more than once."""
    if table.rows * len(table.schema.names) > _MOST_HELD:
        return table
    memory = _Memory(table.read())
    return TableFile(table.path, "memory", memory.schema, memory.rows, memory)


def as_table(data: Any, name: str) -> TableFile:
    """Returns rows of a program as a table that is read like a file.

    Args:
        data: A pandas or Polars DataFrame, a pyarrow Table, RecordBatch or RecordBatchReader, a
            DuckDB relation, an ADBC cursor, anything else with `__arrow_c_stream__`, a mapping of
            columns; the path of a file or folder; or a query, `duckdb:SELECT …` (sql.py).
        name: What errors and reports call it.

    Raises:
        DataError: It is nothing of these, or a column has no type that Arrow knows.
    """
    if isinstance(data, str) and is_query(data):
        data, name = query_rows(data), data
    elif isinstance(data, str) or hasattr(data, "__fspath__"):
        return open_table(str(data))
    try:
        table = _as_arrow(data, name)
    except DataError:
        raise
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a table as {name}, received {type(data).__name__}: "
            f"{str(error).splitlines()[0].rstrip('.')}."
        ) from error
    names = table.schema.names
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise DataError(f"Expected each column once in {name}, received {twice} twice. Rename one.")
    memory = _Memory(table)
    return TableFile(name, "memory", memory.schema, memory.rows, memory)


def _as_arrow(data: Any, name: str) -> Any:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, pa.RecordBatchReader):
        return data.read_all()
    # A Series has no columns; what Arrow makes of one is an array, or an error of its own.
    if type(data).__module__.startswith("pandas") and hasattr(data, "columns"):
        return arrow_of_frame(data, name)
    for method in _METHODS:
        if callable(found := getattr(data, method, None)):
            given = found()
            # DuckDB's `arrow()` gave a table once, and gives a reader now.
            return given if isinstance(given, pa.Table) else _as_arrow(given, name)
    if isinstance(data, dict) or hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    raise TypeError("it is no table of pandas, Polars or Arrow, nor a path")
