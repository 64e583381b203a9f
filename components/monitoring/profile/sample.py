"""Seeded sample of training rows, drawn by each row's content and not by its position.

A row's hash, its number among equal rows and the seed give it a place in a fixed random order;
the sample is the head of that order. So the same rows give the same sample however they are
sharded or shuffled.
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.profile.row_contents import held_keys
from tfx_loop.monitoring.profile.row_keys import KeyArray, mixed


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
    # Equal rows are numbered, and so have places of their own: a row that is there twice is drawn
    # as often as any two.
    keys = mixed(hashes[order] ^ mixed(_occurrence(hashes[order]) + _text_hash(f"seed {seed}")))
    chosen = order[np.argsort(keys, kind="stable")[:most]]
    return table.take(pa.array(chosen))


def row_hashes(table: Any) -> KeyArray:
    """Returns a 64-bit hash of each row's content, of shape (rows,); columns in any order."""
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for name in sorted(table.column_names):
        column = table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else None
        if column is not None:
            hashes = mixed(hashes ^ mixed(held_keys(column) ^ _text_hash(name)))
    return hashes


def _text_hash(text: str) -> np.uint64:
    # Python's own hash differs from process to process, and the sample must not.
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    number: np.uint64 = np.uint64(int.from_bytes(digest, "little"))
    return number


def _occurrence(ordered: KeyArray) -> KeyArray:
    """Numbers equal neighbours 0, 1, 2, …"""
    places = np.arange(len(ordered))
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else places > 0
    first = np.maximum.accumulate(np.where(starts, places, 0))
    return np.asarray(places - first, dtype=np.uint64)
