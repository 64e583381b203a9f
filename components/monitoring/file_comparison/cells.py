"""Cells of a column as the reference's type has them, and how many do not fit it.

Files hold numbers with "?" where nobody knows, with decimal commas, with a bad cell in fifty
thousand; codes that one file has as text and another as whole numbers. The reference decides what a
column is, and the cells of both files are read as that: what is left over is counted and shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.texts import is_number
from tfx_loop.monitoring.file_comparison.expected_cells import (
    FALSE,
    TRUE,
    ExpectedCells,
    are_markers,
    without_blanks,
)
from tfx_loop.monitoring.file_comparison.number_cells import (
    DECIMAL_COMMA,
    are_clocks,
    are_numbers,
    from_origin,
    numbers_of,
    seconds_of,
)
from tfx_loop.monitoring.file_comparison.number_spelling import without_affixes
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, is_text_type, strings

# As many cells as a sentence quotes.
EXAMPLES = 3
# Kinds of cells that are counted apart, so that the frequent ones can be quoted.
_MOST_KINDS = 1_000
_NUMBERS = (FeatureType.NUMERIC, FeatureType.INTEGER)


@dataclass
class CellTally:
    """Cells of a column that were not read as what the column holds.

    Attributes:
        missing: Cells with a marker of a missing value.
        unfit: Cells that are something else.
        fractions: Cells with a fraction in a column of whole numbers; they count as rounded.
        commas: Unfit cells that are numbers with a decimal comma.
        markers: Some of the markers.
        examples: Rows by cell of some of the unfit cells.
        fractional: The same of some of the cells with a fraction.
        origin: From where on whole numbers are counted; 0 for none.
        first_unfit: Row of the first unfit cell, counted from 1; 0 for none.
    """

    missing: int = 0
    unfit: int = 0
    fractions: int = 0
    commas: int = 0
    markers: list[str] = field(default_factory=list)
    examples: Counter[str] = field(default_factory=Counter)
    fractional: Counter[str] = field(default_factory=Counter)
    origin: int = 0
    first_unfit: int = 0

    def add(
        self, missing: Iterable[Any], unfit: Iterable[Any], fractions: Iterable[Any] = ()
    ) -> None:
        """Counts the texts of some cells."""
        markers = list(missing)
        self.missing += len(markers)
        known = dict.fromkeys([*self.markers, *markers])
        self.markers = list(known)[:EXAMPLES]
        self.unfit += _noted(unfit, self.examples)
        self.fractions += _noted(fractions, self.fractional)


def _noted(texts: Iterable[Any], kept: Counter[str]) -> int:
    """Counts texts by what they are, the first thousand kinds, and returns how many there are."""
    found = Counter(texts)
    for text, rows in found.items():
        # Known kinds are counted on for ever: the frequent ones among the first thousand keep their
        # true numbers.
        if len(kept) < _MOST_KINDS or text in kept:
            kept[text] += rows
    return sum(found.values())


class CellReader:
    """Reads the cells of one table, and keeps the tally of those that do not fit."""

    def __init__(
        self,
        expected: Mapping[str, ExpectedCells],
        missing: Iterable[str] = (),
        *,
        rounds: bool = True,
        blanks: bool = True,
    ) -> None:
        """Takes what each column holds.

        Args:
            expected: By column; others are left as they are.
            missing: Texts that stand for missing values, beside MARKERS and BLANKS.
            rounds: Fractions in a column of whole numbers are rounded, and told.
            blanks: Among text, too, is missing what a CSV file cannot tell from a missing value.
        """
        self._expected = expected
        self._rounds, self._blanks = rounds, blanks
        self._missing = tuple(missing)
        self._numbers = [float(text) for text in missing if is_number(text)]
        self.tallies: dict[str, CellTally] = {}
        # By column which of the cells that were read last did not fit, a pyarrow array.
        self.unfit_rows: dict[str, Any] = {}
        # Of the cells that are read next, for whoever looks for one of them; None for no numbers.
        self.row_numbers: Any = None

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
        if expected.kind is FeatureType.CATEGORICAL:
            return self._texts(name, column)
        if expected.kind in _NUMBERS and self._numbers:
            column = self._without_markers(name, column)
        # After markers: -999 is no number of a key's.
        if expected.origin:
            self._tally(name).origin = expected.origin
            column = from_origin(column, expected.origin)
        whole = expected.kind is FeatureType.INTEGER and self._rounds
        if whole and pa.types.is_floating(column.type):
            return self._rounded(name, column)
        return column

    def _tally(self, name: str) -> CellTally:
        return self.tallies.setdefault(name, CellTally())

    def _lists(self, name: str, column: Any, length: int) -> Any:
        if not is_list(column.type):
            there = len(column) - column.null_count
            self._tally(name).add((), ["a single value"] * there)
            return pa.nulls(len(column), column.type)
        lengths = pc.list_value_length(column)
        wrong = pc.fill_null(pc.not_equal(lengths, length), False)
        if pc.any(wrong).as_py():
            found = lengths.filter(wrong).to_pylist()
            self._tally(name).add((), [f"a list of {count}" for count in found])
            # Taken by place, with null where a row was filtered out: if_else knows no lists in old
            # Arrow.
            column = column.filter(pc.invert(wrong)).take(_places_where(pc.invert(wrong)))
        return column

    def _texts(self, name: str, column: Any) -> Any:
        if not is_text_type(column.type):
            return _as_text(column)
        if not self._blanks:
            return column
        column = flat(column)
        plain, blank = without_blanks(column, self._missing)
        # An empty cell is no marker that anybody chose.
        words = strings(column.filter(blank))
        if told := [word for word in words.to_pylist() if word]:
            self._tally(name).add(told, ())
        return plain

    def _parsed(self, name: str, column: Any, expected: ExpectedCells) -> Any:
        texts = pc.utf8_trim_whitespace(strings(flat(column)))
        blank = pc.fill_null(pc.equal(texts, ""), True)
        marker = pc.fill_null(are_markers(texts, self._missing), False)
        if expected.kind is FeatureType.BOOLEAN:
            fitting = pc.is_in(texts, value_set=pa.array([*TRUE, *FALSE]))
            values = pc.is_in(texts, value_set=pa.array(TRUE))
        elif expected.clock:
            fitting = pc.fill_null(are_clocks(texts), False)
            values = seconds_of(_kept_where(fitting, texts))
        else:
            bare = without_affixes(texts, expected.affixes)
            fitting = pc.fill_null(are_numbers(bare, expected.decimal), False)
            # A marker may be a number, as 999 with --missing-values: it is missing and no value.
            fitting = pc.and_not(fitting, marker)
            values = numbers_of(_kept_where(fitting, bare), expected.decimal)
        unfit = pc.and_not(pc.invert(fitting), pc.or_(blank, marker))
        self.unfit_rows[name] = unfit
        tally = self._tally(name)
        tally.add(texts.filter(marker).to_pylist(), texts.filter(unfit).to_pylist())
        if tally.unfit and not tally.first_unfit and self.row_numbers is not None:
            place = int(np.flatnonzero(unfit.to_numpy(zero_copy_only=False))[0])
            tally.first_unfit = int(self.row_numbers[place]) + 1
        # Told apart from other cells that do not fit: a file of 3,14 needs --decimal, not a fix of
        # its source.
        if expected.kind in _NUMBERS and expected.decimal == ".":
            with_comma = pc.match_substring_regex(texts.filter(unfit), DECIMAL_COMMA)
            tally.commas += pc.sum(with_comma).as_py() or 0
        return _kept_where(fitting, values)

    def _rounded(self, name: str, column: Any) -> Any:
        """Returns floats with fractions rounded: 30.5 among ages is one more age, and told."""
        values = column.to_numpy(zero_copy_only=False)
        fraction = np.isfinite(values) & (values != np.floor(values))
        if not fraction.any():
            return column
        self._tally(name).add((), (), [f"{value:g}" for value in values[fraction].tolist()])
        # from_pandas makes NaN a missing value, as it was before NumPy had it.
        return pa.array(np.where(fraction, np.rint(values), values), column.type, from_pandas=True)

    def _without_markers(self, name: str, column: Any) -> Any:
        marker = pc.is_in(column.cast(pa.float64(), safe=False), pa.array(self._numbers))
        if not pc.any(marker).as_py():
            return column
        self._tally(name).add([str(cell) for cell in column.filter(marker).to_pylist()], ())
        return _kept_where(pc.invert(marker), column)


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
