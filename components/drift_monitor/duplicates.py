"""Are many rows of a window there twice? Rows hashed by content, in memory that does not grow.

Of all distinct rows those with the smallest hashes are kept with their exact counts, a uniform
sample of the distinct rows (Bar-Yossef et al. 2002, "Counting distinct elements in a data
stream"). From it follows how many distinct rows any number of rows would hold, so that files of
different sizes compare.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.profile.columns import flat, is_list, strings

HashArray = npt.NDArray[np.uint64]
_KEPT = 50_000
_WHOLE = float(2**64)


class DistinctRows:
    """Counts of a uniform sample of the distinct rows."""

    def __init__(self, kept: int = _KEPT) -> None:
        """Starts with no rows; keeps at most `kept` distinct ones."""
        self._most = kept
        self._hashes = np.zeros(0, dtype=np.uint64)
        self._counts = np.zeros(0, dtype=np.int64)
        self._below = _WHOLE
        self.rows = 0

    def add(self, hashes: HashArray) -> None:
        """Counts rows by their hashes, of shape (rows,)."""
        self.rows += len(hashes)
        if self._below < _WHOLE:
            hashes = hashes[hashes < np.uint64(self._below)]
        new, counts = np.unique(hashes, return_counts=True)
        both = np.concatenate([self._hashes, new])
        self._hashes, places = np.unique(both, return_inverse=True)
        self._counts = np.bincount(
            places, np.concatenate([self._counts, counts]), len(self._hashes)
        ).astype(np.int64)
        while len(self._hashes) > self._most:
            self._below /= 2
            keep = self._hashes < np.uint64(self._below)
            self._hashes, self._counts = self._hashes[keep], self._counts[keep]

    def equal_pairs(self) -> float:
        """Returns an estimate of how many pairs of rows are equal."""
        pairs = float(np.sum(self._counts * (self._counts - 1)) / 2)
        return pairs * self.rows / max(float(self._counts.sum()), 1.0)

    def distinct_share(self, rows: int) -> float:
        """Returns the expected share of distinct rows among `rows` of all, at most all of them."""
        if not self.rows or not rows:
            return 1.0
        left_out = 1 - min(rows, self.rows) / self.rows
        with np.errstate(divide="ignore"):
            seen = -np.expm1(self._counts * np.log(max(left_out, 1e-300)))
        kept_rows = float(self._counts.sum()) * min(rows, self.rows) / self.rows
        return float(seen.sum() / kept_rows) if kept_rows else 1.0


def duplicate_rise(reference: DistinctRows, current: DistinctRows) -> float:
    """Returns by how much the share of repeated rows rose, in [-1, 1]; 0 where chance explains it.

    Compared at the size of the smaller side; a larger current side also with the repetitions that
    the reference's equal pairs allow it, as pairs grow with the square of the rows.
    """
    rows = min(reference.rows, current.rows)
    usual = 1 - reference.distinct_share(rows)
    now = 1 - current.distinct_share(rows)
    noise = 4 * np.sqrt(2 * (usual * rows + 10)) / max(rows, 1)
    rise = now - usual if now - usual > noise else 0.0
    if current.rows <= reference.rows:
        return rise
    pairs = reference.equal_pairs()
    most = (pairs + 4 * np.sqrt(pairs) + 4) * (current.rows / reference.rows) ** 2
    allowed = min(1.0, most / current.rows)
    return float(max(rise, 1 - current.distinct_share(current.rows) - allowed))


def row_hashes(columns: list[Any]) -> HashArray:
    """Returns a 64-bit hash of each row over flat columns, of shape (rows,)."""
    hashes = np.zeros(len(columns[0]), dtype=np.uint64)
    for place, column in enumerate(columns, start=1):
        hashes = _mixed(hashes ^ _mixed(_value_hashes(flat(column)) + np.uint64(place)))
    return hashes


def can_hash(kind: Any) -> bool:
    """Says whether columns of a pyarrow type are hashed."""
    nested = pa.types.is_nested(kind) or is_list(kind) or pa.types.is_fixed_size_list(kind)
    return not (nested or pa.types.is_null(kind))


def _value_hashes(column: Any) -> HashArray:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values = column.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False) + 0.0
        hashes = values.view(np.uint64)
    elif pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        whole = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
        hashes = whole.view(np.uint64)
    elif pa.types.is_temporal(column.type):
        hashes = _value_hashes(column.cast(pa.string()))
    else:
        from pandas.util import hash_array

        encoded = strings(column).dictionary_encode()
        known = hash_array(np.array([*encoded.dictionary.to_pylist(), ""], dtype=object))
        places = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
        hashes = known[places]
    return np.where(missing, np.uint64(0x6D697373), hashes)


def _mixed(values: HashArray) -> HashArray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), on whole arrays."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)
