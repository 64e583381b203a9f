"""Dialect of a CSV file, told from its first lines: encoding, delimiter, comments and header.

Files come from spreadsheets and databases of all countries: with semicolons where the comma is the
decimal mark, with tabs, in the encoding of an older Windows, with a line above the header that says
who wrote them. Read with commas and as UTF-8 such a file is one column, or damaged.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import is_number
from tfx_loop.data.tables.opening import open_unpacked

# With the byte-order mark that Excel writes, which would become part of the first name.
UTF_8 = "utf-8-sig"
# What is no UTF-8 is nearly always the encoding of Western Windows, which holds that of Unix too.
WINDOWS = "cp1252"
_DELIMITERS = (",", ";", "\t", "|")
# What other programs set fields apart with: such a file is refused, and not read as one column.
_FOREIGN = (":", "^", "~", "\x01", "\x1f", "¦", "§", " ")
# Enough for a header of thousands of columns and some rows below it.
_HEAD_BYTES = 1 << 18
# A preamble of a few lines and enough rows to see which separator is always there. Chosen, not
# measured.
_HEAD_LINES = 50
# Fewer lines may be cut alike by chance.
_FEWEST_LINES = 10
_COMMENTS = ("#", "%", "//", "--", "!")
# As databases end an export: (1500 rows affected), (400 rows).
_FOOTER = re.compile(r"\(\d+ rows?\b[^)]*\)")
_SEP_LINE = re.compile(r"^\"?sep=.{0,3}$", re.IGNORECASE)
# Share of the first lines that have as many fields as the header: the rest may be notes.
_ALIKE = 0.9


@dataclass(frozen=True)
class CsvDialect:
    """How a file is read.

    Attributes:
        encoding: Python's name of it.
        delimiter: Between fields.
        names: The columns' names; one without a name is called `Unnamed: 0` by its place, as pandas
            calls it.
        header_lines: Lines up to the end of the header, comments among them.
        notes: Lines below the header, too, are comments or notes and no rows.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    header_lines: int
    notes: bool = False


def read_dialect(path: str, encoding: str = "") -> CsvDialect:
    """Returns the dialect of a file.

    Args:
        path: The file, packed or not.
        encoding: Its encoding where that is known; told from the first bytes unless given.

    Raises:
        DataError: There is no header, or the file is no text.
    """
    with open_unpacked(path) as file:
        head = file.read(_HEAD_BYTES)
    encoding = encoding or _encoding(head, path)
    text = codecs.getincrementaldecoder(encoding)("strict").decode(head)
    # The last line may be cut off.
    whole = text if len(head) < _HEAD_BYTES else text[: text.rfind("\n") + 1] or text
    first = "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ","
    chosen = _parsed(whole, first)
    if not chosen.fits:
        others = (_parsed(whole, mark) for mark in _DELIMITERS if mark != first)
        fitting = [found for found in others if found.fits]
        chosen = max(fitting, key=lambda found: len(found.names), default=chosen)
    if not chosen.fits:
        _refuse_foreign(whole, path)
    if chosen.error:
        raise DataError(f"Expected CSV in {path}, received other bytes: {chosen.error}.")
    _check(chosen.names, path)
    names = tuple(name or f"Unnamed: {place}" for place, name in enumerate(chosen.names))
    return CsvDialect(encoding, chosen.delimiter, names, chosen.header_lines)


def in_windows_encoding(dialect: CsvDialect, path: str) -> CsvDialect:
    """Returns the dialect of a file whose later lines turned out to be no UTF-8."""
    return replace(read_dialect(path, WINDOWS), delimiter=dialect.delimiter)


def without_notes(text: str, dialect: CsvDialect) -> str:
    """Returns a file's text without lines that are one field long and say what they are: no rows.

    Lines within quotes belong to a cell, whatever they begin with.
    """
    kept, quoted = [], False
    for place, line in enumerate(io.StringIO(text, newline="")):
        bare = line.strip()
        note = bare.startswith(_COMMENTS) or _FOOTER.fullmatch(bare)
        # What is above the header was counted with it.
        above = place < dialect.header_lines
        if above or quoted or dialect.delimiter in line or not note:
            kept.append(line)
            quoted ^= line.count('"') % 2 == 1
    return "".join(kept)


