"""Rows of an Examples split as one Arrow table, read without Beam."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders import example_coder

from tfx_loop.core.errors import DataError

# Length, two checksums: what TFRecord adds to each record.
_FRAME_BYTES = 16
# Some MB of Examples a batch: the decoder's fixed cost is spread, and little is held twice.
_ROWS_PER_BATCH = 5_000


def read_split(uri: str, schema: Any = None) -> Any:
    """Returns all rows of one split as a pyarrow table, a list column a feature.

    Args:
        uri: Folder with gzipped TFRecord files of tf.Examples.
        schema: A tensorflow_metadata Schema; with it only its features are read.

    Raises:
        DataError: There are no files, one is cut off or holds no tf.Examples, or a feature
            changes its type from row to row.
    """
    decoder = example_coder.ExamplesToRecordBatchDecoder(
        schema.SerializeToString() if schema is not None else None
    )
    batches = []
    for records in read_records(uri):
        try:
            batches.append(decoder.DecodeBatch(records))
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"Expected tf.Examples with one type a feature in {uri}, received: {error}."
            ) from error
    return joined(batches)


def read_records(uri: str) -> Iterator[list[bytes]]:
    """Yields the serialized tf.Examples of one split, some thousand at a time.

    Raises:
        DataError: There are no files, or one is cut off.
    """
    # Beam's temporary files and TFX's markers begin with a dot or an underscore.
    files = sorted(tf.io.gfile.glob(f"{uri}/[!._]*"))
    if not files:
        raise DataError(f"Expected TFRecord files in {uri}, received an empty or missing folder.")
    for file in files:
        packed = file.endswith(".gz")
        records = tf.data.TFRecordDataset(file, compression_type="GZIP" if packed else "")
        length = 0
        try:
            for batch in records.batch(_ROWS_PER_BATCH).as_numpy_iterator():
                length += sum(len(record) + _FRAME_BYTES for record in batch)
                yield list(batch)
        except tf.errors.DataLossError as error:
            raise _damaged(file, str(error.message)) from error
        # TensorFlow takes a cut that falls between two records for the end of the file.
        if packed and length % 2**32 != _unpacked_length(file):
            raise _damaged(file, f"{length} bytes, fewer or more than its trailer says")


def _unpacked_length(file: str) -> int:
    """Returns what the last four bytes of a gzip file say of its length, modulo 2^32 (RFC 1952)."""
    with tf.io.gfile.GFile(file, "rb") as source:
        # TFRecords of one gzip member, as TFX writes them: its trailer holds the length of all.
        source.seek(max(0, source.size() - 4))
        return int.from_bytes(source.read(4), "little")


def _damaged(file: str, why: str) -> DataError:
    return DataError(
        f"Expected whole TFRecord files, received a cut or damaged one, {file}: {why}. "
        "Make the examples again."
    )


def joined(batches: Sequence[Any]) -> Any:
    """Returns record batches as one table; a column that a batch lacks is missing there.

    Raises:
        DataError: A feature has different types in two batches.
    """
    types: dict[str, Any] = {}
    for batch in batches:
        for column in batch.schema:
            known = types.get(column.name)
            # A feature that is missing in a whole batch has no type there, which contradicts none.
            if known is None or pa.types.is_null(known):
                types[column.name] = column.type
            elif known != column.type and not pa.types.is_null(column.type):
                raise DataError(
                    f"Expected one type for feature {column.name!r}, received {known} and "
                    f"{column.type}. Make all examples with the same types."
                )
    columns = {
        name: pa.chunked_array([_chunk(batch, name, kind) for batch in batches], type=kind)
        for name, kind in types.items()
    }
    return pa.table(columns)


def _chunk(batch: Any, name: str, kind: Any) -> Any:
    place = batch.schema.get_field_index(name)
    if place < 0 or pa.types.is_null(batch.schema.field(place).type):
        return pa.nulls(batch.num_rows, kind)
    return batch.column(place)
