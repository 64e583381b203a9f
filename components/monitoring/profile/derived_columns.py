"""Texts and lists as columns of one value a row, which can be counted on bins.

By its length, and by one of its parts. The part is drawn by the row's own content, so that each
row counts once whatever its length: rows stay independent, which the tests need, and bins +
missing = rows holds as for any column.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, strings, type_of
from tfx_loop.monitoring.profile.row_keys import KeyArray, mixed, text_keys

LENGTH = "length"
TOKEN = "token"  # noqa: S105
VALUE = "value"
# As many as numbers get bins: a word's bucket is compared as a category is.
TOKEN_BUCKETS = 32
TOKEN_NAMES = tuple(f"#{bucket}" for bucket in range(TOKEN_BUCKETS))
# A salt that no other key has.
_DRAW = 0x647261777061727


def aspect_of(column: Any, aspect: str) -> Any:
    """Returns the flat column that is counted for a feature.

    Args:
        column: A pyarrow Array or ChunkedArray as a file or log has it.
        aspect: "" for the column itself, else LENGTH, TOKEN (of text) or VALUE (of lists).

    Raises:
        DataError: The column has no such aspect, or has lists where one value a row is expected.
    """
    if not aspect:
        return flat(column)
    if aspect == VALUE:
        return _one_value(unchunked(column))
    column = unchunked(column)
    if is_list(column.type) and aspect == LENGTH:
        return pc.list_value_length(column).cast(pa.int64())
    column = flat(column)
    if type_of(column) not in (None, FeatureType.CATEGORICAL):
        raise DataError(f"Expected text, received {column.type}.")
    texts = strings(column)
    return pc.utf8_length(texts).cast(pa.int64()) if aspect == LENGTH else _one_token(texts)


def unchunked(column: Any) -> Any:
    """Returns one array without chunks and dictionaries; lists stay lists."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _one_value(lists: Any) -> Any:
    if not is_list(lists.type):  # a window where every row has one value
        return flat(lists)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    values = flat(lists.flatten())
    starts = np.cumsum(lengths) - lengths
    places = starts + _drawn(value_keys(values), starts, lengths)
    return values.take(pa.array(places, mask=lengths == 0))


def _one_token(texts: Any) -> Any:
    """Returns the hash bucket of one token a row; "" for text without a token."""
    trimmed = pc.utf8_trim_whitespace(pc.utf8_lower(texts))
    lists = pc.utf8_split_whitespace(trimmed)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    words = lists.flatten().dictionary_encode()
    keys = np.zeros(0, dtype=np.uint64)
    if len(words):
        keys = text_keys(words.dictionary)[words.indices.to_numpy(zero_copy_only=False)]
    starts = np.cumsum(lengths) - lengths
    places = starts + _drawn(keys, starts, lengths)
    bucket = np.full(len(texts), TOKEN_BUCKETS)
    some = lengths > 0
    bucket[some] = keys[places[some]] % np.uint64(TOKEN_BUCKETS)
    # "" splits into one empty word.
    bucket[pc.fill_null(pc.equal(trimmed, ""), True).to_numpy(zero_copy_only=False)] = TOKEN_BUCKETS
    names = pa.array([*TOKEN_NAMES, ""])
    return names.take(pa.array(bucket, mask=texts.is_null().to_numpy(zero_copy_only=False)))


def _drawn(keys: KeyArray, starts: Any, lengths: Any) -> Any:
    """Returns a place in each row's list, uniform over its values and fixed by what they are.

    That with the smallest hash under a salt from all of the row's values, in whatever order.
    """
    places = np.zeros(len(lengths), dtype=np.int64)
    some = np.flatnonzero(lengths)
    if len(some):
        # A sum, as it does not depend on the order of a row's values; 64 bits wrap around.
        with np.errstate(over="ignore"):
            salts = mixed(np.add.reduceat(mixed(keys), starts[some]) + np.uint64(_DRAW))
        # Of a row's values the one with the least key is drawn; salted by the row's contents, or a
        # value with a small key would be drawn wherever it stands.
        ranks = mixed(keys ^ np.repeat(salts, lengths[some]))
        first = np.repeat(np.minimum.reduceat(ranks, starts[some]), lengths[some]) == ranks
        hits = np.flatnonzero(first)
        places[some] = hits[np.searchsorted(hits, starts[some])] - starts[some]
    return places


def value_keys(column: Any) -> KeyArray:
    """Returns one 64-bit key a value of a flat column; numbers that are equal get equal keys."""
    kind = type_of(column)
    if kind is None:
        return np.zeros(len(column), dtype=np.uint64)
    if kind is FeatureType.CATEGORICAL:
        words = strings(column).dictionary_encode()
        codes = words.indices.fill_null(0).to_numpy(zero_copy_only=False)
        known = text_keys(words.dictionary) if len(words.dictionary) else np.zeros(1, np.uint64)
        return np.asarray(known[codes])
    values = (
        column.cast(pa.float64(), safe=False)
        if kind is not FeatureType.BOOLEAN
        else (column.cast(pa.int8()).cast(pa.float64()))
    )
    # Adding 0.0 makes -0.0 the 0.0 that it equals, which has other bits.
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False) + 0.0
    return mixed(numbers.view(np.uint64))
