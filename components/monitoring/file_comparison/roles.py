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
from tfx_loop.monitoring.file_comparison.plain_columns import is_sequence
from tfx_loop.monitoring.profile.calendar_columns import (
    CALENDAR_NOTE,
    KEY_NOTE,
    RISING_KEY_NOTE,
    calendar_note,
    is_key,
    is_time,
)
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    flat,
    is_number,
    is_text_type,
    strings,
)
from tfx_loop.monitoring.profile.derived_columns import LENGTH, TOKEN, VALUE

_NO_NAME = re.compile(r"^(Unnamed: 0(\.\d+)?)?$")
# y_pred, prediction, score, prob_1, logits …: what notebooks and serving logs call answers.
_ANSWER_NAME = re.compile(
    r"(^|[_\s.-])(y_?(hat|pred)|preds?|predict(ed|ions?)?|scores?|prob(a|ability|abilities)?|logits?)"
    r"([_\s.-](proba?|class|label|score|\d+))*$",
    re.IGNORECASE,
)
# Share of distinct texts from which they name rows, and are no categories.
_ALL_DISTINCT = 0.95
# Fewer rows may be distinct by chance.
_LEAST_ROWS = 100
# Words a text on average: fewer are a key, more are prose, which is compared by its words.
_WORDS = 4
# Share of later rows with a value that earlier ones do not have.
_MOSTLY_FRESH = 0.5
# Share of the numbers that may be beyond what float32 holds, as the tails of a column may.
_SOME_BEYOND = 0.05
# As many as have a bin of their own (plan.py).
_MANY_CATEGORIES = 255

# Roles of columns that are not tested.
IDENTIFIER = "identifier"
GROUP = "group"
TIME = "time"
WEIGHT = "weight"
UNSUPPORTED = "unsupported"
EMPTY = "empty"
NAMED_ID = "named as an id"
RENEWED = "its values come with the rows, and none of them comes back: a key, no feature"
_EXTREME = "numbers below 1e-38 or above 3e38 are not told apart: give them another unit"
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
    if is_row_number(name, kind) and _are_whole(sample):
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
    if is_number(kind):
        if is_key(name, sample, rises):
            repeated = len(pc.unique(sample.drop_null())) < len(sample.drop_null())
            return UntestedColumn(name, IDENTIFIER, RISING_KEY_NOTE if repeated else KEY_NOTE)
        if pa.types.is_integer(kind):
            return [_view(name, FeatureType.INTEGER)]
        if _beyond_float32(sample):
            return UntestedColumn(name, UNSUPPORTED, _EXTREME)
        return [_view(name, FeatureType.NUMERIC)]
    if is_text_type(kind):
        return _text(name, sample)
    return UntestedColumn(name, UNSUPPORTED, f"{kind} cannot be compared")


def named_views(
    name: str, sample: Any, roles: ColumnRoles
) -> list[ColumnView] | UntestedColumn | None:
    """Returns how a column is tested whose role or type is named; None where neither is.

    Args:
        name: The column's name.
        sample: Some of its values in the reference, read as the type that is named.
        roles: What is named.

    Raises:
        ConfigError: The column cannot be what it is named.
    """
    kind = sample.type
    if name in roles.ids:
        return UntestedColumn(name, IDENTIFIER, NAMED_ID)
    if name == roles.time:
        if is_sequence(kind) or not is_time(name, sample):
            raise ConfigError(
                f"Expected dates or times in the column {name!r} of --time, received {kind} that "
                "reads as neither. Write them as ISO 8601, 2024-01-31T12:00, or name another."
            )
        return UntestedColumn(name, TIME, "named as the time of the rows")
    if name == roles.group:
        return UntestedColumn(name, GROUP, "rows of one value belong together")
    if name == roles.weight:
        return UntestedColumn(name, WEIGHT, "named as the weight of the rows")
    if name in (*roles.categorical, *roles.text):
        if not is_text_type(kind):
            said = "categorical" if name in roles.categorical else "text"
            raise ConfigError(f"Expected one value a row in {name!r} of --{said}, received {kind}.")
        return _categories(name, sample) if name in roles.categorical else _prose(name)
    if name not in roles.numeric:
        return None
    if pa.types.is_integer(kind):
        return [_view(name, FeatureType.INTEGER)]
    if pa.types.is_floating(kind):
        return [_view(name, FeatureType.NUMERIC)]
    raise ConfigError(
        f"Expected numbers in the column {name!r} of --numeric, received {kind}. Name another "
        "column, or what stands for missing values there with --missing-values."
    )


