"""Tables in TFRecords of tf.Examples.

tf.Examples carry no schema: one pass over all of them finds each feature's type, and whether a row
has several values of it. Decoded by TFX's own C++ coder, which needs no TensorFlow.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.core.without_pandas import let_in
from tfx_loop.data.tables.common_schema import common_schema, conformed
from tfx_loop.data.tables.tfrecord import read_records

# Memory holds as many rows at a time. Chosen, not measured.
_SCAN_ROWS = 16_384
# Of a batch: one that a file of sequences begins with may have none.
_LOOKED_AT = 100
# https://protobuf.dev/programming-guides/encoding: wire type of strings and messages.
_WITH_LENGTH = 2
# Number of the field feature_lists in SequenceExample (example.proto).
_FEATURE_LISTS = 2


class ExampleFiles:
    """One or more TFRecord files of tf.Examples as one table.

    Attributes:
        schema: int64, float32 or binary a feature; a list of it where any row has several values.
            Null where no row has a value.
        rows: Rows of all files.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Decodes all files for the features' types."""
        let_in()
        from tfx_bsl.coders import example_coder

        self._paths = list(paths)
        self._decoder = example_coder.ExamplesToRecordBatchDecoder()
        self.rows = 0
        schemas: dict[str, tuple[str, Any]] = {}
        several: set[str] = set()
        for path, batch in self._decoded(_SCAN_ROWS):
            self.rows += batch.num_rows
            # Batches mostly agree: each distinct schema is merged once.
            schemas.setdefault(batch.schema.to_string(), (path, batch.schema))
            several |= {
                field.name
                for field, column in zip(batch.schema, batch.columns, strict=True)
                if field.name not in several and _has_several(column)
            }
        self._lists = common_schema(schemas.values())
        self.schema = pa.schema(
            [
                field if field.name in several or pa.types.is_null(field.type) else _plain(field)
                for field in sorted(self._lists, key=lambda field: str(field.name))
            ]
        )

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yields record batches with the inferred types."""
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for _, batch in self._decoded(batch_rows):
            batch = conformed(batch, self._lists, columns)
            arrays = [
                array if pa.types.is_null(field.type) or array.type == field.type else _only(array)
                for field, array in zip(wanted, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=wanted)

    def _decoded(self, batch_rows: int) -> Iterator[tuple[str, Any]]:
        for path in self._paths:
            for records in read_records(path, batch_rows):
                _refuse_sequences(records, path)
                try:
                    yield path, self._decoder.DecodeBatch(records)
                except (RuntimeError, ValueError) as error:
                    raise DataError(
                        f"Expected tf.Examples with one type a feature in {path}, received: "
                        f"{str(error).rstrip('.')}. Write the file again."
                    ) from error


def _refuse_sequences(records: Sequence[bytes], path: str) -> None:
    """Refuses tf.SequenceExamples, whose context would pass for an Example without the lists.

    Both messages have features as field 1; field 2 of a SequenceExample, the feature lists, is one
    that an Example does not have, and that its decoder leaves out without a word.
    """
    for record in records[:_LOOKED_AT]:
        if _FEATURE_LISTS in _fields(record):
            raise DataError(
                f"Expected tf.Examples in {path}, received tf.SequenceExamples, with feature lists "
                "beside the context. Write what is to be compared of both as tf.Examples."
            )


def _fields(message: bytes) -> set[int]:
    """Returns the numbers of a message's fields, as far as they have a length."""
    found, place = set(), 0
    while place < len(message):
        tag, place = _varint(message, place)
        # A tag is the field's number and, in the lowest three bits, its wire type (protobuf
        # encoding).
        if tag & 7 != _WITH_LENGTH:
            break
        found.add(tag >> 3)
        length, place = _varint(message, place)
        place += length
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Returns the number at a place, seven bits a byte, the lowest first; and the next place."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        # A varint: seven bits a byte, the lowest first, and the top bit says that more follow.
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    return value, place


def _has_several(column: Any) -> bool:
    if pa.types.is_null(column.type):
        return False
    longest = pc.max(pc.list_value_length(column)).as_py()
    return longest is not None and longest > 1


def _plain(field: Any) -> Any:
    return pa.field(field.name, field.type.value_type)


def _only(lists: Any) -> Any:
    """Returns the values of lists of at most one, null for none."""
    values = lists.flatten()
    if len(values) == len(lists):
        return values
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    # The running sum of lengths is one past each row's value; empty rows are masked to null.
    return values.take(pa.array(lengths.cumsum() - 1, mask=lengths == 0))
