"""Cells of a column as the reference's type has them, and how many do not fit it.

Files hold numbers with "?" where nobody knows, with decimal commas, with a bad cell in fifty
thousand; codes that one file has as text and another as whole numbers. The reference decides what a
column is, and the cells of both files are read as that: what is left over is counted and shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, is_text_type, strings

# What people and programs write where there is no number. Arrow's CSV reader knows some already.
MARKERS = (
    *("?", "-", "--", "—", ".", "None", "none", "N/A", "n/a", "NA", "na", "NULL", "Null", "null"),
    *("NaN", "nan", "nil", "#N/A", "#NA", "#VALUE!", "#DIV/0!", "missing", "unknown"),
)
# Share of the values (markers apart) that must be numbers for a column of text to be one of them.
_NEARLY_ALL = 0.95
# Thousands may be set apart by the mark that is not the decimal one.
_NUMBER = {
    ".": r"^[+-]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?([eE][+-]?\d+)?$",
    ",": r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d*)?([eE][+-]?\d+)?$",
}
_HAS_DIGIT = r"\d"
_WHOLE = r"^[+-]?(\d+|\d{1,3}([,.]\d{3})+)$"
# A comma that no thousands are behind: two digits or four, or a second mark.
_SURELY_DECIMAL_COMMA = r"^[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+|\d{1,3}(\.\d{3})+,\d+)$"
_DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?$"
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_EXAMPLES = 3
_NUMBERS = (FeatureType.NUMERIC, FeatureType.INTEGER)


@dataclass(frozen=True)
class ExpectedCells:
    """What a column's cells are, as the reference has them.

    Attributes:
        kind: Numbers, whole numbers, booleans or text; lists are of the type MULTIVALENT.
        decimal: Decimal mark of numbers that are written as text.
        length: Values of each list, where all have as many; 0 where they differ.
    """

    kind: FeatureType
    decimal: str = "."
    length: int = 0


@dataclass
class CellTally:
    """Cells of a column that were not read as what the column holds.

    Attributes:
        missing: Cells with a marker of a missing value.
        unfit: Cells that are something else.
        fractions: Cells with a fraction in a column of whole numbers; they count as rounded.
        commas: Unfit cells that are numbers with a decimal comma.
        markers: Some of the markers.
        examples: Some of the unfit cells.
        fractional: Some of the cells with a fraction.
    """

    missing: int = 0
    unfit: int = 0
    fractions: int = 0
    commas: int = 0
    markers: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    fractional: list[str] = field(default_factory=list)

    def add(
        self, missing: Iterable[Any], unfit: Iterable[Any], fractions: Iterable[Any] = ()
    ) -> None:
        """Counts the texts of some cells."""
        self.missing += _noted(list(missing), self.markers)
        self.unfit += _noted(list(unfit), self.examples)
        self.fractions += _noted(list(fractions), self.fractional)


def _noted(texts: list[Any], kept: list[str]) -> int:
    for text in dict.fromkeys(texts):
        if len(kept) < _EXAMPLES and text not in kept:
            kept.append(text)
    return len(texts)


class CellReader:
    """Reads the cells of one table, and keeps the tally of those that do not fit."""

    def __init__(
        self,
        expected: Mapping[str, ExpectedCells],
        missing: Iterable[str] = (),
        *,
        rounds: bool = True,
    ) -> None:
        """Takes what each column holds.

        Args:
            expected: By column; others are left as they are.
            missing: Texts that stand for missing values, beside MARKERS.
            rounds: Fractions in a column of whole numbers are rounded, and told.
        """
        self._expected = expected
        self._rounds = rounds
        self._markers = tuple(dict.fromkeys([*missing, *MARKERS]))
        self._numbers = [float(text) for text in missing if _is_number(text)]
        self.tallies: dict[str, CellTally] = {}

    def read(self, name: str, column: Any) -> Any:
        """Returns a column of the type that is expected; cells that do not fit are missing."""
        expected = self._expected.get(name)
        if expected is None or pa.types.is_null(column.type):
            return column
        if expected.length:
            return self._lists(name, column, expected.length)
        if is_list(column.type):
            return column
        if expected.kind in (*_NUMBERS, FeatureType.BOOLEAN) and is_text_type(column.type):
            column = self._parsed(name, column, expected)
        if expected.kind is FeatureType.CATEGORICAL and not is_text_type(column.type):
            return _as_text(column)
        if expected.kind in _NUMBERS and self._numbers:
            column = self._without_markers(name, column)
        whole = expected.kind is FeatureType.INTEGER and self._rounds
        if whole and pa.types.is_floating(column.type):
            return self._rounded(name, column)
        return column

    def _tally(self, name: str) -> CellTally:
        return self.tallies.setdefault(name, CellTally())

    def _lists(self, name: str, column: Any, length: int) -> Any:
        if not is_list(column.type):
            return column
        lengths = pc.list_value_length(column)
        wrong = pc.fill_null(pc.not_equal(lengths, length), False)
        if pc.any(wrong).as_py():
            found = lengths.filter(wrong).to_pylist()
            self._tally(name).add((), [f"a list of {count}" for count in found])
            column = column.filter(pc.invert(wrong)).take(_places_where(pc.invert(wrong)))
        return column

    def _parsed(self, name: str, column: Any, expected: ExpectedCells) -> Any:
        texts = pc.utf8_trim_whitespace(strings(flat(column)))
        blank = pc.fill_null(pc.equal(texts, ""), True)
        marker = pc.is_in(texts, value_set=pa.array(self._markers))
        if expected.kind is FeatureType.BOOLEAN:
            fitting = pc.is_in(texts, value_set=pa.array([*_TRUE, *_FALSE]))
            values = pc.is_in(texts, value_set=pa.array(_TRUE))
        else:
            fitting = pc.fill_null(_are_numbers(texts, expected.decimal), False)
            fitting = pc.and_not(fitting, marker)
            values = _numbers_of(_kept_where(fitting, texts), expected.decimal)
        unfit = pc.and_not(pc.invert(fitting), pc.or_(blank, marker))
        self._tally(name).add(texts.filter(marker).to_pylist(), texts.filter(unfit).to_pylist())
        if expected.kind in _NUMBERS and expected.decimal == ".":
            with_comma = pc.match_substring_regex(texts.filter(unfit), _DECIMAL_COMMA)
            self._tally(name).commas += pc.sum(with_comma).as_py() or 0
        return _kept_where(fitting, values)

    def _rounded(self, name: str, column: Any) -> Any:
        """Returns floats with fractions rounded: 30.5 among ages is one more age, and told."""
        values = column.to_numpy(zero_copy_only=False)
        fraction = np.isfinite(values) & (values != np.floor(values))
        if not fraction.any():
            return column
        self._tally(name).add((), (), [f"{value:g}" for value in values[fraction].tolist()])
        return pa.array(np.where(fraction, np.rint(values), values), column.type, from_pandas=True)

    def _without_markers(self, name: str, column: Any) -> Any:
        marker = pc.is_in(column.cast(pa.float64(), safe=False), pa.array(self._numbers))
        if not pc.any(marker).as_py():
            return column
        self._tally(name).add([str(cell) for cell in column.filter(marker).to_pylist()], ())
        return _kept_where(pc.invert(marker), column)


def expected_cells(column: Any, decimal: str = "", missing: Iterable[str] = ()) -> ExpectedCells:
    """Returns what a column of the reference holds.

    Args:
        column: Values of the reference, of a type that can be counted (plain_column).
        decimal: Decimal mark of numbers that are written as text; told from them unless given.
        missing: Texts that stand for missing values, beside MARKERS.
    """
    kind = column.type
    if is_list(kind):
        lengths = pc.min_max(pc.list_value_length(column)).as_py()
        fixed = lengths["min"] == lengths["max"] and (lengths["max"] or 0) > 1
        return ExpectedCells(FeatureType.MULTIVALENT, length=lengths["max"] if fixed else 0)
    if is_text_type(kind):
        if _are_booleans(column, missing):
            return ExpectedCells(FeatureType.BOOLEAN)
        numbers = written_numbers(column, decimal, missing)
        return numbers or ExpectedCells(FeatureType.CATEGORICAL)
    if pa.types.is_boolean(kind):
        return ExpectedCells(FeatureType.BOOLEAN)
    whole = pa.types.is_integer(kind)
    return ExpectedCells(FeatureType.INTEGER if whole else FeatureType.NUMERIC, decimal or ".")


def written_numbers(
    column: Any, decimal: str = "", missing: Iterable[str] = ()
) -> ExpectedCells | None:
    """Returns what a sample of text is as a column of numbers; None where it is text.

    A column is one of numbers when nearly all of its values parse, and some do not, or not by
    everybody's rules. Digits alone in a column of text are what its maker wanted: codes.

    Args:
        column: Values of the reference, flat text.
        decimal: The decimal mark; told from the values unless given.
        missing: Texts that stand for missing values, beside MARKERS.
    """
    texts = pc.utf8_trim_whitespace(strings(flat(column)).drop_null())
    texts = texts.filter(pc.not_equal(texts, ""))
    markers = pa.array(tuple(dict.fromkeys([*missing, *MARKERS])))
    values = texts.filter(pc.invert(pc.is_in(texts, value_set=markers)))
    if not len(values):
        return None
    mark = decimal or _decimal_mark(values)
    numbers = values.filter(_are_numbers(values, mark))
    if len(numbers) < max(_NEARLY_ALL * len(values), 1):
        return None
    plain = pc.all(pc.match_substring_regex(numbers, r"^[+-]?\d+$")).as_py()
    if len(numbers) == len(texts) and plain:
        return None
    whole = pc.all(pc.match_substring_regex(numbers, _WHOLE)).as_py() and mark == "."
    return ExpectedCells(FeatureType.INTEGER if whole else FeatureType.NUMERIC, mark)


def _are_booleans(column: Any, missing: Iterable[str]) -> bool:
    """Says whether nearly all of a sample of text is true or false, markers apart."""
    tally = pc.value_counts(strings(flat(column)).drop_null())
    words, rows = pc.utf8_trim_whitespace(tally.field("values")), tally.field("counts").to_numpy()
    others = pa.array(["", *missing, *MARKERS])
    some = ~pc.is_in(words, value_set=others).to_numpy(zero_copy_only=False)
    fitting = pc.is_in(words, value_set=pa.array([*_TRUE, *_FALSE])).to_numpy(zero_copy_only=False)
    return bool(rows[fitting].sum() >= max(_NEARLY_ALL * rows[some].sum(), 1))


def _decimal_mark(texts: Any) -> str:
    """The comma where some value has one that cannot set thousands apart, else the point."""
    commas = pc.match_substring_regex(texts, _SURELY_DECIMAL_COMMA)
    points = pc.match_substring_regex(texts, r"^[+-]?\d*\.\d{1,2}$")
    return "," if (pc.sum(commas).as_py() or 0) > (pc.sum(points).as_py() or 0) else "."


def _are_numbers(texts: Any, decimal: str) -> Any:
    return pc.and_(
        pc.match_substring_regex(texts, _NUMBER[decimal]),
        pc.match_substring_regex(texts, _HAS_DIGIT),
    )


def _numbers_of(texts: Any, decimal: str) -> Any:
    """Returns numbers as float64, or as int64 where all are whole and fit."""
    thousands = "," if decimal == "." else "."
    plain = pc.replace_substring(texts, thousands, "")
    if decimal == ",":
        plain = pc.replace_substring(plain, ",", ".")
    numbers = pc.replace_substring(plain, "+", "").cast(pa.float64())
    try:
        # Whole numbers stay what they are, as a column of integers would be.
        return numbers.cast(pa.int64())
    except pa.ArrowInvalid:
        return numbers


def _as_text(column: Any) -> Any:
    try:
        return flat(column).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _kept_where(mask: Any, column: Any) -> Any:
    return pc.if_else(mask, column, pa.scalar(None, column.type))


def _places_where(mask: Any) -> Any:
    """Places among the kept rows, null where a row is not kept."""
    kept = mask.to_numpy(zero_copy_only=False)
    return pa.array(np.cumsum(kept) - 1, mask=~kept)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
