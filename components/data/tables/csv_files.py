"""Tables in CSV files, with types that hold for every row.

Read twice: once for the types, over every row, and once for the values. Types that are guessed
from the first rows, as readers do, break on the first `12.5` after a million whole numbers.
"""

import io
from collections.abc import Iterator, Sequence
from csv import Error, reader
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.opening import open_native, open_unpacked

_TRUE = ["true", "True", "TRUE"]
_FALSE = ["false", "False", "FALSE"]
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
        self._paths = list(paths)
        names = _same_header(self._paths)
        guesses = [_Guess() for _ in names]
        self.rows = 0
        for path in self._paths:
            for batch in _stream(path, dict.fromkeys(names, pa.string())):
                self.rows += batch.num_rows
                for guess, column in zip(guesses, batch.columns, strict=True):
                    guess.look_at(column)
        # Every row was looked at, so the second pass cannot meet a value that does not fit.
        types = [guess.type for guess in guesses]
        self.schema = pa.schema(list(zip(names, types, strict=True)))

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yields record batches with the inferred types."""
        types = {field.name: field.type for field in self.schema}
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for path in self._paths:
            for batch in _stream(path, types):
                chosen = [batch.column(self.schema.get_field_index(name)) for name in columns]
                batch = pa.RecordBatch.from_arrays(chosen, schema=wanted)
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)


class _Guess:
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


def _stream(path: str, types: dict[str, Any]) -> Iterator[Any]:
    with open_native(path) as file:
        yield from csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=csv.ParseOptions(
                delimiter=_delimiter(path), newlines_in_values=True, ignore_empty_lines=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                strings_can_be_null=True,
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )


def _same_header(paths: Sequence[str]) -> list[str]:
    headers = {path: _header(path) for path in paths}
    first = headers[paths[0]]
    for path, header in headers.items():
        if header != first:
            raise DataError(f"Expected the header {first} of {paths[0]} in {path} too: {header}.")
    return first


def _header(path: str) -> list[str]:
    with open_unpacked(path) as file:
        # utf-8-sig: Excel writes a byte-order mark, which would become part of the first name.
        text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        lines = (line for line in reader(text, delimiter=_delimiter(path)) if line)
        try:
            names = next(lines, [])
        except Error as error:
            raise DataError(f"Expected CSV in {path}, received other bytes: {error}.") from error
    if not names:
        raise DataError(f"Expected a header with the columns' names in {path}, received none.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"Expected each column once in {path}, received {twice} twice. Rename one.")
    # A file without a header would else lose its first row, unnoticed.
    if all(_is_number(name) for name in names):
        raise DataError(
            f"Expected a header with the columns' names in {path}, received {names}. Add one."
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _delimiter(path: str) -> str:
    return "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ","