def is_row_number(name: str, kind: Any) -> bool:
    """Says whether pandas wrote a column to keep its row numbers.

    In Parquet they have a name of their own; in CSV a first column without a name, which the next
    pandas that reads and writes it calls `Unnamed: 0`, and the one after that `Unnamed: 0.1`.
    """
    if name.startswith("__index_level_"):
        return True
    # Tables that were joined have them as floats, for what was missing in between.
    return bool(_NO_NAME.search(name)) and is_number(kind)


def _are_whole(column: Any) -> bool:
    values = column.drop_null().to_numpy(zero_copy_only=False)
    return bool(np.all(values == np.floor(values)))


def renews(name: str, column: Any, order: Any, roles: ColumnRoles) -> bool:
    """Says whether later rows have other texts than earlier ones, as orders or visits have.

    Such a column has several rows a value and is a key all the same: a later file has none of its
    values, and nothing is wrong with that.

    Args:
        name: The column's name.
        column: Some of its values in the reference.
        order: What orders these rows in time; nulls where nothing does.
        roles: What is named: a type that is named is meant.
    """
    if name in roles.features or not is_text_type(column.type) or order.null_count:
        return False
    texts = strings(column).take(pc.sort_indices(order))
    tally = pc.value_counts(texts.drop_null()).field("counts").to_numpy()
    if len(tally) <= _MANY_CATEGORIES:
        return False
    # The second half in time against the first: of a drift's gradual kind a part comes back.
    middle = len(texts) // 2
    late = texts[middle:].drop_null()
    fresh = pc.invert(pc.is_in(late, value_set=pc.unique(texts[:middle])))
    # Values of one row are fresh wherever that is (Good 1953); twice as many are no chance.
    alone = float(tally[tally == 1].sum()) / len(texts)
    return bool((pc.mean(fresh).as_py() or 0.0) > max(_MOSTLY_FRESH, 2 * alone))


def _beyond_float32(sample: Any) -> bool:
    """Says whether many numbers are so small, or so large, that float32 holds one for all."""
    sizes = np.abs(sample.drop_null().to_numpy(zero_copy_only=False).astype(np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    limits = np.finfo(np.float32)
    beyond = (sizes < float(limits.tiny)) | (sizes > float(limits.max))
    return bool(len(sizes) and beyond.mean() > _SOME_BEYOND)


def is_answer(name: str) -> bool:
    """Says whether a column's name tells that it holds a model's answers."""
    return bool(_ANSWER_NAME.search(name))


def _text(name: str, sample: Any) -> list[ColumnView] | UntestedColumn:
    present = strings(sample).drop_null()
    different = len(pc.unique(present))
    if len(present) < _LEAST_ROWS or different < _ALL_DISTINCT * len(present):
        return _categories(name, present)
    # A hundred texts show how long they are; all of them may be millions.
    head = present[:_LEAST_ROWS].to_pylist()
    if np.mean([len(text.split()) for text in head]) < _WORDS:
        return UntestedColumn(
            name, IDENTIFIER, "another text in nearly each row: a key, no feature"
        )
    return _prose(name)


def _categories(name: str, values: Any) -> list[ColumnView]:
    plain = _view(name, FeatureType.CATEGORICAL)
    # Rare values share a bin; hashed into buckets they are compared all the same.
    hashed = _view(name, FeatureType.CATEGORICAL, aspect=TOKEN)
    return [plain, hashed] if len(pc.unique(values)) > _MANY_CATEGORIES else [plain]


def _prose(name: str) -> list[ColumnView]:
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
