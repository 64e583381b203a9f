"""Reads spans, writes Examples."""

import logging
import os

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx_bsl.coders import example_coder

from tfx_loop.contracts.model_properties import ExamplesProperties
from tfx_loop.core import storage
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.errors import DataError
from tfx_loop.data.span_example_gen import spans as span_rows
from tfx_loop.data.span_example_gen.settings import SpanExampleGenSettings
from tfx_loop.data.tables.parquet_files import parquet_table

# Encoded at once: some MB of serialized Examples.
_ROWS_PER_BATCH = 4096


class Executor(base_executor.BaseExecutor):
    """Executor of SpanExampleGen."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes the rows of the spans asked for, one split a folder."""
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        settings = SpanExampleGenSettings.from_properties(exec_properties)
        spans = span_rows.parse_spans(settings.spans)
        parts: dict[str, list[pa.Table]] = {span_rows.TRAIN: [], span_rows.EVAL: []}
        for uri in span_files(settings):
            for split, rows in span_rows.split_rows(read_span(uri), settings).items():
                parts[split].append(rows)
        total = 0
        for split, tables in parts.items():
            rows = _together(tables, settings.spans)
            if not rows.num_rows:
                raise DataError(
                    f"Expected labelled rows in the split {split!r} of the spans "
                    f"{settings.spans}, found none. Give more spans."
                )
            write_examples(os.path.join(examples.uri, f"Split-{split}"), rows)
            total += rows.num_rows
        examples.split_names = artifact_utils.encode_split_names(list(parts))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        # TFX's artifact has room for one; all are in the property `spans`.
        examples.span = spans[-1]
        properties = ExamplesProperties(spans=span_rows.format_spans(spans), rows=total)
        set_properties(examples, to_properties(properties))
        logging.info("examples spans=%s rows=%d", settings.spans, total)


def _together(tables: list[pa.Table], spans: str) -> pa.Table:
    try:
        # A column that a span lacks is missing in its rows: spans of before it was introduced still
        # train.
        return pa.concat_tables(tables, promote=True)
    except pa.ArrowException as error:
        raise DataError(
            f"Expected the same columns in the spans {spans}, received: {error}. "
            "Write each column with one type in all of them."
        ) from error


def span_files(settings: SpanExampleGenSettings) -> list[str]:
    """Returns the files of the spans asked for, one each."""
    return [
        os.path.join(settings.input_base, settings.pattern.format(SPAN=span))
        for span in span_rows.parse_spans(settings.spans)
    ]


def read_span(uri: str) -> pa.Table:
    """Returns the rows of one span.

    Raises:
        DataError: There is no such file, or it is not Parquet.
    """
    try:
        return parquet_table(storage.read_bytes(uri))
    except FileNotFoundError as error:
        raise DataError(f"Expected a span at {uri}, found no file. Check spans.") from error
    except pa.ArrowInvalid as error:
        raise DataError(f"Expected Parquet in {uri}, received: {error}") from error


def write_examples(folder: str, rows: pa.Table) -> None:
    """Writes rows as one gzipped TFRecord file of tf.Examples.

    Args:
        folder: A split's folder.
        rows: Columns of strings, bytes, integers and floats (written as float32), or of lists of
            numbers (an image, a signal); a null or a NaN becomes a feature without a value, as all
            of a column without a type do.
    """
    tf.io.gfile.makedirs(folder)
    encoder = example_coder.RecordBatchToExamplesEncoder()
    path = os.path.join(folder, "data_tfrecord-00000-of-00001.gz")
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for batch in rows.to_batches(max_chunksize=_ROWS_PER_BATCH):
            for record in encoder.encode(_as_lists(batch)):
                writer.write(record)


def _as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [_as_list(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _as_list(column: pa.Array) -> pa.Array:
    """Returns one list a row: of one value, or null where the value is missing."""
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _many(column)
    if pa.types.is_floating(column.type) or pa.types.is_null(column.type):
        column, item = pc.cast(column, pa.float32()), pa.float32()
        # Pandas writes a missing number as NaN, and a model that gets one answers NaN.
        missing = pc.fill_null(pc.is_nan(column), True)
    elif pa.types.is_integer(column.type):
        column, item = pc.cast(column, pa.int64()), pa.int64()
        missing = pc.is_null(column)
    elif is_text_or_bytes(column.type):
        column, item = pc.cast(column, pa.large_binary()), pa.large_binary()
        missing = pc.is_null(column)
    else:
        raise DataError(
            f"Expected strings, bytes, numbers or lists of numbers, received {column.type}. "
            "Write the column as one of these."
        )
    # A list of one value, or of none where it is missing.
    lengths = 1 - missing.to_numpy(zero_copy_only=False).astype(np.int64)
    return _lists(column.filter(pc.invert(missing)), lengths, item)


def is_text_or_bytes(kind: pa.DataType) -> bool:
    """Says whether a column holds texts, or bytes such as images."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(test(kind) for test in (*tests, pa.types.is_large_binary))


def _many(column: pa.Array) -> pa.Array:
    """Returns lists of numbers as the encoder takes them; a missing list stays missing."""
    item = column.type.value_type
    if not pa.types.is_floating(item) and not pa.types.is_integer(item):
        raise DataError(
            f"Expected lists of integers or floats, received {column.type}. "
            "Write one value a column, or numbers."
        )
    if pa.types.is_fixed_size_list(column.type):
        present = column.is_valid().to_numpy(zero_copy_only=False)
        # flatten() leaves the values of null lists out, though their place in a fixed-size array
        # stays.
        lengths = np.where(present, column.type.list_size, 0)
    else:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    kind = pa.float32() if pa.types.is_floating(item) else pa.int64()
    return _lists(column.flatten(), lengths.astype(np.int64), kind)


def _lists(values: pa.Array, lengths: npt.NDArray[np.int64], item: pa.DataType) -> pa.Array:
    """Returns one list a row; a list of no values is a missing one."""
    # Arrow's layout of lists: offsets into the flat values, one more than there are rows.
    starts = np.concatenate([[0], np.cumsum(lengths)])
    offsets = pa.array(starts, pa.int64(), mask=np.append(lengths == 0, False))
    return pc.cast(pa.LargeListArray.from_arrays(offsets, values), pa.large_list(item))
