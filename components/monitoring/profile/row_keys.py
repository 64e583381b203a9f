"""64-bit keys of rows and texts, the same on every machine, for whole columns at once.

SplitMix64's finaliser over 8-byte words: uniform enough to draw rows by, and no cryptography.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.monitoring.profile.columns import strings

KeyArray = npt.NDArray[np.uint64]
# Bytes of a 64-bit word.
_WORD = 8
# Longer texts are keyed by their head, tail and length: a document must not fill memory.
_MOST_BYTES = 512


def mixed(values: KeyArray) -> KeyArray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), on whole arrays."""
    # The constants and shifts of the paper: stored profiles hold these keys, so another mixture
    # would make profiles of two releases disagree.
    result: KeyArray = values + np.uint64(0x9E3779B97F4A7C15)
    result ^= result >> np.uint64(30)
    result *= np.uint64(0xBF58476D1CE4E5B9)
    result ^= result >> np.uint64(27)
    result *= np.uint64(0x94D049BB133111EB)
    result ^= result >> np.uint64(31)
    return result


def text_keys(column: Any, salt: int = 0) -> KeyArray:
    """Returns one key for each text of a flat pyarrow string array; nulls get that of "".

    Args:
        column: Texts; equal ones get equal keys, wherever they stand.
        salt: Another salt gives other keys.
    """
    column = strings(column)
    starts, ends, data = _bytes_of(column)
    lengths = ends - starts
    # The length goes in first: texts that differ only in zero bytes at their end would be equal
    # once padded.
    keys = mixed(lengths.astype(np.uint64) + np.uint64(salt))
    half = _MOST_BYTES // 2
    long = lengths > _MOST_BYTES
    keys = _absorb(keys, starts, np.where(long, half, lengths), data)
    return _absorb(keys, ends - half, np.where(long, half, 0), data) if long.any() else keys


def id_keys(batch: Any, names: tuple[str, ...], salt: int = 0) -> KeyArray:
    """Returns one key a row of a record batch from the columns that identify it."""
    keys = np.full(batch.num_rows, np.uint64(salt))
    for name in names:
        column = batch.column(batch.schema.get_field_index(name))
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if pa.types.is_integer(column.type):
            # Width and sign of an integer column depend on its file; its values, and so its keys,
            # do not.
            whole = column.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
            keys = mixed(keys ^ whole.view(np.uint64))
        else:
            keys = mixed(keys ^ text_keys(column))
    return keys


def _absorb(
    keys: KeyArray, starts: npt.NDArray[Any], lengths: npt.NDArray[Any], data: npt.NDArray[np.uint8]
) -> KeyArray:
    """Mixes the bytes of each text into its key, one 8-byte word of all texts at a time."""
    # The last word of the last text may reach 7 bytes beyond the buffer.
    padded = np.concatenate([data, np.zeros(_WORD, dtype=np.uint8)])
    words = np.lib.stride_tricks.sliding_window_view(padded, _WORD)
    for place in range(0, int(lengths.max(initial=0)), _WORD):
        left = lengths - place
        some = np.flatnonzero(left > 0)
        word = words[starts[some] + place].copy().view("<u8").reshape(-1)
        # The bytes of the last word that belong to the next text are cleared.
        beyond = np.clip(_WORD - left[some], 0, _WORD - 1).astype(np.uint64) * np.uint64(8)
        word &= np.uint64(0xFFFFFFFFFFFFFFFF) >> beyond
        keys[some] = mixed(keys[some] ^ word)
    return keys


def _bytes_of(column: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.uint8]]:
    _, offsets, data = column.buffers()
    if not len(column) or offsets is None:
        empty = np.zeros(len(column), dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.uint8)
    # Offsets of the whole buffer: a slice of an array begins at column.offset and ends one beyond
    # its length.
    places = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    places = places.astype(np.int64)
    text = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    starts, ends = places[:-1], places[1:]
    if column.null_count:
        # What a null spans in the buffer is not defined.
        ends = np.where(column.is_null().to_numpy(zero_copy_only=False), starts, ends)
    return starts, ends, text
