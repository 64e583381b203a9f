"""Tables in Parquet files."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tfx_loop.core.storage import write_bytes
from tfx_loop.data.tables.common_schema import common_schema, conformed
from tfx_loop.data.tables.foreign_types import plain_batch, plain_names, plain_schema
from tfx_loop.data.tables.opening import open_binary


def save_rows(rows: Any, uri: str, **options: Any) -> None:
    """Writes a pyarrow table whole, as a file of its owner's alone.

    Args:
        rows: The table.
        uri: Where to.
        options: Of `pyarrow.parquet.write_table`.
    """
    write_bytes(uri, parquet_bytes(rows, **options), private=True)


def parquet_bytes(rows: Any, **options: Any) -> bytes:
    """Returns a pyarrow table as the content of a Parquet file; options as of `save_rows`."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, **options)
    return bytes(sink.getvalue())


def parquet_table(content: bytes, columns: Sequence[str] | None = None) -> Any:
    """Returns the table in a Parquet file's content; of all columns where none are named."""
    # pyarrow.parquet.read_table goes through a scanner whose threads may outlive it: a process that
    # ends soon afterwards aborts now and then (Arrow's issues 34314 and 39862). This one has none.
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        return file.read(columns=columns, use_threads=False)


class ParquetFiles:
    """One or more Parquet files as one table.

    Attributes:
        schema: Common schema of the files.
        rows: Rows of all files.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Reads the footers."""
        schemas, self.rows = [], 0
        for path in paths:
            with open_binary(path) as source:
                file = pq.ParquetFile(source)
                schemas.append((path, plain_schema(file.schema_arrow)))
                self.rows += file.metadata.num_rows
        self._paths = [path for path, _ in schemas]
        # A schema of one file is taken as it is, so that a column that is there twice shows.
        self.schema = schemas[0][1] if len(schemas) == 1 else common_schema(schemas)
        self.schema = self.schema.remove_metadata()

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yields record batches, one row group in memory at a time."""
        for path in self._paths:
            with open_binary(path) as source:
                file = pq.ParquetFile(source)
                names = file.schema_arrow.names
                called = dict(zip(plain_names(names), names, strict=True))
                present = [called[name] for name in columns if name in called]
                for batch in file.iter_batches(batch_size=batch_rows, columns=present):
                    plain = plain_batch(batch, file.schema_arrow)
                    yield conformed(plain, self.schema, columns)
