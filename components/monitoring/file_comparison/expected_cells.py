"""Kinds of cells in a column: numbers, codes, booleans, text, and markers of missing values.

The reference decides it. People and programs write "?" or "N/A" where nobody knows, and numbers as
their country does; a column is one of numbers when nearly all of its values are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.data.tables.csv_files import MISSING_WORDS
from tfx_loop.monitoring.file_comparison.number_cells import (
    WHOLE,
    are_clocks,
    are_numbers,
    decimal_mark,
)
from tfx_loop.monitoring.file_comparison.number_spelling import (
    BARE,
    NumberAffixes,
    affixes_in,
    without_affixes,
)
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, is_text_type, strings

# What people and programs write where there is no number, in lower case.
MARKERS = (
    *("?", "??", "-", "--", "—", ".", "none", "n/a", "n.a.", "na", "<na>", "null", "(null)"),
    *("\\n", "nan", "nat", "nil", "#n/a", "#na", "#null!", "#value!", "#div/0!", "#num!"),
    *("missing", "unknown"),
)
# Where text may stand "unknown" is a value as any other. What a CSV file cannot tell from a missing
# value is one in every format: the same table must not drift for being written as Parquet.
BLANKS = ("", *MISSING_WORDS)
TRUE = ("true", "True", "TRUE")
FALSE = ("false", "False", "FALSE")
# Share of the values (markers apart) that must be numbers for a column of text to be one of them.
_NEARLY_ALL = 0.95


@dataclass(frozen=True)
class ExpectedCells:
    """What a column's cells are, as the reference has them.

    Attributes:
        kind: Numbers, whole numbers, booleans or text; lists are of the type MULTIVALENT.
        decimal: Decimal mark of numbers that are written as text.
        length: Values of each list, where all have as many; 0 where they differ.
        clock: Numbers are written as 14:30:00, hours or a time of day, and read as seconds.
        origin: Whole numbers are read as how far they are from it; 0 unless doubles, which hold
            whole numbers to 2^53, would take several of them for one.
        affixes: What stands around numbers that are written as text.
    """

    kind: FeatureType
    decimal: str = "."
    length: int = 0
    clock: bool = False
    origin: int = 0
    affixes: NumberAffixes = BARE


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
        numbers = numbers_in(column, decimal, missing, codes=False)
        return numbers or ExpectedCells(FeatureType.CATEGORICAL)
    if pa.types.is_boolean(kind):
        return ExpectedCells(FeatureType.BOOLEAN)
    whole = pa.types.is_integer(kind)
    return ExpectedCells(FeatureType.INTEGER if whole else FeatureType.NUMERIC, decimal or ".")


def numbers_in(
    column: Any, decimal: str = "", missing: Iterable[str] = (), *, codes: bool = True
) -> ExpectedCells | None:
    """Returns what a sample of text is as a column of numbers; None where it is text.

    A column is one of numbers when nearly all of its values parse, and some do not, or not by
    everybody's rules.

    Args:
        column: Values of the reference, flat text.
        decimal: The decimal mark; told from the values unless given.
        missing: Texts that stand for missing values, beside MARKERS.
        codes: Digits alone are numbers, too. In a column of text they are what its maker wanted:
            codes, unless somebody says that they are none.
    """
    texts = pc.utf8_trim_whitespace(strings(flat(column)).drop_null())
    texts = texts.filter(pc.not_equal(texts, ""))
    values = texts.filter(pc.invert(are_markers(texts, missing)))
    if not len(values):
        return None
    # Clocks before numbers: 14:30 has no number's form, but a bare 14 among them would.
    clock = pc.sum(are_clocks(values)).as_py()
    if clock >= max(_NEARLY_ALL * len(values), 1):
        return ExpectedCells(FeatureType.NUMERIC, clock=True)
    affixes = affixes_in(values)
    if affixes is None:
        return None
    bare = without_affixes(values, affixes)
    mark = decimal or decimal_mark(bare)
    fitting = are_numbers(bare, mark)
    numbers = bare.filter(fitting)
    if len(numbers) < max(_NEARLY_ALL * len(values), 1):
        return None
    plain = pc.all(pc.match_substring_regex(values.filter(fitting), r"^[+-]?\d+$")).as_py()
    # Whole numbers that are written as text in every cell, in a format that has numbers too, are
    # codes.
    if len(numbers) == len(texts) and plain and not codes:
        return None
    # With a decimal comma 1.000 is a thousand, and whole numbers would be told apart by that alone.
    whole = pc.all(pc.match_substring_regex(numbers, WHOLE)).as_py() and mark == "."
    kind = FeatureType.INTEGER if whole else FeatureType.NUMERIC
    return ExpectedCells(kind, mark, affixes=affixes)


def _are_booleans(column: Any, missing: Iterable[str]) -> bool:
    """Says whether nearly all of a sample of text is true or false, markers apart."""
    tally = pc.value_counts(strings(flat(column)).drop_null())
    words, rows = pc.utf8_trim_whitespace(tally.field("values")), tally.field("counts").to_numpy()
    others = pc.or_(pc.equal(words, ""), are_markers(words, missing))
    some = ~others.to_numpy(zero_copy_only=False)
    fitting = pc.is_in(words, value_set=pa.array([*TRUE, *FALSE])).to_numpy(zero_copy_only=False)
    return bool(rows[fitting].sum() >= max(_NEARLY_ALL * rows[some].sum(), 1))


def are_markers(texts: Any, missing: Iterable[str] = ()) -> Any:
    """Says which texts stand for a missing number, in whatever case they are written."""
    # dict.fromkeys keeps the order, and each word once.
    known = tuple(dict.fromkeys([*(text.lower() for text in missing), *MARKERS]))
    return pc.is_in(pc.utf8_lower(texts), value_set=pa.array(known))


def without_blanks(column: Any, missing: Iterable[str] = ()) -> tuple[Any, Any]:
    """Returns a column of text with null for what stands for no value, and which cells do.

    Args:
        column: Flat strings or bytes.
        missing: Texts that stand for missing values, beside BLANKS.
    """
    words = pa.array(tuple(dict.fromkeys([*missing, *BLANKS]))).cast(column.type)
    blank = pc.is_in(column, value_set=words)
    if not pc.any(blank).as_py():
        return column, blank
    return pc.if_else(blank, pa.scalar(None, column.type), column), blank
