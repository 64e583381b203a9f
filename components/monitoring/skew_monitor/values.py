"""Equality of two columns row by row, as far as storing them allows.

A tf.Example keeps floats as float32, the log what came as JSON: rounding is no skew. Whole numbers
are codes and counts, and must be equal.
"""

from collections.abc import Callable
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
from tfx_loop.monitoring.profile.columns import FeatureType, flat, raw_numbers, strings, type_of

Mask: TypeAlias = npt.NDArray[np.bool_]

# A tf.Example keeps 7 digits of a number, text often fewer.
_ROUNDING = 1e-5
_WHOLE = (FeatureType.INTEGER, FeatureType.BOOLEAN)


def compare(
    name: str, training: Any, served: Any, tolerated: float, row_at: Callable[[int], str]
) -> FeatureSkew | None:
    """Compares a feature on the same rows.

    Args:
        name: Of the feature.
        training: Its values as training saw them, a pyarrow column.
        served: As the server saw them, in the same order of rows.
        tolerated: Share of the rows that may differ, in [0, 1).
        row_at: Names the row at a place, for the example.

    Returns:
        What differs; None where neither side holds one number or text a row.
    """
    left, right = _plain(training), _plain(served)
    if left is None and right is None:
        return None
    if left is None or right is None:
        everywhere = np.ones(len(training), dtype=bool)
        return _skew(name, TYPE_CHANGED, everywhere, (training, served), row_at)
    before, now = _missing(left), _missing(right)
    both = ~before & ~now
    kinds = type_of(left), type_of(right)
    numbers = FeatureType.CATEGORICAL not in kinds
    mean = None
    if not both.any():
        unequal, changed = both, False
    elif numbers:
        a, b = _numbers(left, kinds[0]), _numbers(right, kinds[0])
        unequal, changed = both & _unequal(left, right, kinds), False
        with np.errstate(invalid="ignore", over="ignore"):
            mean = float(np.mean((b - a)[both], dtype=np.float64))
    else:
        changed = kinds[0] is not kinds[1]
        unequal = both if changed else both & _mask(pc.not_equal(strings(left), strings(right)))
    differing = unequal | (before != now)
    reason = ""
    if differing.mean() > tolerated:
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


def _plain(column: Any) -> Any:
    """Returns a column flat; None where it does not hold one number or text a row."""
    try:
        column = flat(column)
        type_of(column)
    except DataError:
        return None
    return column


def _missing(column: Any) -> Mask:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        missing = missing | np.isnan(column.to_numpy(zero_copy_only=False))
    return np.asarray(missing, dtype=bool)


def _numbers(column: Any, kind: FeatureType | None) -> npt.NDArray[np.float64]:
    return raw_numbers(column, kind or FeatureType.NUMERIC).astype(np.float64)


def _unequal(left: Any, right: Any, kinds: tuple[Any, Any]) -> Mask:
    if kinds[0] in _WHOLE and kinds[1] in _WHOLE:
        # Not as floats: identifiers may be longer than their 53 bits.
        whole = [c.cast(pa.int64(), safe=False).fill_null(0) for c in (left, right)]
        return _mask(pc.not_equal(*whole))
    a, b = _numbers(left, kinds[0]), _numbers(right, kinds[0])
    if kinds[0] in _WHOLE:
        return np.asarray(a != b)
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(a - b) <= _ROUNDING * np.maximum(np.abs(a), np.abs(b))
    return np.asarray(~(close & np.isfinite(a) & np.isfinite(b)) & (a != b))


def _mask(values: Any) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
