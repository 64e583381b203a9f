"""The table under a path, whatever its format, read piece by piece.

The format is told by the suffix, else by the first bytes. A folder is one table of its files.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.core.folders import is_folder, join, list_folder
from tfx_loop.data.tables import csv_files, example_files, parquet_files
from tfx_loop.data.tables.opening import is_file, open_binary
from tfx_loop.data.tables.tfrecord import is_tfrecord

# What pyarrow's ParquetFile.iter_batches takes by default.
BATCH_ROWS = 65_536
# Formats that are not read, by their first bytes, so that the refusal can name them.
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as Excel writes one",
    b"ORC": "ORC",
    b"ARRO": "an Arrow file (Feather)",
    b"FEA1": "an Arrow file (Feather)",
    b"Obj\x01": "Avro",
    b"BZh": "bzip2",
    b"\xfd7zX": "xz",
    b"(\xb5/\xfd": "Zstandard",
    b"\x89HDF": "HDF5",
    b"SQLi": "an SQLite database",
    b"{": "JSON",
    b"[": "JSON",
}
_FORMATS = "Parquet (.parquet), CSV (.csv, .tsv) or TFRecord (.tfrecord)"
_QUOTED_ROW = re.compile(r"(Expected \d+ columns, got \d+): .*")
_QUOTED_VALUE = re.compile(r"invalid value '.*'")
# What pyarrow and the codecs raise on a damaged file.
_BROKEN = (pa.ArrowException, OSError, EOFError, UnicodeDecodeError)


class TableFiles(Protocol):
    """The files of one table in one format."""

    schema: Any
    rows: int

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yields record batches with the schema's types, columns as asked."""


_READERS: dict[str, Callable[[Sequence[str]], TableFiles]] = {
    "parquet": parquet_files.ParquetFiles,
    "csv": csv_files.CsvFiles,
    "tfrecord": example_files.ExampleFiles,
}
_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
}


@dataclass(frozen=True)
class TableFile:
    """A table on disk that is read in pieces.

    Attributes:
        path: The file or folder.
        format: `parquet`, `csv` or `tfrecord`.
        schema: pyarrow schema. A column of a TFRecord with at most one value a row is plain, one
            with several is a list.
        rows: How many rows there are.
    """

    path: str
    format: str
    schema: Any
    rows: int
    _files: TableFiles

    def batches(
        self, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[Any]:
        """Yields record batches of at most `batch_rows` rows; memory holds a few of them.

        Raises:
            DataError: There is no such column, or the file turns out to be damaged.
        """
        names = list(self.schema.names if columns is None else columns)
        if lacking := sorted(set(names) - set(self.schema.names)):
            raise DataError(
                f"Expected columns {lacking} in {self.path}, received {self.schema.names}."
            )
        try:
            yield from self._files.batches(names, batch_rows)
        except _BROKEN as error:
            raise _damaged(self.path, self.format, error) from error

    def as_text(self, columns: Collection[str]) -> "TableFile":
        """Returns the same table with some columns as they are written, where the format allows it.

        A CSV file has no types of its own: codes such as `007` are whole numbers to whoever guesses
        them, and text to whoever knows better.
        """
        known = set(columns) & set(self.schema.names)
        if not isinstance(self._files, csv_files.CsvFiles) or not known:
            return self
        files = self._files.as_text(known)
        return replace(self, schema=files.schema, _files=files)

    def read(self, columns: Sequence[str] | None = None) -> Any:
        """Returns all rows as one pyarrow table.

        Raises:
            DataError: As `batches`.
        """
        names = list(self.schema.names if columns is None else columns)
        batches = list(self.batches(names))
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.Table.from_batches(batches, schema=schema)


def open_table(path: str) -> TableFile:
    """Opens a file or folder; types are inferred over all of it, not over its first rows.

    Args:
        path: A file, a folder of files of one format, or a remote URI of either. Names in a
            folder that start with a dot or an underscore are left out.

    Raises:
        DataError: There is no file, it is empty, damaged or of no known format, a column is there
            twice, or two files of a folder disagree on a type.
    """
    path = str(path)
    paths = files_under(path)
    kinds = {_format_of(name) for name in paths}
    if len(kinds) > 1:
        raise DataError(
            f"Expected files of one format in {path}, received {sorted(kinds)}. Name one file."
        )
    kind = kinds.pop()
    try:
        files = _READERS[kind](paths)
    except _BROKEN as error:
        raise _damaged(path, kind, error) from error
    names = files.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"Expected each column once in {path}, received {twice} twice. Rename one.")
    return TableFile(path, kind, files.schema, files.rows, files)


def files_under(path: str) -> list[str]:
    """Returns the files of a table: the file itself, or those of a folder, in order.

    Raises:
        DataError: There is none.
    """
    if is_folder(path):
        names = [name for name in list_folder(path) if not name.startswith((".", "_"))]
        paths = [join(path, name) for name in names]
        if folders := [name for name in names if is_folder(join(path, name))]:
            raise DataError(
                f"Expected files alone in {path}, received folders too, such as {folders[0]!r}: "
                "partitions and sub-folders are not read. Name one of them, or write their rows "
                "with the partition as a column into one folder."
            )
        if not paths:
            raise DataError(f"Expected {_FORMATS} files in {path}, received an empty folder.")
        return paths
    if not is_file(path):
        raise DataError(f"Expected a {_FORMATS} file at {path}, found none. Correct the path.")
    return [path]


def _format_of(path: str) -> str:
    with open_binary(path) as file:
        # Parquet's signature has four bytes; a TFRecord has none and is told by its first checksum.
        head = file.read(4)
    if not head:
        raise DataError(f"Expected rows in {path}, received an empty file. Write it again.")
    # Whatever its name is; the other formats have no signature.
    if head == b"PAR1":
        return "parquet"
    name = path.rsplit("/", 1)[-1].lower().removesuffix(".gz")
    for suffix, kind in _SUFFIXES.items():
        if name.endswith(suffix):
            return kind
    if is_tfrecord(path):
        return "tfrecord"
    foreign = next((name for mark, name in _FOREIGN.items() if head.startswith(mark)), "")
    if foreign:
        raise DataError(
            f"Expected a {_FORMATS} file, received {path}, which is {foreign}. Write its rows as "
            "one of them (pandas.read_… and to_parquet), or hand the table over in Python: "
            "tfx_loop.monitor."
        )
    raise DataError(
        f"Expected a {_FORMATS} file, received {path}, which is neither by name nor by content. "
        "Give it the suffix of its format, and .gz behind it if it is packed."
    )


def _damaged(path: str, kind: str, error: BaseException) -> DataError:
    if isinstance(error, UnicodeDecodeError):
        return DataError(
            f"Expected text in UTF-8, UTF-16 or the encoding of Western Windows in {path}, "
            "received bytes of another encoding. Write it as UTF-8 (iconv -t UTF-8)."
        )
    said = str(error).strip().splitlines()
    told = _without_values(said[0]).rstrip(".") if said else type(error).__name__
    return DataError(
        f"Expected whole {kind} rows in {path}, received a cut or damaged file: {told}. "
        "Write it again."
    )


def _without_values(message: str) -> str:
    """Returns what pyarrow says of a CSV file without the row or value that it quotes."""
    return _QUOTED_VALUE.sub("an invalid value", _QUOTED_ROW.sub(r"\1", message))
