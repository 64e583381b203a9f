"""Columns of sampled tf.Examples, as they are or as Transform makes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.models.rows.parse_fn import parsed_table
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    flat,
    is_bytes,
    numbers,
    strings,
    type_of,
)


def drawn_records(uris: Sequence[str], most: int, seed: int) -> tuple[list[bytes], float]:
    """Returns at most `most` records of some splits, drawn by chance, and the share that they are.

    By place and not by content: copies of a row are drawn as seldom as any two rows. Algorithm R
    (Vitter 1985, "Random sampling with a reservoir").
    """
    from tfx_loop.monitoring.reference_profiler.examples_reader import read_records

    random = np.random.default_rng(seed)
    kept: list[bytes] = []
    seen = 0
    for uri in uris:
        for records in read_records(uri):
            for record in records:
                seen += 1
                if len(kept) < most:
                    kept.append(record)
                # The n-th record stays with chance most / n, and takes the place of any of those
                # that are kept.
                elif (place := int(random.integers(seen))) < most:
                    kept[place] = record
    return kept, len(kept) / seen if seen else 1.0


def columns_of(records: Sequence[bytes], parse_fn: str = "") -> dict[str, Any]:
    """Returns the columns of rows: numbers with NaN where missing, or texts.

    A feature of as many numbers in every row, such as an image, has the shape (rows, numbers). One
    of as many as there happen to be, a sequence, has (rows, 6): how many, the mean, the deviation,
    the first, the last and the largest. Several texts in a row are one, with blanks between.

    Args:
        records: Serialised tf.Examples.
        parse_fn: Import path of a function from features to what they say; what it returns comes
            in place of the columns of the same name and beside the others. Empty for none.
    """
    from tfx_bsl.coders import example_coder

    from tfx_loop.monitoring.reference_profiler.examples_reader import joined

    if not records:
        return {}
    table = joined([example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(list(records))])
    if parse_fn:
        single = {name: _single(table.column(name)) for name in table.column_names}
        made = parsed_table(pa.table(single), parse_fn)
        # Encoded images are bytes, which say nothing as they are.
        kept = [n for n in single if n not in made.column_names and not is_bytes(single[n])]
        table = pa.table(
            {n: made.column(n) for n in made.column_names} | {n: single[n] for n in kept}
        )
    found = {}
    for name in table.column_names:
        try:
            column = flat(table.column(name))
            kind = type_of(column)
        except DataError:
            if (several := _several(table.column(name))) is not None:
                found[name] = several
            continue
        if kind is FeatureType.CATEGORICAL:
            found[name] = np.array(strings(column).to_pylist(), dtype=object)
        elif kind is not None and not pa.types.is_null(column.type):
            found[name] = numbers(column, kind)
    return found


def _single(column: Any) -> Any:
    """Returns single values of lists of one; others as they are."""
    try:
        return flat(column)
    except DataError:
        return column


def _several(column: Any) -> Any:
    """Returns a column of lists as a matrix of numbers or as texts; None of any other."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = whole.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    values = whole.flatten()
    if not len(values):
        return None
    if not _holds_numbers(values.type):
        texts = [" ".join(_text(v) for v in row or ()) for row in whole.to_pylist()]
        return np.array(texts, dtype=object)
    numbers_of = values.to_numpy(zero_copy_only=False).astype(np.float64)
    if lengths.min() == lengths.max():
        return numbers_of.reshape(len(whole), -1)
    return _summaries(numbers_of, lengths)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _summaries(values: Any, lengths: Any) -> Any:
    """Returns six numbers of each sequence; of an empty one NaN but for its length."""
    ends = np.cumsum(lengths)
    found = np.full((len(lengths), 6), np.nan)
    for row, (start, end) in enumerate(zip(ends - lengths, ends, strict=True)):
        own = values[start:end]
        found[row, 0] = len(own)
        if len(own):
            found[row, 1:] = own.mean(), own.std(), own[0], own[-1], own.max()
    return found


def _holds_numbers(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def transformed_columns(records: Sequence[bytes], graph_uri: str) -> dict[str, Any]:
    """Returns the dense outputs of Transform for records."""
    import tensorflow as tf

    from tfx_loop.models.preprocessing.transform_graph import open_transform

    if not records:
        return {}
    graph = open_transform(graph_uri)
    parsed = tf.io.parse_example(list(records), graph.raw_feature_spec())
    made = graph.transform_features_layer()(parsed)
    # Sparse outputs, such as vocabularies of texts, have no column.
    return {name: value.numpy() for name, value in made.items() if isinstance(value, tf.Tensor)}
