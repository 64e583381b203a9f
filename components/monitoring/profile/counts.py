"""Rows of a column in each frozen bin: exact integers that merge in any order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.bin_lookup import IntegerPlaces, NumericPlaces
from tfx_loop.monitoring.profile.bins import Bins, CategoryBins, NumericBins
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    raw_numbers,
    strings,
    type_of,
    unfit_numbers,
)

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
        unfit: Rows whose value is of a type that the feature cannot have; `missing` has them too.
        absent: Rows that came without the column; `missing` has them too.
    """

    bins: tuple[int, ...]
    missing: int
    rows: int
    infinite: int = 0
    outside: int = 0
    minimum: float | None = None
    maximum: float | None = None
    unfit: int = 0
    absent: int = 0

    def __post_init__(self) -> None:
        parts = (*self.bins, self.missing, self.infinite, self.outside, self.unfit, self.absent)
        # Conservation: a runner of Beam was reported to lose rows silently (tensorflow/data-
        # validation#247), and a count that does not add up must not be judged.
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
    """Counts a flat column on frozen bins; values that do not fit the type are `unfit`."""
    return BinCounter(feature_type, bins).count(column)


@dataclass(frozen=True)
class BinPlacement:
    """Where the rows of a flat column fall.

    Attributes:
        places: Bin of each row; the number of bins for missing and unfit rows.
        present: Numbers of the rows that have one, float32 or float64; None for text.
        unfit: Rows whose value does not fit the feature's type.
        words: For text the dictionary-encoded column.
    """

    places: npt.NDArray[Any]
    present: npt.NDArray[Any] | None
    unfit: int
    words: Any = None


class BinCounter:
    """Counts columns on the bins of one feature; made once for many batches."""

    def __init__(self, feature_type: FeatureType, bins: Bins) -> None:
        """Prepares the search of bins.

        Raises:
            DataError: Text on numeric bins.
        """
        self._type, self._bins = feature_type, bins
        self._missing = len(bins)
        if isinstance(bins, CategoryBins):
            self._known = pa.array(bins.categories, pa.string()) if self.is_text else None
            self._places: Any = None if self.is_text else IntegerPlaces(bins)
        elif self.is_text:
            raise DataError("Expected category bins for a categorical feature, received edges.")
        else:
            numeric = feature_type is FeatureType.NUMERIC
            self._places = NumericPlaces(bins, np.float32 if numeric else np.float64)

    @property
    def is_text(self) -> bool:
        """Says whether the feature's values are strings."""
        return self._type is FeatureType.CATEGORICAL

    def place(self, column: Any) -> BinPlacement:
        """Returns the bin of each row of a flat column."""
        rows, nulls = len(column), column.null_count
        # Text where numbers are expected, or the reverse: each value is unfit, none is guessed at.
        if nulls == rows or _reads_as_text(column) is not self.is_text:
            nothing = None if self.is_text else np.zeros(0)
            return BinPlacement(np.full(rows, self._missing), nothing, rows - nulls)
        return self._place_words(column) if self.is_text else self._place_numbers(column)

    def count(self, column: Any) -> ColumnCounts:
        """Counts a flat column."""
        return self.tally(self.place(column))

    def tally(self, placed: BinPlacement) -> ColumnCounts:
        """Returns the counts of rows with known places."""
        # minlength, or a window without missing values would have a vector one shorter.
        counts = np.bincount(placed.places, minlength=self._missing + 1)
        missing = int(counts[self._missing])
        bins = tuple(counts[: self._missing].tolist())
        rows = len(placed.places)
        values = placed.present
        if values is None or not len(values):
            return ColumnCounts(bins, missing, rows, unfit=placed.unfit)
        # Two passes tell whether the rarer questions need asking at all.
        low, high = values.min(), values.max()
        infinite = 0
        if np.isinf(low) or np.isinf(high):
            infinite = int(np.count_nonzero(np.isinf(values)))
            values = values[np.isfinite(values)]
            if not len(values):
                return ColumnCounts(bins, missing, rows, infinite, unfit=placed.unfit)
            low, high = values.min(), values.max()
        outside = 0
        if isinstance(self._bins, NumericBins) and (low < self._bins.low or high > self._bins.high):
            beyond = (values < self._bins.low) | (values > self._bins.high)
            outside = int(np.count_nonzero(beyond))
        # Adding 0.0 makes -0.0 of one shard the 0.0 of another.
        return ColumnCounts(
            bins,
            missing,
            rows,
            infinite,
            outside,
            float(low) + 0.0,
            float(high) + 0.0,
            placed.unfit,
        )

    def _place_numbers(self, column: Any) -> BinPlacement:
        values = raw_numbers(column, self._type)
        lacking = np.isnan(values)
        # An integer column cannot hold a fraction: no second look at millions of values.
        unfit = unfit_numbers(values, self._type) if _may_be_unfit(column, self._type) else None
        unfit_rows = 0
        if unfit is not None and unfit.any():
            unfit_rows = int(np.count_nonzero(unfit))
            lacking |= unfit
        looked_up = values
        if getattr(self._places, "exact", False) and pa.types.is_integer(column.type):
            looked_up = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        if not lacking.any():
            return BinPlacement(self._places(looked_up), values, 0)
        # Missing values have a bin of their own behind the others, so that one bincount does.
        places = np.full(len(values), self._missing)
        present = values[~lacking]
        places[~lacking] = self._places(looked_up[~lacking])
        return BinPlacement(places, present, unfit_rows)

    def _place_words(self, column: Any) -> BinPlacement:
        words = strings(column).dictionary_encode()
        found = pc.index_in(words.dictionary, value_set=self._known)
        # Each distinct text is looked up once, through the dictionary, however many rows have it.
        other = self._missing - 1
        table = np.append(pc.fill_null(found, other).to_numpy(), self._missing)
        codes = words.indices.fill_null(len(words.dictionary)).to_numpy(zero_copy_only=False)
        return BinPlacement(table[codes], None, 0, words)


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
        # None is the identity: a shard without numbers changes neither.
        minimum=min(_known(left.minimum, right.minimum), default=None),
        maximum=max(_known(left.maximum, right.maximum), default=None),
        unfit=left.unfit + right.unfit,
        absent=left.absent + right.absent,
    )


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _reads_as_text(column: Any) -> bool | None:
    """Says whether a column holds text; None where it holds neither text nor numbers."""
    try:
        return type_of(column) is FeatureType.CATEGORICAL
    except DataError:
        return None


def _may_be_unfit(column: Any, expected: FeatureType) -> bool:
    if expected is FeatureType.NUMERIC or pa.types.is_boolean(column.type):
        return False
    return expected is FeatureType.BOOLEAN or bool(pa.types.is_floating(column.type))
