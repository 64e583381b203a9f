"""Bin of each value of a column: exact, and several times faster than bisection.

A uniform grid over the edges tells the bin up to one comparison. The grid's cell of a number rises
with the number whatever the rounding, so an edge in a lower cell lies below and one in a higher
cell above: where no cell holds two edges, one comparison with the cell's edge is all that is left.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.profile.bins import EXACT, CategoryBins, NumericBins

PlaceArray = npt.NDArray[Any]
# Grids to try, the smallest first: it stays in the cache. Edges closer together than a cell of the
# largest are left to bisection.
_CELLS = (256, 1024, 4096, 16384)
# Whole numbers as far apart as this get a table from number to bin, 128 KB of int16.
_MOST_SPAN = 1 << 16


class NumericPlaces:
    """Finds the bins of numbers: the number of edges below each, as `np.searchsorted` says."""

    def __init__(self, bins: NumericBins, dtype: Any) -> None:
        """Prepares the grid.

        Args:
            bins: Frozen edges.
            dtype: np.float32 or np.float64, of the values to come. Edges are rounded down to it,
                which keeps every comparison `value <= edge` as it was.
        """
        self.edges = _rounded_down(np.asarray(bins.edges, dtype=np.float64), dtype)
        self._grid = _grid(self.edges)

    def __call__(self, values: PlaceArray) -> PlaceArray:
        """Returns the bin of each value; values must not be NaN."""
        if self._grid is None:
            return np.searchsorted(self.edges, values, side="left")
        low, scale, below, edge = self._grid
        with np.errstate(over="ignore"):
            cells = _cells(values, low, scale, len(below))
        # One comparison decides: no cell of the grid holds more than one edge.
        return np.asarray(below[cells] + (values > edge[cells]))


def _cells(values: PlaceArray, low: Any, scale: Any, count: int) -> PlaceArray:
    # In place, as are the steps below: fresh arrays would cost more than the arithmetic.
    scaled = values - low
    scaled *= scale
    np.clip(scaled, 0, count - 1, out=scaled)
    return np.asarray(scaled.astype(np.int32))


def _grid(edges: PlaceArray) -> tuple[Any, Any, PlaceArray, PlaceArray] | None:
    """Returns low, scale, edges below each cell, and the edge in or after each cell."""
    # A score's 199 edges are the most that are frozen; bisection takes any number.
    if len(edges) == 0 or len(edges) > 255:
        return None
    low = edges[0]
    for count in _CELLS:
        with np.errstate(all="ignore"):
            span = edges[-1] - low if len(edges) > 1 else edges.dtype.type(1)
            # The last edge falls into the last cell; what is beyond it is clipped to that cell,
            # too.
            scale = edges.dtype.type(count - 1) / span
            # Not on subnormal, infinite or overflowing spans: inf times 0 has no place.
            if not (np.isfinite([low, span, scale]).all() and scale > 0):
                return None
            cells = _cells(edges, low, scale, count)
        if len(np.unique(cells)) == len(edges):
            below = np.searchsorted(cells, np.arange(count), side="left")
            # Behind the last edge nothing follows: infinity, which no value exceeds.
            following = np.append(edges, edges.dtype.type(np.inf))[below]
            return low, scale, below.astype(np.int16), following
    return None


def _rounded_down(edges: npt.NDArray[np.float64], dtype: Any) -> PlaceArray:
    with np.errstate(over="ignore"):
        rounded = edges.astype(dtype)
        lower = np.nextafter(rounded, dtype(-np.inf))
    # v <= edge holds of a float32 v exactly where v <= the largest float32 that is no larger than
    # the edge.
    return np.where(rounded > edges, lower, rounded).astype(dtype)


class IntegerPlaces:
    """Finds the bins of whole numbers that are categories; `other` for the rest."""

    def __init__(self, bins: CategoryBins) -> None:
        """Prepares a table from number to bin where the categories lie close together."""
        self._other = len(bins.categories)
        largest = max((abs(int(value)) for value in bins.categories), default=0)
        # Beyond 2^53 doubles take several whole numbers for one: they are compared as integers
        # then.
        self.exact = EXACT < largest < 2**63
        known = np.asarray(bins.categories, dtype=np.int64 if self.exact else np.float64)
        self._order = np.argsort(known)
        self._known = known[self._order]
        self._table = None
        if self._other and self._known[-1] - self._known[0] < _MOST_SPAN:
            # One place more at both ends, for all numbers below and above.
            span = int(self._known[-1] - self._known[0]) + 1
            self._table = np.full(span + 2, self._other, dtype=np.int16)
            self._table[(self._known - self._known[0]).astype(np.int64) + 1] = self._order

    def __call__(self, values: PlaceArray) -> PlaceArray:
        """Returns the bin of each whole number or infinity, float64; int64 where `exact`."""
        if not self._other:
            return np.zeros(len(values), dtype=np.int16)
        if self._table is not None:
            moved = values - (self._known[0] - 1)
            np.clip(moved, 0, len(self._table) - 1, out=moved)
            return np.asarray(self._table[moved.astype(np.int32)])
        # A value above all categories is looked up as the last one, which it does not equal.
        found = np.minimum(np.searchsorted(self._known, values), self._other - 1)
        return np.where(self._known[found] == values, self._order[found], self._other)
