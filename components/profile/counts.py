"""How many rows of a column fall into each frozen bin? Exact integers that merge in any order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.profile.bins import Bins, CategoryBins, NumericBins
from components.profile.columns import FeatureType, numbers, strings

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ColumnCounts:
    """Exact counts of one column on frozen bins.

    Attributes:
        bins: Rows in each bin; infinities are in the outer bins, unknown categories in the last.
        missing: Rows with null or NaN.
        rows: All rows; the bins and `missing` add up to it.
        infinite: Rows with an infinity, which are in the bins too.
        outside: Rows with a finite value beyond the plausible limits of numeric bins.
        minimum: Smallest finite number; None for text, and where there is none.
        maximum: Largest finite number.
    """

    bins: tuple[int, ...]
    missing: int
    rows: int
    infinite: int = 0
    outside: int = 0
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        parts = (*self.bins, self.missing, self.infinite, self.outside)
        if min(parts) < 0 or sum(self.bins) + self.missing != self.rows:
            raise DataError(
                f"Expected bins + missing = rows, received {sum(self.bins)} + {self.missing} "
                f"for {self.rows} rows: rows were lost or counted twice. Count again."
            )

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    def vector(self) -> IntArray:
        """Returns the counts of all bins, `missing` last, of shape (bins + 1,)."""
        return np.array([*self.bins, self.missing], dtype=np.int64)


def count(column: Any, feature_type: FeatureType, bins: Bins) -> ColumnCounts:
    """Counts a flat column, which must fit `feature_type` (columns.fits), on frozen bins."""
    if feature_type is FeatureType.CATEGORICAL:
        if not isinstance(bins, CategoryBins):
            raise DataError("Expected category bins for a categorical feature, received edges.")
        return _count_strings(strings(column), bins)
    values = numbers(column, feature_type)
    missing = np.isnan(values)
    present = values[~missing]
    finite = present[np.isfinite(present)]
    if isinstance(bins, NumericBins):
        places = np.searchsorted(np.asarray(bins.edges), present, side="left")
        outside = int(np.count_nonzero((finite < bins.low) | (finite > bins.high)))
    else:
        places = _integer_places(present, bins)
        outside = 0
    return ColumnCounts(
        bins=_tally(places, len(bins)),
        missing=int(np.count_nonzero(missing)),
        rows=len(values),
        infinite=len(present) - len(finite),
        outside=outside,
        minimum=float(finite.min()) if len(finite) else None,
        maximum=float(finite.max()) if len(finite) else None,
    )


def merge(left: ColumnCounts, right: ColumnCounts) -> ColumnCounts:
    """Adds two counts on the same bins; associative and commutative, exactly.

    Raises:
        DataError: They were counted on different bins.
    """
    if len(left.bins) != len(right.bins):
        raise DataError(
            f"Expected counts on the same bins, received {len(left.bins)} and {len(right.bins)}."
        )
    return ColumnCounts(
        bins=tuple(a + b for a, b in zip(left.bins, right.bins, strict=True)),
        missing=left.missing + right.missing,
        rows=left.rows + right.rows,
        infinite=left.infinite + right.infinite,
        outside=left.outside + right.outside,
        minimum=min(_known(left.minimum, right.minimum), default=None),
        maximum=max(_known(left.maximum, right.maximum), default=None),
    )


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _integer_places(present: npt.NDArray[np.float64], bins: CategoryBins) -> npt.NDArray[np.intp]:
    known = np.asarray(bins.categories, dtype=np.float64)
    order = np.argsort(known)
    other = len(known)
    if not other:
        return np.zeros(len(present), dtype=np.intp)
    found = np.minimum(np.searchsorted(known[order], present), other - 1)
    return np.where(known[order][found] == present, order[found], other)


def _count_strings(column: Any, bins: CategoryBins) -> ColumnCounts:
    missing = column.null_count
    known = pa.array(bins.categories, pa.string())
    places = pc.fill_null(pc.index_in(column.drop_null(), value_set=known), len(known))
    return ColumnCounts(
        bins=_tally(places.to_numpy(zero_copy_only=False), len(bins)),
        missing=missing,
        rows=len(column),
    )


def _tally(places: npt.NDArray[Any], bins: int) -> tuple[int, ...]:
    return tuple(np.bincount(places.astype(np.intp), minlength=bins).tolist())
