"""Rows by blocks that may depend on each other: those of a group, and those of a stretch of time.

Ten rows of one customer tell less than ten of ten customers, and a minute is like the one before.
How much less follows from how the blocks differ, feature by feature (drift/row_dependence.py).
Groups fall into 64 blocks by their hash, which keeps the sum of their squares: the blocks differ as
much as the groups do, whatever shard or batch a group's rows are in (the random groups of Wolter
2007, "Introduction to variance estimation"). Blocks of time are as short as make at most 64. Both
are whole numbers that add up, so that any order of merging gives the same bits.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.row_keys import KeyArray, mixed

IntArray = npt.NDArray[np.int64]
# A variance of 64 blocks is known to 18 %, of which the tests know (Student's t instead of the
# normal); 11 cells of 64 blocks take at most 1 KB a feature when packed, whatever the rows.
MOST_BLOCKS = 64
MOST_CELLS = 10
# "groups__" as bytes: apart from the keys that samples are drawn by.
_SALT = np.uint64(0x67726F7570735F5F)


def _no_keys() -> IntArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class RowBlocks:
    """Rows of each block, by feature and coarse cell.

    Attributes:
        bits: Blocks of time are 2**bits milliseconds long; 0 for groups.
        keys: Numbers of the blocks that have rows, rising.
        cells: By feature the cell of each bin, `missing` last, of shape (bins + 1,).
        counts: By feature the rows, of shape (blocks, cells).
    """

    bits: int = 0
    keys: IntArray = field(default_factory=_no_keys)
    cells: Mapping[str, IntArray] = field(default_factory=dict)
    counts: Mapping[str, IntArray] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(len(self.keys))


def cells_of(profile: FeatureProfile) -> IntArray:
    """Returns the coarse cell of each bin of a feature, `missing` last with one of its own.

    Bins in order are joined with their neighbours to cells of about equal mass; of categories the
    most frequent ones have a cell each, and all others one.
    """
    rows = np.array(profile.counts.bins, dtype=np.int64)
    bins = len(rows)
    if isinstance(profile.bins, NumericBins):
        cells = _joined(rows, MOST_CELLS)
    elif profile.type is FeatureType.INTEGER and bins > MOST_CELLS:
        order = np.argsort(np.asarray(profile.bins.categories, dtype=np.float64))
        cells = np.zeros(bins, dtype=np.int64)
        cells[order] = _joined(rows[order], MOST_CELLS - 1)
        cells[-1] = cells[:-1].max() + 1
    else:
        cells = np.full(bins, min(bins, MOST_CELLS) - 1)
        # The most frequent keep cells of their own, all others share the last: `other` among them.
        frequent = np.argsort(-rows[:-1], kind="stable")[: MOST_CELLS - 1]
        cells[np.sort(frequent)] = np.arange(len(frequent))
    return np.append(cells, cells.max() + 1)


def _joined(rows: IntArray, most: int) -> IntArray:
    """Neighbours as at most so many cells, each by the middle of its mass."""
    before = np.cumsum(rows) - rows / 2
    # By the middle, so that one bin with most of the rows takes one cell and not the place of
    # several.
    places = np.minimum(before * most / max(int(rows.sum()), 1), most - 1).astype(np.int64)
    return np.asarray(np.unique(places, return_inverse=True)[1], dtype=np.int64)


def group_blocks(keys: KeyArray) -> IntArray:
    """Returns the block of each row from the keys of their groups."""
    return np.asarray(mixed(keys ^ _SALT) % np.uint64(MOST_BLOCKS), dtype=np.int64)


def count_blocks(
    blocks: IntArray, places: Mapping[str, Any], cells: Mapping[str, IntArray]
) -> RowBlocks:
    """Counts rows with known blocks and bins.

    Args:
        blocks: Number of each row's block: of groups (group_blocks), or the milliseconds.
        places: By feature the bin of each row, the number of bins for missing ones.
        cells: By feature the cell of each bin (cells_of).
    """
    if not len(blocks):
        return RowBlocks()
    found, numbers = np.unique(blocks, return_inverse=True)
    bits = 0
    while len(np.unique(found >> bits)) > MOST_BLOCKS:
        bits += 1
    # Times lose their last bits, so a block is a stretch of 2^bits milliseconds from 1970 on, the
    # same whichever rows come.
    keys, joined = np.unique(found >> bits, return_inverse=True)
    numbers = joined[numbers]
    counts = {}
    for name, placed in places.items():
        width = int(cells[name].max()) + 1
        flat = np.bincount(numbers * width + cells[name][placed], minlength=len(keys) * width)
        counts[name] = flat.reshape(len(keys), width)
    return RowBlocks(bits, keys, dict(cells), counts)


def merge_blocks(left: RowBlocks, right: RowBlocks) -> RowBlocks:
    """Adds the blocks of other rows; associative and commutative, exactly.

    Raises:
        DataError: They were counted on different cells.
    """
    if not left or not right:
        return left or right
    if any(not np.array_equal(left.cells[name], right.cells[name]) for name in left.cells):
        raise DataError(
            "Expected blocks of rows on the same cells, received others. Count the rows again."
        )
    bits = max(left.bits, right.bits)
    while True:
        sides = [side.keys >> (bits - side.bits) for side in (left, right)]
        keys = np.unique(np.concatenate(sides))
        if len(keys) <= MOST_BLOCKS:
            break
        # As few bits as leave 64 blocks of all rows, whichever came first.
        bits += 1
    places = [np.searchsorted(keys, side) for side in sides]
    counts = {}
    for name, held in left.counts.items():
        counts[name] = np.zeros((len(keys), held.shape[1]), dtype=np.int64)
        for place, side in zip(places, (held, right.counts[name]), strict=True):
            np.add.at(counts[name], place, side)
    return RowBlocks(bits, keys, left.cells, counts)


def to_packed(blocks: RowBlocks) -> dict[str, Any]:
    """Returns the blocks as JSON, packed; equal for equal blocks."""
    names = sorted(blocks.counts)
    rows = next(iter(blocks.counts.values())).sum(axis=1)
    parts = [blocks.keys, rows, *(blocks.cells[name] for name in names)]
    for name in names:
        held = blocks.counts[name]
        cells = held.sum(axis=0)
        # What a block has beyond its share is small, and nearly all of it fits a byte.
        beyond = held - np.outer(rows, cells) // cells.sum()
        parts += [cells, np.where(beyond < 0, -2 * beyond - 1, 2 * beyond).ravel()]
    numbers = np.concatenate(parts).astype("<i8")
    # Byte by byte of all numbers: the upper ones are nearly all 0, and pack to nothing.
    planes = numbers.view(np.uint8).reshape(-1, 8).T.tobytes()
    return {
        "bits": blocks.bits,
        "blocks": len(blocks.keys),
        "bins": {name: len(blocks.cells[name]) for name in names},
        "numbers": base64.b85encode(zlib.compress(planes, 9)).decode(),
    }


def from_packed(content: Mapping[str, Any]) -> RowBlocks:
    """Returns the blocks that `to_packed` wrote."""
    planes: Any = np.frombuffer(zlib.decompress(base64.b85decode(content["numbers"])), np.uint8)
    numbers = np.ascontiguousarray(planes.reshape(8, -1).T).view("<i8").ravel().astype(np.int64)
    count, bins = int(content["blocks"]), content["bins"]
    keys, rows, *parts = np.split(numbers, np.cumsum([count, count, *bins.values()]))
    cells, rest = dict(zip(bins, parts, strict=False)), parts[-1]
    counts = {}
    for name in bins:
        width = int(cells[name].max()) + 1
        sums, folded, rest = np.split(rest, [width, width * (count + 1)])
        beyond = np.where(folded % 2, -(folded + 1) // 2, folded // 2).reshape(count, width)
        counts[name] = beyond + np.outer(rows, sums) // sums.sum()
    return RowBlocks(int(content["bits"]), keys, cells, counts)
