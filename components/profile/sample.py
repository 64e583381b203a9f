"""Which rows are in the seeded sample? Decided by each row's content, not by its position.

A row's hash, its number among equal rows and the seed give it a place in a fixed random order;
the sample is the head of that order. So the same rows give the same sample however they are
sharded or shuffled.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.errors import ConfigError
from components.profile.columns import FeatureType, strings, type_of

HashArray = npt.NDArray[np.uint64]
_MISSING = np.uint64(0x6D697373696E6731)


def sample(table: Any, most: int, seed: int) -> Any:
    """Returns at most `most` rows of a pyarrow table of flat columns, drawn uniformly.

    The rows come in a random order of their own, the same for the same rows and seed.

    Raises:
        ConfigError: `most` is not positive.
    """
    if most < 1:
        raise ConfigError(f"The sample must have at least 1 row, got {most}.")
    hashes = row_hashes(table)
    order = np.argsort(hashes, kind="stable")
    keys = _mixed(hashes[order] ^ _mixed(_occurrence(hashes[order]) + _text_hash(f"seed {seed}")))
    chosen = order[np.argsort(keys, kind="stable")[:most]]
    return table.take(pa.array(chosen))


def row_hashes(table: Any) -> HashArray:
    """Returns a 64-bit hash of each row's content, of shape (rows,); columns in any order."""
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for name in sorted(table.column_names):
        column = table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else None
        if column is not None:
            hashes = _mixed(hashes ^ _mixed(_value_hashes(column) ^ _text_hash(name)))
    return hashes


def _value_hashes(column: Any) -> HashArray:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    kind = type_of(column)
    if kind is None:
        hashes = np.full(len(column), _MISSING)
    elif kind is FeatureType.CATEGORICAL:
        encoded = strings(column).dictionary_encode()
        known = np.array([_text_hash(v) for v in encoded.dictionary.to_pylist()] + [_MISSING])
        places = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
        hashes = np.asarray(known.astype(np.uint64)[places])
    elif kind in (FeatureType.INTEGER, FeatureType.BOOLEAN):
        whole = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
        hashes = np.asarray(whole.view(np.uint64))
    else:
        values = column.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False) + 0.0
        missing = missing | np.isnan(values)
        hashes = values.view(np.uint64)
    held: HashArray = np.where(missing, _MISSING, hashes)
    return held


def _text_hash(text: str) -> np.uint64:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mixed(values: HashArray) -> HashArray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), on whole arrays."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray(mixed, dtype=np.uint64)


def _occurrence(ordered: HashArray) -> HashArray:
    """Numbers equal neighbours 0, 1, 2, …"""
    places = np.arange(len(ordered))
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else places > 0
    first = np.maximum.accumulate(np.where(starts, places, 0))
    return np.asarray(places - first, dtype=np.uint64)
