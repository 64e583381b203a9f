"""Rows of a window that repeat another, from counts of a uniform sample of the distinct rows.

Of all distinct rows those with the smallest keys are kept with their exact counts (Bar-Yossef et
al. 2002, "Counting distinct elements in a data stream"): all below a power of two, so that any
order of merging keeps the same. From them follows how many distinct rows any number would hold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.columns import flat, is_list, type_of
from tfx_loop.monitoring.profile.derived_columns import value_keys
from tfx_loop.monitoring.profile.row_keys import KeyArray, mixed

# The share of repeated rows is then known to 1 / sqrt(2,048) = 2 %, at some 25 KB a window.
KEPT = 2_048
# "missing1" as bytes.
_MISSING = np.uint64(0x6D697373696E6731)


def _no_keys() -> KeyArray:
    return np.zeros(0, dtype=np.uint64)


def _no_counts() -> npt.NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class RowContents:
    """Counts of some distinct rows.

    Attributes:
        rows: Rows in all.
        bits: Kept are the contents whose keys are below 2**(64 - bits): as few bits as keep at most
            KEPT of them.
        keys: Keys of the kept contents, rising.
        counts: How often each was there.
    """

    rows: int = 0
    bits: int = 0
    keys: KeyArray = field(default_factory=_no_keys)
    counts: npt.NDArray[np.int64] = field(default_factory=_no_counts)

    def equal_pairs(self) -> float:
        """Returns an estimate of how many pairs of rows are equal."""
        pairs = float(np.sum(self.counts * (self.counts - 1)) / 2)
        return pairs * self.rows / max(float(self.counts.sum()), 1.0)

    def distinct_share(self, rows: int) -> float:
        """Returns the expected share of distinct rows among `rows` of all, at most all of them."""
        if not self.rows or not rows or not len(self.counts):
            return 1.0
        # A content that is there c times is among a share d of the rows with chance 1 - (1 - d)^c.
        drawn = min(rows, self.rows) / self.rows
        # As a logarithm: (1 - d)^c of a content that thousands of rows share underflows; 1e-300
        # stands for a draw of all rows, whose logarithm is none.
        seen = -np.expm1(self.counts * math.log(max(1 - drawn, 1e-300)))
        return float(seen.sum() / (float(self.counts.sum()) * drawn))


def contents_of(keys: KeyArray) -> RowContents:
    """Returns the contents of rows with these keys (content_keys), of shape (rows,)."""
    bits = max(0, int(math.log2(len(keys) / KEPT))) if len(keys) > KEPT else 0
    kept, counts = _below(keys, bits)
    # Repeated rows leave fewer distinct ones than the guess took for granted.
    while bits and len(kept) <= KEPT:
        bits -= 1
        kept, counts = _below(keys, bits)
    return _bounded(RowContents(len(keys), bits, kept, counts))


def merge_contents(left: RowContents, right: RowContents) -> RowContents:
    """Adds the contents of other rows; associative and commutative, exactly."""
    bits = max(left.bits, right.bits)
    both = np.concatenate([left.keys, right.keys])
    keys, places = np.unique(both, return_inverse=True)
    counts = np.bincount(places, np.concatenate([left.counts, right.counts]), len(keys))
    found = RowContents(left.rows + right.rows, bits, keys, counts.astype(np.int64))
    return _bounded(_cut(found, bits))


def content_keys(columns: Sequence[Any], rows: int) -> KeyArray:
    """Returns a 64-bit key of each row that has a value, whatever other rows there are.

    Rows without any are left out: that they are alike says that their values are missing.

    Args:
        columns: Of `rows` values each; None for one that is not there, as if all were missing. So
            are NaN, lists, and what is neither number nor text.
        rows: How many rows there are.
    """
    keys, present = np.zeros(rows, dtype=np.uint64), np.zeros(rows, dtype=bool)
    for place, column in enumerate(columns, start=1):
        held = np.full(rows, _MISSING) if column is None else _keys_of(column)
        present |= held != _MISSING
        # With the column's place: a row (1, 2) is not the row (2, 1).
        keys = mixed(keys ^ mixed(held + np.uint64(place)))
    kept: KeyArray = keys[present]
    return kept


def _keys_of(column: Any) -> KeyArray:
    try:
        plain = not is_list(column.type) and type_of(flat(column))
    except DataError:
        plain = None
    return held_keys(flat(column)) if plain else np.full(len(column), _MISSING)


def held_keys(column: Any) -> KeyArray:
    """Returns one key a value of a flat column; all missing values have the same."""
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        missing = missing | np.isnan(column.to_numpy(zero_copy_only=False))
    return np.where(missing, _MISSING, value_keys(column))


def _below(keys: KeyArray, bits: int) -> tuple[KeyArray, npt.NDArray[np.int64]]:
    some = keys if not bits else keys[keys < np.uint64(1 << (64 - bits))]
    kept, counts = np.unique(some, return_counts=True)
    return kept, counts.astype(np.int64)


def _bounded(contents: RowContents) -> RowContents:
    while len(contents.keys) > KEPT:
        contents = _cut(contents, contents.bits + 1)
    return contents


def _cut(contents: RowContents, bits: int) -> RowContents:
    if not bits:
        return contents
    # Keys are uniform, so this keeps one content in 2^bits: the same ones in whatever order parts
    # are merged, which makes counts of repeats comparable.
    some = contents.keys < np.uint64(1 << (64 - bits))
    return RowContents(contents.rows, bits, contents.keys[some], contents.counts[some])
