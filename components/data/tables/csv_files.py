"""Tables in CSV files, with types that hold for every row.

Read twice: once for the types, over every row, and once for the values. Types that are guessed
from the first rows, as readers do, break on the first `12.5` after a million whole numbers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.csv_dialect import (
    UTF_8,
    CsvDialect,
    in_windows_encoding,
    read_dialect,
    without_notes,
)
from tfx_loop.data.tables.opening import open_native, open_unpacked

_TRUE = ["true", "True", "TRUE"]
_FALSE = ["false", "False", "FALSE"]
# Cells that Arrow reads as missing, apart from empty ones.
MISSING_WORDS = tuple(word for word in csv.ConvertOptions().null_values if word)
# What Arrow says of a line such as "# end of export" among rows of several columns.
_ONE_FIELD = "columns, got 1:"
# Arrow parses block by block; a row longer than a block is an error, so not much smaller.
_BLOCK_BYTES = 4 << 20


class CsvFiles:
    """One or more CSV files with the same header as one table.

    Empty fields and the usual spellings (NA, N/A, NaN, null) are missing values.

    Attributes:
        schema: int64, float64, bool or string a column; null where there is no value at all.
        rows: Rows of all files.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Reads all files for their types.

        Raises:
            DataError: There is no header, or the headers differ.
        """
        self._dialects = {path: read_dialect(path) for path in paths}
        names = _same_header(self._dialects)
        guesses = [_ColumnTypeGuess() for _ in names]
        self.rows = 0
        for path in paths:
            found, rows = self._guessed(path)
            self.rows += rows
            for guess, other in zip(guesses, found, strict=True):
                guess.merge(other)
        # Every row was looked at, so the second pass cannot meet a value that does not fit.
        types = [guess.type for guess in guesses]
        self.schema = pa.schema(list(zip(names, types, strict=True)))

    def as_text(self, columns: Collection[str]) -> "CsvFiles":
        """Returns the same files with some columns as text, however they look."""
        other = copy(self)
        other.schema = pa.schema(
            [
                field.with_type(pa.string())
                if field.name in columns and not pa.types.is_null(field.type)
                else field
                for field in self.schema
            ]
        )
        return other

    def _guessed(self, path: str) -> tuple[list["_ColumnTypeGuess"], int]:
        """Returns which types a file's columns may have, and its rows."""
        dialect = self._dialects[path]
        guesses, rows, last = [_ColumnTypeGuess() for _ in dialect.names], 0, None
        try:
            for batch in _stream(path, dialect, dict.fromkeys(dialect.names, pa.string())):
                rows += batch.num_rows
                last = batch.slice(batch.num_rows - 1) if batch.num_rows else last
                for guess, column in zip(guesses, batch.columns, strict=True):
                    guess.look_at(column)
        except pa.ArrowInvalid as error:
            if dialect.encoding == UTF_8 and "UTF8" in str(error):
                # The first lines were ASCII, and the rest is no UTF-8.
                self._dialects[path] = in_windows_encoding(dialect, path)
            elif len(dialect.names) > 1 and not dialect.notes and _ONE_FIELD in str(error):
                self._dialects[path] = replace(dialect, notes=True)
            else:
                raise
            return self._guessed(path)
        _refuse_open_quote(path, dialect, last, rows)
        return guesses, rows

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yields record batches with the inferred types."""
        types = {field.name: field.type for field in self.schema}
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for path, dialect in self._dialects.items():
            for batch in _stream(path, dialect, types):
                chosen = [batch.column(self.schema.get_field_index(name)) for name in columns]
                batch = pa.RecordBatch.from_arrays(chosen, schema=wanted)
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)


class _ColumnTypeGuess:
    """Which types still fit all values of a column seen so far."""

    def __init__(self) -> None:
        self._empty = True
        # The narrowest first: `1` fits all but bool, `12.5` no longer int64.
        self._fitting = [pa.int64(), pa.float64(), pa.bool_()]

    def look_at(self, column: Any) -> None:
        if column.null_count == len(column):
            return
        self._empty = False
        if self._fitting:
            column = pc.utf8_trim_whitespace(column.drop_null())
            self._fitting = [kind for kind in self._fitting if _is_all(column, kind)]

    def merge(self, other: "_ColumnTypeGuess") -> None:
        self._empty &= other._empty
        self._fitting = [kind for kind in self._fitting if kind in other._fitting]

    @property
    def type(self) -> Any:
        if self._empty:
            return pa.null()
        return self._fitting[0] if self._fitting else pa.string()


def _is_all(column: Any, kind: Any) -> bool:
    if kind == pa.bool_():
        words = pa.array([*_TRUE, *_FALSE])
        return bool(pc.all(pc.is_in(column, value_set=words)).as_py())
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _stream(path: str, dialect: CsvDialect, types: dict[str, Any]) -> Iterator[Any]:
    with _source(path, dialect) as file:
        yield from csv.open_csv(
            file,
            # Names are given, as the file's own may be empty.
            read_options=csv.ReadOptions(
                block_size=_BLOCK_BYTES,
                column_names=list(dialect.names),
                skip_rows=dialect.header_lines,
            ),
            parse_options=csv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, ignore_empty_lines=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                strings_can_be_null=True,
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )


def _refuse_open_quote(path: str, dialect: CsvDialect, last: Any, rows: int) -> None:
    """Raises DataError where a quote that is never closed made one cell of the rest of a file."""
    # An open cell is the last of its row, or the row would be too short.
    cell = None if last is None else last.column(last.num_columns - 1)[0].as_py()
    # Of few files does the last cell hold lines; they are read once more.
    if "\n" not in (cell or ""):
        return
    end = b""
    with _source(path, dialect) as file:
        while piece := file.read(_BLOCK_BYTES):
            end = (end + piece)[-_BLOCK_BYTES:]
    if not end.rstrip().endswith(b'"'):
        raise DataError(
            f"Expected each quote closed in {path}, received one in row {rows:,} that is not: the "
            "rest of the file is one cell. Write a quote within a cell twice."
        )


def _source(path: str, dialect: CsvDialect) -> Any:
    """Returns a file's text as UTF-8; another encoding, or one with notes, is taken whole.

    Arrow would recode piece by piece, and call Python for it from its reading threads (opening.py
    says why that must not be).
    """
    if dialect.encoding == UTF_8 and not dialect.notes:
        return open_native(path)
    with open_unpacked(path) as file:
        text = file.read().decode(dialect.encoding)
    return pa.BufferReader((without_notes(text, dialect) if dialect.notes else text).encode())


def _same_header(dialects: Mapping[str, CsvDialect]) -> list[str]:
    first = next(iter(dialects))
    names = dialects[first].names
    for path, dialect in dialects.items():
        if dialect.names != names:
            raise DataError(
                f"Expected the header {list(names)} of {first} in {path} too, received "
                f"{list(dialect.names)}. Write them alike, or name one file."
            )
    return list(names)
