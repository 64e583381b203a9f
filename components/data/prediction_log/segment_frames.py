"""Compressed frames of a segment file, each readable without the others.

    file  = magic, frame, frame, …
    frame = length and CRC-32 of what follows (4 bytes each, big-endian), raw deflate

The first frame holds a schema and a sample, both as Arrow IPC messages; each other one holds record
batches. A batch of one row is mostly Arrow's description of its columns, the same every time: the
first frame is the dictionary that all others are compressed with (RFC 1951 by zlib's preset
dictionary), which leaves little more than the values. The sample is a row of nobody's values. A
damaged frame costs its own rows alone, and the check finds what deflate takes for other values.
"""

import struct
import zlib
from dataclasses import dataclass

import pyarrow as pa

from tfx_loop.core.durations import MS_PER_HOUR
from tfx_loop.data.prediction_log.encryption import OpenedSegment
from tfx_loop.data.prediction_log.record import (
    ANSWERED_TIME,
    FEATURE_PREFIX,
    OUTPUT_PREFIX,
    REQUEST_KEY,
    TRACE_ID,
)

MAGIC = b"LOOPSEG1"
# Length and CRC-32 of what follows, in network order.
_HEAD = struct.Struct(">II")
# Raw deflate with its largest window, so that a wide schema fits into the dictionary.
_WINDOW_BITS = -15
# Smallest window that is worth it, bytes behind the dictionary that it is to reach back over, and
# zlib's measure of the memory of its tables.
_LEAST_WINDOW, _ROOM_OF_FEW, _MEMORY = 10, 2048, 5
_DICTIONARY_BYTES = 32 * 1024
# Of some rows all but the values is squeezed out; of many the values are most, and resist.
_FEW_BYTES, _LEVEL_OF_FEW, _LEVEL_OF_MANY = 16 * 1024, 6, 1


class FrameWriter:
    """Compresses the batches of one segment."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        """Makes the first frame.

        Args:
            batch: One of those that follow; all have its schema.
        """
        head = batch.schema.serialize().to_pybytes() + _sample(batch).serialize().to_pybytes()
        self.head = MAGIC + _framed(head, zlib.compressobj(_LEVEL_OF_FEW, wbits=_WINDOW_BITS))
        dictionary = head[-_DICTIONARY_BYTES:]
        # A copy of a compressor copies its window: one that holds the dictionary and few rows is
        # enough for these, and copied in a tenth of the time.
        small = max(_LEAST_WINDOW, (len(dictionary) + _ROOM_OF_FEW).bit_length())
        self._of_few = zlib.compressobj(
            _LEVEL_OF_FEW, wbits=-min(small, -_WINDOW_BITS), memLevel=_MEMORY, zdict=dictionary
        )
        self._of_many = zlib.compressobj(_LEVEL_OF_MANY, wbits=_WINDOW_BITS, zdict=dictionary)

    def frame(self, content: bytes) -> bytes:
        """Returns the frame of a serialised batch."""
        # A copy of a compressor that has read the dictionary: to make one anew costs more than the
        # rows.
        prepared = self._of_few if len(content) <= _FEW_BYTES else self._of_many
        return _framed(content, prepared.copy())


@dataclass(frozen=True)
class _Frame:
    content: bytes | None
    end: int


def is_framed(content: bytes) -> bool:
    """Says whether a file has compressed frames, or is the beginning of one that has."""
    return content.startswith(MAGIC) or (bool(content) and MAGIC.startswith(content))


def open_frames(content: bytes) -> OpenedSegment:
    """Returns the whole frames of a segment as a stream of Arrow IPC."""
    first = _frame(content, len(MAGIC), zlib.decompressobj(wbits=_WINDOW_BITS))
    if first is None:
        return OpenedSegment(b"", cut_bytes=len(content))
    schema = _schema_part(first.content)
    if first.content is None or schema is None:
        return OpenedSegment(b"", damaged=1, damaged_bytes=len(content))
    dictionary = first.content[-_DICTIONARY_BYTES:]
    prepared = zlib.decompressobj(wbits=_WINDOW_BITS, zdict=dictionary)
    parts, position, damaged, damaged_bytes = [schema], first.end, 0, 0
    while (found := _frame(content, position, prepared.copy())) is not None:
        if found.content is None:
            damaged, damaged_bytes = damaged + 1, damaged_bytes + found.end - position
        else:
            parts.append(found.content)
        position = found.end
    return OpenedSegment(b"".join(parts), len(content) - position, damaged, damaged_bytes)


def _frame(content: bytes, start: int, inflate: "zlib._Decompress") -> _Frame | None:
    """Returns the frame that begins somewhere; None where no whole one does."""
    if start + _HEAD.size > len(content):
        return None
    length, check = _HEAD.unpack_from(content, start)
    end = start + _HEAD.size + length
    if end > len(content):
        return None
    packed = content[start + _HEAD.size : end]
    # The length held, so the next frame is found: a changed byte costs this frame alone.
    if zlib.crc32(packed) != check:
        return _Frame(None, end)
    try:
        return _Frame(inflate.decompress(packed), end)
    except zlib.error:
        return _Frame(None, end)


def _framed(content: bytes, deflate: "zlib._Compress") -> bytes:
    packed = deflate.compress(content) + deflate.flush()
    return _HEAD.pack(len(packed), zlib.crc32(packed)) + packed


def _schema_part(head: bytes | None) -> bytes | None:
    """Returns the first message of the first frame, without the sample behind it."""
    try:
        source = pa.BufferReader(head or b"")
        pa.ipc.read_schema(source)
        return head[: source.tell()] if head else None
    except (pa.ArrowException, OSError, ValueError):
        return None


def _sample(batch: pa.RecordBatch) -> pa.RecordBatch:
    first = batch.slice(0, 1)
    columns = [
        _blank(name, column) for name, column in zip(batch.schema.names, first.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _blank(name: str, column: pa.Array) -> pa.Array:
    """Returns a value of the same form that tells nothing of a request."""
    if name in ("event_time_ms", ANSWERED_TIME.name):
        value = column[0].as_py() or 0
        # Its last digits alone tell of a request; those before them, alike from row to row, stay.
        return pa.array([value - value % MS_PER_HOUR], type=column.type)
    personal = name.startswith((FEATURE_PREFIX, OUTPUT_PREFIX)) or name == "latency_ms"
    if not personal and name not in ("request_id", REQUEST_KEY.name, TRACE_ID.name):
        return pa.concat_arrays([column])
    if pa.types.is_null(column.type):
        return column
    if pa.types.is_string(column.type):
        return pa.array(["0" * len(column[0].as_py() or "")], type=column.type)
    if pa.types.is_list(column.type):
        return pa.array([[]], type=column.type)
    return pa.array([0]).cast(column.type)