@dataclass(frozen=True)
class _DelimiterTrial:
    """The first lines as one delimiter has them; it fits where it cuts them into several fields."""

    delimiter: str
    names: tuple[str, ...] = ()
    header_lines: int = 0
    fits: bool = False
    error: str = ""


def _parsed(text: str, delimiter: str) -> _DelimiterTrial:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[list[str], int]] = []
    try:
        for fields in lines:
            # Excel writes `sep=;` above the header.
            if fields and not (lines.line_num == 1 and _SEP_LINE.match(delimiter.join(fields))):
                rows.append((fields, lines.line_num))
            if len(rows) == _HEAD_LINES:
                break
    except csv.Error as error:
        return _DelimiterTrial(delimiter, error=str(error))
    header = _header_place(rows)
    if header == len(rows):
        return _DelimiterTrial(delimiter)
    fields, line = rows[header]
    counts = [len(row) for row, _ in rows[header:] if not row[0].startswith(_COMMENTS)]
    alike = sum(count == len(fields) for count in counts) >= _ALIKE * len(counts)
    return _DelimiterTrial(delimiter, tuple(fields), line, alike and len(fields) > 1)


def _header_place(rows: Sequence[tuple[list[str], int]]) -> int:
    """The first line that is no comment and no title.

    A comment begins with a mark of one and is not as wide as the rows are; a title is one field
    above rows of several.
    """
    widths = Counter(len(fields) for fields, _ in rows if not fields[0].startswith(_COMMENTS))
    usual = widths.most_common(1)[0][0] if widths else 1
    for place, (fields, _) in enumerate(rows):
        if len(fields) == usual:
            return place
        # Of fewer fields than the rows, and yet of several: a header that lacks a name. So may be a
        # line that another delimiter cuts, where decimal commas cut the rows.
        several = len([field for field in fields if field.strip()]) > 1
        several = several or any(mark in fields[0] for mark in _DELIMITERS)
        if several and not fields[0].startswith(_COMMENTS):
            return place
    return len(rows)


def _refuse_foreign(text: str, path: str) -> None:
    """Raises DataError where another character cuts every line into as many fields."""
    lines = [line for line in text.splitlines() if line.strip()][:_HEAD_LINES]
    for mark in _FOREIGN:
        rows = [line.split(mark) for line in lines]
        widths = {len(row) for row in rows}
        if len(rows) < _FEWEST_LINES or len(widths) > 1 or widths == {1}:
            continue
        # Words of a text are cut by blanks, too; a column of numbers is no text.
        if any(
            all(is_number(row[place] or "0") for row in rows[1:]) for place in range(len(rows[0]))
        ):
            raise DataError(
                f"Expected fields set apart by a comma, semicolon, tab or bar in {path}, received "
                f"{mark!r} between {len(rows[0])} fields in every line. Write one of those."
            )


def _encoding(head: bytes, path: str) -> str:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:
        raise DataError(
            f"Expected text in {path}, received bytes of 0, as UTF-16 without its mark or another "
            "format has them. Write it as UTF-8."
        )
    try:
        codecs.getincrementaldecoder(UTF_8)("strict").decode(head)
    except UnicodeDecodeError:
        return WINDOWS
    return UTF_8


def _check(names: Sequence[str], path: str) -> None:
    if not names:
        raise DataError(f"Expected a header with the columns' names in {path}, received none.")
    given = [name for name in names if name]
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise DataError(f"Expected each column once in {path}, received {twice} twice. Rename one.")
    # A file without a header would else lose its first row, unnoticed.
    if all(is_number(name or "0") for name in names):
        raise DataError(
            f"Expected a header with the columns' names in {path}, received {list(names)}. Add one."
        )
