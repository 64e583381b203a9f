"""Bins of a feature, frozen once at training time.

Numbers get equal-mass bins; strings, booleans and integers with few values get one bin a category
and `other`. Missing values are always counted apart (counts.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.profile.columns import FeatureType, FloatArray, numbers, strings

Category = str | int
# Fine enough that AUC estimated from the histogram of a window is as good as from its rows
# (tests/benchmarks/drift), and still 1 KB a window.
SCORE_BINS = 200
# Growth, or a fall, that a number may have between training and a window. With the range alone 30
# of 72 growths by 0.6 to 1.9 were called faults, with it 2, and of 120 planted faults 109 are told
# after 111 (`python -m tests.benchmarks.drift.growth`).
_GROWTH = 2.0
# Whole numbers up to here are doubles of their own.
EXACT = 2**53


@dataclass(frozen=True)
class BinSettings:
    """How finely a feature is binned.

    Attributes:
        numeric_bins: Equal-mass bins of a number, from 32 to 64; fewer where values tie.
        max_categories: Categories with a bin of their own; an integer feature with more distinct
            values than this is binned as a number.
    """

    # The fewest allowed: a bin wants some forty rows of a window (statistics/single_feature.py).
    numeric_bins: int = 32
    # With `other` 64 bins, as many as a number has at most.
    max_categories: int = 63

    def __post_init__(self) -> None:
        # Below 32 a change of shape within a bin goes unseen; above 64 a window of 1,000 rows has
        # fewer than 16 in a bin.
        if not 32 <= self.numeric_bins <= 64:
            raise ConfigError(
                f"numeric_bins must be from 32 to 64, got {self.numeric_bins}: fewer hide a "
                "change of shape, more need larger windows."
            )
        # A window keeps a count for each: 255 are what 8 bits would number. Chosen, not measured.
        if not 1 <= self.max_categories <= 255:
            raise ConfigError(f"max_categories must be from 1 to 255, got {self.max_categories}.")


@dataclass(frozen=True)
class NumericBins:
    """Bins of a number: bin i holds the values v with edges[i-1] < v <= edges[i].

    Attributes:
        edges: Inner edges, strictly rising; the outer bins are open, so infinities fall there.
        low: Smallest plausible value, of training's by `plausible`.
        high: Largest plausible value.
    """

    edges: tuple[float, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.edges)) or np.any(np.diff(self.edges) <= 0):
            raise DataError(f"Expected finite, strictly rising edges, received {self.edges}.")

    def __len__(self) -> int:
        return len(self.edges) + 1


@dataclass(frozen=True)
class CategoryBins:
    """Bins of a category: one for each of `categories`, then one for every other value."""

    categories: tuple[Category, ...]

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories):
            raise DataError(f"Expected distinct categories, received {self.categories}.")

    def __len__(self) -> int:
        return len(self.categories) + 1


Bins = NumericBins | CategoryBins


def freeze(column: Any, feature_type: FeatureType, settings: BinSettings) -> Bins:
    """Returns the bins of a flat training column.

    Raises:
        DataError: The column has no finite value to take bins from.
    """
    if feature_type is FeatureType.CATEGORICAL:
        return CategoryBins(_top_strings(strings(column), settings.max_categories))
    if feature_type is FeatureType.BOOLEAN:
        return CategoryBins((0, 1))
    values = numbers(column, feature_type)
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise DataError(
            "Expected at least one finite value to freeze bins from, received none. "
            "Name the feature in ignore_features."
        )
    ordered = np.sort(finite)
    if feature_type is FeatureType.INTEGER:
        if np.abs(ordered[[0, -1]]).max() > EXACT and pa.types.is_integer(column.type):
            # Doubles would take several of these numbers for one.
            exact = pc.unique(column.drop_null())
            if len(exact) <= settings.max_categories:
                return CategoryBins(tuple(sorted(exact.to_pylist())))
        distinct = 1 + int(np.count_nonzero(np.diff(ordered)))
        if distinct <= settings.max_categories:
            return CategoryBins(tuple(int(value) for value in np.unique(ordered)))
    return equal_mass(ordered, settings.numeric_bins)


def equal_mass(ordered: FloatArray, bins: int) -> NumericBins:
    """Returns at most `bins` bins that hold about the same number of the sorted values.

    A value that fills a whole bin at the lower or the upper end keeps an empty bin beyond it, so
    that a window's values out there are not taken for it.
    """
    # The i/bins quantiles as order statistics: edges are values that training had, so that "at most
    # the edge" counts them exactly.
    # Less one, as ranks begin at 1 and places at 0.
    ranks = np.ceil(np.arange(1, bins) * len(ordered) / bins).astype(np.int64) - 1
    # A value that many rows share is several quantiles and one edge.
    edges = np.unique(ordered[np.maximum(ranks, 0)])
    smallest, largest = float(ordered[0]), float(ordered[-1])
    # Without this bin a value below all of training's would be counted as its smallest.
    if edges[0] == smallest:
        edges = np.concatenate([[np.nextafter(smallest, -np.inf)], edges])
    # Farther out counts as `outside`.
    return NumericBins(tuple(edges.tolist()), *plausible(smallest, largest))


def plausible(smallest: float, largest: float) -> tuple[float, float]:
    """Returns the range of values that are plausible still beside those that training had.

    One whole range beyond either end, and of numbers of one sign half and twice the ends, too: what
    lay between 95 and 105 may grow to 150, and nothing is broken.
    """
    width = largest - smallest
    low, high = smallest - width, largest + width
    if smallest > 0:
        return min(low, smallest / _GROWTH), max(high, largest * _GROWTH)
    if largest < 0:
        return min(low, smallest * _GROWTH), max(high, largest / _GROWTH)
    return low, high


def score_bins() -> NumericBins:
    """Returns 200 bins over [0, 1], for a predicted probability: sin²(π/2 · i/200).

    As wide as a proportion is uncertain (the arcsine transformation): 0.008 in the middle, 6e-5 at
    the ends. Where ones are rare, bins of equal width would put most scores into one of them.
    """
    # Var(p) = p (1 - p) / n: under arcsine of the root all proportions are equally uncertain.
    edges = np.sin(np.pi / 2 * np.arange(1, SCORE_BINS) / SCORE_BINS) ** 2
    # One half stays what it is, so that answers of 0 and 1 fall apart at an edge.
    edges[SCORE_BINS // 2 - 1] = 0.5
    return NumericBins(tuple(edges.tolist()), 0.0, 1.0)


def _top_strings(column: Any, most: int) -> tuple[str, ...]:
    if pa.types.is_null(column.type):
        return ()
    tally = pc.value_counts(column)
    pairs = [
        (-count, value)
        for value, count in zip(
            tally.field("values").to_pylist(), tally.field("counts").to_pylist(), strict=True
        )
        if value is not None
    ]
    # Ties by name, so that the order of rows does not decide who gets a bin.
    return tuple(value for _, value in sorted(pairs)[:most])
