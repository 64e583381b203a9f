"""Some of the values of a column that has more of them than bins, to tell known ones from new ones.

Most rows of such a column share a bin or fall into hashed ones, where a catalogue that was written
anew looks as it did before. Kept are the values whose keys are below a power of two, so that rows
of any window fall into the sample by their value alone: what is counted of them are sums.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_loop.monitoring.profile.columns import flat, is_text_type, strings
from tfx_loop.monitoring.profile.derived_columns import value_keys
from tfx_loop.monitoring.profile.row_keys import KeyArray

# The share of rows with a new value is then known to 1 / sqrt(256) = 6 % where values are alike.
KEPT = 256
# New values that are kept of a window, to tell many of them from a frequent one.
FRESH_KEPT = 8


@dataclass(frozen=True)
class ValueSample:
    """Values of training rows.

    Attributes:
        bits: Kept are the values whose keys are below 2**(64 - bits).
        keys: Their keys, rising.
        rows: Rows that have one of them.
        single: Those of these rows whose value no other row has.
    """

    bits: int
    keys: tuple[int, ...]
    rows: int
    single: int


@dataclass(frozen=True)
class FreshValues:
    """Rows of a window whose values fall into the sample of training's.

    Attributes:
        rows: All of them.
        fresh: Those whose value training does not have.
        keys: The smallest keys of such values, rising.
    """

    rows: int = 0
    fresh: int = 0
    keys: tuple[int, ...] = ()


def value_sample(column: Any) -> ValueSample | None:
    """Returns the sample of a text column; None where it is none, or holds no values."""
    texts = flat(column)
    if not is_text_type(texts.type) or texts.null_count == len(texts):
        return None
    keys, counts = np.unique(value_keys(strings(texts).drop_null()), return_counts=True)
    bits = 0
    # Halved until it fits: which values are kept hangs on their keys alone, so a window can look
    # for the same ones without knowing the others.
    while np.count_nonzero(_within(keys, bits)) > KEPT:
        bits += 1
    kept = _within(keys, bits)
    rows = int(counts[kept].sum())
    # All values lie above the limit by chance: nothing could be looked up.
    if not rows:
        return None
    single = int(np.count_nonzero(counts[kept] == 1))
    return ValueSample(bits, tuple(keys[kept].tolist()), rows, single)


def fresh_values(column: Any, known: ValueSample) -> FreshValues:
    """Looks the values of some rows up; a column of another type has none to look up."""
    if not is_text_type(column.type):
        return FreshValues()
    keys = value_keys(strings(column).drop_null())
    keys = keys[_within(keys, known.bits)]
    new = keys[~np.isin(keys, np.array(known.keys, dtype=np.uint64))]
    return FreshValues(len(keys), len(new), tuple(np.unique(new)[:FRESH_KEPT].tolist()))


def merge_fresh(left: FreshValues, right: FreshValues) -> FreshValues:
    """Adds what was found of other rows; associative and commutative, exactly."""
    keys = tuple(sorted({*left.keys, *right.keys})[:FRESH_KEPT])
    return FreshValues(left.rows + right.rows, left.fresh + right.fresh, keys)


def _within(keys: KeyArray, bits: int) -> Any:
    # 2**64 does not fit 64 bits: without a limit all keys are within it.
    return keys < np.uint64(1 << (64 - bits)) if bits else np.ones(len(keys), dtype=bool)
