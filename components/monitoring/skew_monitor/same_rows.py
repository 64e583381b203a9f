"""Rows that training and serving both have, found by their keys in whole columns.

Both sides are cut down to codes of the training side's keys, key by key, so that a log of a million
rows is looked through in a tenth of a second and nothing but the common rows is ever compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.columns import FeatureType, flat, strings, type_of

Places = npt.NDArray[np.int64]
# Beyond it doubles skip whole numbers, so two keys could become one.
_MOST_WHOLE = 2.0**53


@dataclass(frozen=True)
class SameRows:
    """Rows that both sides have.

    Attributes:
        training: Places among the training rows; of a row that was served twice, twice.
        served: Places of the served rows, in the same order.
    """

    training: Places
    served: Places

    @property
    def rows(self) -> int:
        """Training rows that were served."""
        return len(np.unique(self.training))

    @property
    def repeated(self) -> int:
        """Served rows beyond the first of each."""
        return len(self.served) - self.rows


def same_rows(training: Sequence[Any], served: Sequence[Any], *, quote: bool = False) -> SameRows:
    """Returns the rows whose keys are equal.

    Args:
        training: The key columns of the training rows, as pyarrow columns; at least one.
        served: Those of the served rows, in the same order. A row without a key is no row's twin.
            5, 5.0 and "5" name the same row.
        quote: Whether errors may quote a key.

    Raises:
        DataError: Keys name several training rows, or are no text and no numbers.
    """
    rows = len(training[0])
    ours, places = np.zeros(rows, dtype=np.int64), np.arange(len(served[0]))
    theirs = np.zeros(len(places), dtype=np.int64)
    for left, right in zip(training, served, strict=True):
        left, right = _alike(_as_key(left), _as_key(right))
        values = pc.unique(left.drop_null())
        of_left, of_right = _codes(left, values), _codes(right.take(pa.array(places)), values)
        known = of_right >= 0
        # A pair of codes as one number, like the digits of a mixed base.
        places, theirs = places[known], theirs[known] * len(values) + of_right[known]
        ours = np.where((ours < 0) | (of_left < 0), -1, ours * len(values) + of_left)
        # Dense again, so that many keys do not overflow.
        seen = np.unique(ours[ours >= 0])
        ours = np.where(ours < 0, -1, np.searchsorted(seen, ours))
        # searchsorted gives the length for what is beyond the last key.
        at = np.minimum(np.searchsorted(seen, theirs), max(len(seen) - 1, 0))
        known = seen[at] == theirs if len(seen) else np.zeros(len(theirs), dtype=bool)
        places, theirs = places[known], at[known]
    named = np.flatnonzero(ours >= 0)
    _refuse_twins(training, ours, named, quote)
    place_of = np.zeros(len(named), dtype=np.int64)
    place_of[ours[named]] = named
    # By training row and then by place, so that the first answer of a row comes first.
    order = np.lexsort((places, theirs))
    return SameRows(place_of[theirs[order]], places[order])


def _refuse_twins(training: Sequence[Any], ours: Places, named: Places, quote: bool) -> None:
    _, first, counts = np.unique(ours[named], return_index=True, return_counts=True)
    if not (counts > 1).any():
        return
    place = int(named[first[int(np.argmax(counts))]])
    key = f" {[column[place].as_py() for column in training]}" if quote else ""
    raise DataError(
        f"Expected keys that are unique in training, received {counts.max()} rows with one "
        f"key{key}: not unique. Name one more key."
    )


def _codes(column: Any, values: Any) -> Places:
    """Returns the place of each value in `values`; -1 for one that is not there, or missing."""
    found = pc.fill_null(pc.index_in(column, value_set=values), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def _as_key(column: Any) -> Any:
    """Returns a column as int64 where its values are whole numbers, else as text."""
    column = flat(column)
    try:
        kind = type_of(column)
        if kind in (FeatureType.INTEGER, FeatureType.BOOLEAN):
            return column.cast(pa.int64())
        if kind is FeatureType.NUMERIC:
            column = _whole(column)
    except DataError:
        kind = None  # a date or a time: as text
    except pa.ArrowInvalid:
        pass  # beyond int64
    try:
        if kind is FeatureType.CATEGORICAL:
            return strings(column)
        return column if pa.types.is_int64(column.type) else column.cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(
            f"Expected keys of text or whole numbers, received {column.type}. Name other keys."
        ) from error


def _whole(column: Any) -> Any:
    """Returns floats as int64 where all of them are whole; NaN is missing."""
    values = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    missing = np.isnan(values)
    held = np.where(missing, 0.0, values)
    if not (np.isfinite(held) & (np.abs(held) < _MOST_WHOLE) & (held == np.floor(held))).all():
        return column
    return pa.array(held.astype(np.int64), mask=missing)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    if left.type == right.type:
        return left, right
    # Numbers beside texts: 5 and "5" are one key, as a log of JSON may have it.
    return left.cast(pa.string()), right.cast(pa.string())
