"""Equality of two columns row by row, as far as storing them allows.

A tf.Example keeps floats as float32, the log what came as JSON: rounding is no skew. Whole numbers
are codes and counts, and must be equal; so must times, to the microsecond.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.skew_report import (
    FEATURE_MISSING,
    TYPE_CHANGED,
    VALUES_DIFFER,
    FeatureSkew,
)
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.file_comparison.number_cells import are_clocks, seconds_of
from tfx_loop.monitoring.file_comparison.plain_columns import of_any_size
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    flat,
    is_list,
    is_text_type,
    raw_numbers,
    strings,
    type_of,
)
from tfx_loop.monitoring.profile.derived_columns import unchunked

Mask: TypeAlias = npt.NDArray[np.bool_]

# A tf.Example keeps 7 digits of a number, text often fewer.
_ROUNDING = 1e-5
# Numbers that are so many times as large as they vary, as times since 1970 are, lose by such
# rounding what tells them apart.
_FAR_FROM_ZERO = 10.0
_NUMBER, _TEXT, _INSTANT, _CLOCK, _DURATION = "number", "text", "instant", "clock", "duration"
# Of one type on both sides, and compared as Python compares its values.
_OTHER = "other"
_FAMILIES: dict[str, tuple[Callable[[Any], bool], ...]] = {
    _NUMBER: (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
    ),
    _TEXT: (pa.types.is_fixed_size_binary,),
    _INSTANT: (pa.types.is_timestamp, pa.types.is_date),
    _CLOCK: (pa.types.is_time,),
    _DURATION: (pa.types.is_duration,),
}
_WHOLE = (FeatureType.INTEGER, FeatureType.BOOLEAN)


@dataclass(frozen=True)
class _Pair:
    """Two flat columns of one family, row by row.

    Attributes:
        training: As training saw them.
        served: As the server saw them, in the same order.
        family: What both hold; None where they hold different things.
    """

    training: Any
    served: Any
    family: str | None


def compare(
    name: str, training: Any, served: Any, tolerated: float, row_at: Callable[[int], str]
) -> FeatureSkew | None:
    """Compares a feature by value on the same rows: 0.5 equals 0.50, a date its midnight.

    Args:
        name: Of the feature.
        training: Its values as training saw them, a pyarrow column.
        served: As the server saw them, in the same order of rows.
        tolerated: Share of the rows that may differ, in [0, 1).
        row_at: Names the row at a place, for the example.

    Returns:
        What differs; None where the columns are of kinds that cannot be compared.
    """
    left, right = (of_any_size(unchunked(column)) for column in (training, served))
    before, now = _missing(left), _missing(right)
    both, mean = ~before & ~now, None
    if not both.any():
        unequal, changed = both, False
    elif is_list(left.type) and is_list(right.type) and _several(left, right):
        found = _unequal_lists(left, right)
        if found is None:
            return None
        unequal, changed = both & found, False
    else:
        pair = _pair(left, right)
        if pair is None:
            return None
        changed = pair.family is None
        unequal = both if changed else both & _unequal_flat(pair)
        if pair.family == _NUMBER:
            mean = _mean_difference(pair, both)
    differing = unequal | (before != now)
    reason = ""
    if differing.mean() > tolerated:
        # A side that never has a value lost the feature; its values do not differ.
        one_sided = before.all() != now.all()
        reason = TYPE_CHANGED if changed else FEATURE_MISSING if one_sided else VALUES_DIFFER
    return _skew(
        name,
        reason,
        differing,
        (left, right),
        row_at,
        missing_in_serving=float((now & ~before).mean()),
        missing_in_training=float((before & ~now).mean()),
        mean_difference=mean if mean is not None and np.isfinite(mean) else None,
    )


def _skew(
    name: str,
    reason: str,
    differing: Mask,
    sides: tuple[Any, Any],
    row_at: Callable[[int], str],
    **facts: Any,
) -> FeatureSkew:
    example = row = ""
    if differing.any():
        place = int(np.argmax(differing))
        ours, theirs = (_shown(side[place].as_py()) for side in sides)
        example, row = f"{ours} in training, {theirs} in serving", row_at(place)
    return FeatureSkew(
        feature=name,
        reason=reason,
        differing=float(differing.mean()),
        example=example,
        example_row=row,
        **facts,
    )


def _shown(value: Any) -> str:
    """Returns a value as text; of a float the digits that a tf.Example keeps."""
    return f"{value:.7g}" if isinstance(value, float) else repr(value)


def _family(kind: Any) -> str | None:
    """Returns what values of a type are; None where they can only be compared as they stand."""
    for family, tests in _FAMILIES.items():
        if any(test(kind) for test in tests):
            return family
    return _TEXT if is_text_type(kind) else None


def _pair(left: Any, right: Any) -> _Pair | None:
    """Returns two columns of one value a row as they are compared; None where they cannot be."""
    try:
        left, right = flat(left), flat(right)
    except DataError:
        # Lists on one side alone.
        return _Pair(left, right, None)
    families = _family(left.type), _family(right.type)
    for family, as_times in _FROM_TEXT.items():
        if set(families) == {family, _TEXT}:
            read = as_times(left), as_times(right)
            return _Pair(left, right, None) if None in map(_kind_of, read) else _Pair(*read, family)
    if None in families:
        # A struct beside the same struct; of two that differ in type nothing is known.
        return _Pair(left, right, _OTHER) if left.type == right.type else None
    # Text on one side and numbers on the other: some reader would make them equal, and another
    # model input of them.
    if families[0] != families[1]:
        return _Pair(left, right, None)
    return _Pair(_plain(left), _plain(right), families[0])


def _kind_of(column: Any) -> Any:
    return None if column is None else column.type


def _plain(column: Any) -> Any:
    """Returns numbers as they are and decimals as floats; times as whole microseconds."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    elif pa.types.is_timestamp(kind):
        # With a zone or without: the instant, and finer than a microsecond is rounding.
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_time(kind):
        column = column.cast(pa.time64("us"), safe=False)
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False)
    return column.cast(pa.int64()) if pa.types.is_temporal(kind) else column


