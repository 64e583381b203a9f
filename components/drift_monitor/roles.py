"""Which columns of an unknown table are features, and how is each read for counting?

Row numbers, keys and time stamps differ between any two files: they are named and not tested.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.profile.columns import FeatureType, flat, is_list, strings

_KEY_NAME = re.compile(r"(^|[_\s.-])(id|ids|uuid|guid|key|index|rowid|row|hash)$", re.IGNORECASE)
_TIME_NAME = re.compile(r"(time|date|timestamp|_ts|_ms|_at)$", re.IGNORECASE)
_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}|$)|^\d{1,2}[/.]\d{1,2}[/.]\d{4}"
_ALL_DISTINCT = 0.95
_LEAST_ROWS = 100
_WORDS = 4
_EPOCH = (631_152_000.0, 2_524_608_000.0)  # 1990 to 2050, in seconds.

# Roles of columns that are not tested.
IDENTIFIER = "identifier"
TIME = "time"
UNSUPPORTED = "unsupported"
EMPTY = "empty"


@dataclass(frozen=True)
class View:
    """How one feature is read from a column.

    Attributes:
        feature: Name in the report.
        column: Column of the table.
        type: Type in the report.
        kind: How its values are binned.
        read: Gives the flat column of one batch.
    """

    feature: str
    column: str
    type: str
    kind: FeatureType
    read: Callable[[Any], Any]


@dataclass(frozen=True)
class Untested:
    """A column that is not tested, and why."""

    column: str
    role: str
    note: str


def views_of(name: str, sample: Any, rises: bool) -> list[View] | Untested:
    """Returns how a column is tested, or why it is not.

    Args:
        name: The column's name.
        sample: Some of its values in the reference, a pyarrow array, in the order of the rows.
        rises: Its values never fall from row to row, in all of the reference.
    """
    kind = sample.type
    if is_index(name):
        return Untested(name, IDENTIFIER, "row numbers that pandas wrote")
    if pa.types.is_null(kind) or sample.null_count == len(sample):
        return Untested(name, EMPTY, "no value in the reference")
    if is_sequence(kind):
        return _list_views(name, sample)
    if pa.types.is_temporal(kind):
        return Untested(name, TIME, "dates and times differ between any two files")
    if pa.types.is_boolean(kind):
        return [View(name, name, "boolean", FeatureType.INTEGER, flat)]
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        if _is_epoch(name, sample):
            return Untested(name, TIME, "reads as seconds or milliseconds since 1970")
        return [View(name, name, "numeric", FeatureType.NUMERIC, _as_float)]
    if pa.types.is_integer(kind):
        return _integer(name, sample, rises)
    if pa.types.is_dictionary(kind):
        return views_of(name, flat(sample), rises)
    if _is_text(kind):
        return _text(name, sample)
    return Untested(name, UNSUPPORTED, f"{kind} cannot be compared")


def is_index(name: str) -> bool:
    """Says whether pandas wrote a column to keep its row numbers."""
    return name.startswith("__index_level_")


def is_sequence(kind: Any) -> bool:
    """Says whether a pyarrow type holds several values a row."""
    return bool(is_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: Any) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _as_float(column: Any) -> Any:
    column = flat(column)
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def _integer(name: str, sample: Any, rises: bool) -> list[View] | Untested:
    if _is_epoch(name, sample):
        return Untested(name, TIME, "reads as seconds or milliseconds since 1970")
    present = sample.drop_null()
    distinct = len(present) >= _LEAST_ROWS and len(pc.unique(present)) == len(present)
    limits = pc.min_max(present)
    wide = limits["max"].as_py() - limits["min"].as_py() > 2**40
    if distinct and (rises or wide or _KEY_NAME.search(name)):
        return Untested(name, IDENTIFIER, "another whole number in each row: a key, no feature")
    return [View(name, name, "integer", FeatureType.INTEGER, flat)]


def _is_epoch(name: str, sample: Any) -> bool:
    if not _TIME_NAME.search(name):
        return False
    limits = pc.min_max(sample.drop_null())
    low, high = float(limits["min"].as_py()), float(limits["max"].as_py())
    return any(_EPOCH[0] * unit <= low <= high <= _EPOCH[1] * unit for unit in (1, 1e3, 1e6, 1e9))


def _text(name: str, sample: Any) -> list[View] | Untested:
    present = strings(sample).drop_null()
    distinct = len(pc.unique(present)) / len(present)
    if pc.all(pc.match_substring_regex(present, _DATE)).as_py():
        return Untested(name, TIME, "dates and times differ between any two files")
    if len(present) < _LEAST_ROWS or distinct < _ALL_DISTINCT:
        return [View(name, name, "categorical", FeatureType.CATEGORICAL, flat)]
    head = present[:_LEAST_ROWS].to_pylist()
    if np.mean([len(text.split()) for text in head]) < _WORDS:
        return Untested(name, IDENTIFIER, "another text in nearly each row: a key, no feature")
    return [
        View(name, name, "text", FeatureType.INTEGER, text_length),
    ]


def text_length(column: Any) -> Any:
    """Returns the number of characters of each text, in bins as wide as a twelfth of it."""
    lengths = pc.utf8_length(strings(flat(column))).to_numpy(zero_copy_only=False)
    return pa.array(lengths, from_pandas=True)


def _list_views(name: str, sample: Any) -> list[View] | Untested:
    inner = sample.type.value_type
    lengths = pc.list_value_length(as_list(sample))
    most = pc.max(lengths).as_py() or 0
    if most <= 1:
        return views_of(name, flat(as_list(sample)), rises=False)
    views = []
    if pc.min(lengths).as_py() != most:
        views.append(View(f"{name}.length", name, "list", FeatureType.INTEGER, list_length))
    if pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_boolean(inner):
        views.append(View(f"{name}.mean", name, "list", FeatureType.NUMERIC, list_mean))
    elif _is_text(inner):
        views.append(View(f"{name}.first", name, "list", FeatureType.CATEGORICAL, list_first))
    return views or Untested(name, UNSUPPORTED, f"lists of {inner} cannot be compared")


def as_list(column: Any) -> Any:
    """Returns a column of lists of any length without chunks."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if pa.types.is_fixed_size_list(column.type):
        return column.cast(pa.list_(column.type.value_type))
    return column


def list_length(column: Any) -> Any:
    """Returns the number of values of each row."""
    return pc.list_value_length(as_list(column)).cast(pa.int64())


def list_mean(column: Any) -> Any:
    """Returns the mean of each row's values; null for a row without one."""
    column = as_list(column)
    values = column.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (sums[ends] - sums[ends - lengths]) / lengths
    return pa.array(means, mask=lengths == 0)


def list_first(column: Any) -> Any:
    """Returns the first value of each row; null for a row without one."""
    column = as_list(column)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths) - lengths
    return strings(column.flatten()).take(pa.array(starts, mask=lengths == 0))
