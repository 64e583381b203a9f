"""The rows of several files or folders as one table."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.common_schema import common_schema, conformed
from tfx_loop.data.tables.table_file import BATCH_ROWS, files_under, open_table
from tfx_loop.data.tables.tfrecord import read_records


def read_all(paths: Sequence[str]) -> pa.Table:
    """Returns all rows, in the order of the paths; a column that one lacks is missing there.

    Raises:
        DataError: One cannot be read, or two disagree on the type of a column.
    """
    files = [open_table(path) for path in paths]
    schema = common_schema((file.path, file.schema) for file in files)
    batches = [conformed(batch, schema, schema.names) for file in files for batch in file.batches()]
    return pa.Table.from_batches(batches, schema=schema)


def read_first(paths: Sequence[str], rows: int) -> pa.Table:
    """Returns the first rows of all paths together; fewer where there are no more.

    Raises:
        DataError: As `read_all`, or there is no row.
    """
    files = [open_table(path) for path in paths]
    schema = common_schema((file.path, file.schema) for file in files)
    batches = (
        conformed(batch, schema, schema.names)
        for file in files
        for batch in file.batches(batch_rows=rows)
    )
    table = pa.Table.from_batches(list(_first(batches, rows)), schema=schema)
    if not table.num_rows:
        raise DataError(f"Expected rows in {', '.join(paths)}, found none.")
    return table


def read_serialized(paths: Sequence[str], most: int | None = None) -> list[bytes]:
    """Returns the records of TFRecord files or folders as they are, in the order of `read_all`.

    Args:
        paths: The files or folders.
        most: How many are enough; None for all.

    Raises:
        DataError: One is no TFRecord file, or damaged.
    """
    found: list[bytes] = []
    for path in paths:
        for file in files_under(path):
            for records in read_records(file, most or BATCH_ROWS):
                found.extend(records)
                if most is not None and len(found) >= most:
                    return found[:most]
    return found


def _first(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yields batches until there are so many rows, and reads no further."""
    for batch in batches:
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return