def _as_instants(column: Any) -> Any:
    """Returns dates and times that may be written as text (ISO 8601); None where some are not."""
    if not is_text_type(column.type):
        return _plain(column)
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return strings(column).cast(kind).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
    return None


def _as_microseconds(column: Any) -> Any:
    """Returns times of day and durations that may be written as text; None where some are not."""
    if not is_text_type(column.type):
        return _plain(column)
    texts = pc.utf8_trim_whitespace(strings(column))
    if not pc.all(pc.fill_null(are_clocks(texts), True)).as_py():
        return None
    return pc.round(pc.multiply(seconds_of(texts), 1e6)).cast(pa.int64())


# How times are read where the other side has them as text.
_FROM_TEXT = {
    _INSTANT: _as_instants,
    _CLOCK: _as_microseconds,
    _DURATION: _as_microseconds,
}


def _several(left: Any, right: Any) -> bool:
    """Says whether a row of two columns of lists has more than one value."""
    return max(pc.max(pc.list_value_length(column)).as_py() or 0 for column in (left, right)) > 1


def _unequal_lists(left: Any, right: Any) -> Mask | None:
    """Says which rows hold other values, or others in order; None where they cannot be compared."""
    lengths = [
        pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        for column in (left, right)
    ]
    unequal = lengths[0] != lengths[1]
    alike = pa.array(~unequal)
    values = [column.filter(alike).flatten() for column in (left, right)]
    if not len(values[0]):
        return np.asarray(unequal)
    pair = _pair(*values)
    if pair is None:
        return None
    missing = _missing(values[0]), _missing(values[1])
    wrong = missing[0] != missing[1]
    wrong |= ~missing[0] & ~missing[1] & (True if pair.family is None else _unequal_flat(pair))
    rows = np.repeat(np.arange(len(unequal)), np.where(unequal, 0, lengths[0]))
    unequal[rows[wrong]] = True
    return np.asarray(unequal)


def _unequal_flat(pair: _Pair) -> Mask:
    left, right = pair.training, pair.served
    if pair.family == _TEXT:
        return _mask(pc.not_equal(strings(left), strings(right)))
    if pair.family == _OTHER:
        return np.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)])
    return _unequal(left, right, (type_of(left), type_of(right)))


def _mean_difference(pair: _Pair, both: Mask) -> float:
    a, b = (_numbers(column, type_of(column)) for column in (pair.training, pair.served))
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.mean((b - a)[both], dtype=np.float64))


def _missing(column: Any) -> Mask:
    if is_list(column.type):
        # A list of nothing is how tf.Examples have a missing value.
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        missing = (lengths.to_numpy(zero_copy_only=False) == 0) | _missing_alone(column)
        return np.asarray(missing, dtype=bool)
    return np.asarray(column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), dtype=bool)


def _missing_alone(column: Any) -> Any:
    """Says which rows of lists hold one value that is missing."""
    try:
        return flat(column).is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    except DataError:
        return np.zeros(len(column), dtype=bool)


def _numbers(column: Any, kind: FeatureType | None) -> npt.NDArray[np.float64]:
    return raw_numbers(column, kind or FeatureType.NUMERIC).astype(np.float64)


def _unequal(left: Any, right: Any, kinds: tuple[Any, Any]) -> Mask:
    if kinds[0] in _WHOLE and kinds[1] in _WHOLE:
        # Not as floats: identifiers may be longer than their 53 bits.
        whole = [c.cast(pa.int64(), safe=False).fill_null(0) for c in (left, right)]
        return _mask(pc.not_equal(*whole))
    if kinds[0] in _WHOLE:
        # Both by training's kind: the served side may have read whole numbers as floats.
        a, b = _numbers(left, kinds[0]), _numbers(right, kinds[0])
        return np.asarray(a != b)
    a, b = _doubles(left), _doubles(right)
    if _are_narrow(a) or _are_narrow(b):
        a, b = _numbers(left, kinds[0]), _numbers(right, kinds[0])
        least = float(np.finfo(np.float32).eps)
    else:
        least = float(np.finfo(np.float64).eps)
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = np.maximum(np.abs(a), np.abs(b))
        close = np.abs(a - b) <= np.maximum(least * sizes, np.minimum(_ROUNDING * sizes, _limit(a)))
    # Infinities are equal to themselves only; a - b of two is NaN, which is near nothing.
    return np.asarray(~(close & np.isfinite(a) & np.isfinite(b)) & (a != b))


def _doubles(column: Any) -> npt.NDArray[np.float64]:
    return raw_numbers(column, FeatureType.INTEGER).astype(np.float64)


def _are_narrow(values: npt.NDArray[np.float64]) -> bool:
    """Says whether numbers went through float32, as those of tf.Examples did."""
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        return bool(np.array_equal(finite.astype(np.float32).astype(np.float64), finite))


def _limit(values: npt.NDArray[np.float64]) -> float:
    """How much numbers far from 0 may differ at most: a part of what they vary by."""
    finite = values[np.isfinite(values)]
    spread = float(np.std(finite)) if len(finite) else 0.0
    far = spread > 0 and float(np.abs(finite).min()) > _FAR_FROM_ZERO * spread
    return _ROUNDING * spread if far else np.inf


def _mask(values: Any) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
