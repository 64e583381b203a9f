"""Roles of an unknown table's columns: which are features, and how each is read for counting.

Row numbers, keys and time stamps differ between any two files: they are named and not tested.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.profile.calendar_columns import (
    CALENDAR_NOTE,
    KEY_NOTE,
    calendar_note,
    is_key,
)
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, is_text_type, strings
from tfx_loop.monitoring.profile.derived_columns import LENGTH, TOKEN, VALUE, unchunked

_NO_NAME = re.compile(r"^(Unnamed: 0(\.\d+)?)?$")
# Share of distinct texts from which they name rows, and are no categories.
_ALL_DISTINCT = 0.95
# Fewer rows may be distinct by chance.
_LEAST_ROWS = 100
# Words a text on average: fewer are a key, more are prose, which is compared by its words.
_WORDS = 4
# As many as have a bin of their own (plan.py).
_MANY_CATEGORIES = 255

# Roles of columns that are not tested.
IDENTIFIER = "identifier"
TIME = "time"
UNSUPPORTED = "unsupported"
EMPTY = "empty"
ROW_NUMBERS = "row numbers that pandas wrote"


@dataclass(frozen=True)
class ColumnView:
    """How one feature is read from a column.

    Attributes:
        feature: Name in the report.
        column: Column of the table.
        type: How its values are binned.
        kind: What the column holds, as the report says it.
        aspect: What of the column is counted (derived_columns.py); "" for the column itself.
    """

    feature: str
    column: str
    type: FeatureType
    kind: FeatureType
    aspect: str = ""


@dataclass(frozen=True)
class UntestedColumn:
    """A column that is not tested, and why."""

    column: str
    role: str
    note: str


def views_of(name: str, sample: Any, rises: bool) -> list[ColumnView] | UntestedColumn:
    """Returns how a column is tested, or why it is not.

    Args:
        name: The column's name.
        sample: Some of its values in the reference, a pyarrow array, in the order of the rows.
        rises: Its values never fall from row to row, in all of the reference.
    """
    kind = sample.type
    if is_row_number(name, kind):
        return UntestedColumn(name, IDENTIFIER, ROW_NUMBERS)
    if pa.types.is_null(kind) or pc.all(sample.is_null(nan_is_null=True)).as_py():
        return UntestedColumn(name, EMPTY, "no value in the reference")
    if is_sequence(kind):
        return _list_views(name, sample)
    if pa.types.is_dictionary(kind):
        return views_of(name, flat(sample), rises)
    if pa.types.is_temporal(kind):
        return UntestedColumn(name, TIME, CALENDAR_NOTE)
    if note := calendar_note(name, sample, rises):
        return UntestedColumn(name, TIME, note)
    if pa.types.is_boolean(kind):
        return [_view(name, FeatureType.BOOLEAN)]
    if pa.types.is_floating(kind):
        return [_view(name, FeatureType.NUMERIC)]
    if pa.types.is_integer(kind):
        if is_key(name, sample, rises):
            return UntestedColumn(name, IDENTIFIER, KEY_NOTE)
        return [_view(name, FeatureType.INTEGER)]
    if is_text_type(kind):
        return _text(name, sample)
    return UntestedColumn(name, UNSUPPORTED, f"{kind} cannot be compared")


def numeric_view(name: str, kind: Any) -> list[ColumnView]:
    """Returns how a column is tested that is said to hold numbers, whatever it reads as.

    Args:
        name: The column's name.
        kind: The pyarrow type of its cells as they are read.

    Raises:
        ConfigError: Its cells are no numbers.
    """
    if pa.types.is_integer(kind):
        return [_view(name, FeatureType.INTEGER)]
    if pa.types.is_floating(kind):
        return [_view(name, FeatureType.NUMERIC)]
    raise ConfigError(f"Expected numbers in the column {name!r} of --numeric, received {kind}.")


def is_row_number(name: str, kind: Any) -> bool:
    """Says whether pandas wrote a column to keep its row numbers.

    In Parquet they have a name of their own; in CSV a first column without a name, which the next
    pandas that reads and writes it calls `Unnamed: 0`, and the one after that `Unnamed: 0.1`.
    """
    if name.startswith("__index_level_"):
        return True
    return bool(_NO_NAME.search(name)) and bool(pa.types.is_integer(kind))


def is_sequence(kind: Any) -> bool:
    """Says whether a pyarrow type holds several values a row."""
    return bool(is_list(kind) or pa.types.is_fixed_size_list(kind))


def _text(name: str, sample: Any) -> list[ColumnView] | UntestedColumn:
    present = strings(sample).drop_null()
    different = len(pc.unique(present))
    if len(present) < _LEAST_ROWS or different < _ALL_DISTINCT * len(present):
        plain = _view(name, FeatureType.CATEGORICAL)
        # Rare values share a bin; hashed into buckets they are compared all the same.
        hashed = _view(name, FeatureType.CATEGORICAL, aspect=TOKEN)
        return [plain, hashed] if different > _MANY_CATEGORIES else [plain]
    head = present[:_LEAST_ROWS].to_pylist()
    if np.mean([len(text.split()) for text in head]) < _WORDS:
        return UntestedColumn(
            name, IDENTIFIER, "another text in nearly each row: a key, no feature"
        )
    return [
        _view(name, FeatureType.INTEGER, FeatureType.TEXT, LENGTH),
        _view(name, FeatureType.CATEGORICAL, FeatureType.TEXT, TOKEN),
    ]


def _view(
    name: str, counted: FeatureType, kind: FeatureType | None = None, aspect: str = ""
) -> ColumnView:
    """A column, or an aspect of it, as the reference profile has them."""
    return ColumnView(
        f"{name}#{aspect}" if aspect else name, name, counted, kind or counted, aspect
    )


def _list_views(name: str, sample: Any) -> list[ColumnView] | UntestedColumn:
    inner = sample.type.value_type
    lengths = pc.list_value_length(sample)
    most = pc.max(lengths).as_py() or 0
    if most <= 1:
        return views_of(name, flat(sample), rises=False)
    views = []
    several = FeatureType.MULTIVALENT
    if pc.min(lengths).as_py() != most:
        views.append(_view(name, FeatureType.INTEGER, several, LENGTH))
    if pa.types.is_floating(inner):
        views.append(_view(name, FeatureType.NUMERIC, several, VALUE))
    elif pa.types.is_integer(inner):
        views.append(_view(name, FeatureType.INTEGER, several, VALUE))
    elif pa.types.is_boolean(inner):
        views.append(_view(name, FeatureType.BOOLEAN, several, VALUE))
    elif is_text_type(inner):
        views.append(_view(name, FeatureType.CATEGORICAL, several, VALUE))
    return views or UntestedColumn(name, UNSUPPORTED, f"lists of {inner} cannot be compared")


def plain_column(column: Any) -> Any:
    """Returns a column as one array of types that can be counted.

    Decimals become floats, lists of a fixed size lists of any, dictionaries their values.
    """
    column = unchunked(column)
    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if not is_sequence(kind):
        return column
    inner = pa.float64() if pa.types.is_decimal(kind.value_type) else kind.value_type
    if pa.types.is_fixed_size_list(kind):
        if column.null_count or column.offset:
            return pa.array(column.to_pylist(), pa.list_(inner))
        ends = np.arange(0, kind.list_size * (len(column) + 1), kind.list_size, dtype=np.int32)
        column = pa.ListArray.from_arrays(pa.array(ends), column.flatten())
    return column if inner == kind.value_type else column.cast(pa.list_(inner))
