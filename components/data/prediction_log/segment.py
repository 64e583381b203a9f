"""Rows of one segment file, whole or damaged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.encryption import is_encrypted, open_segment
from tfx_loop.data.prediction_log.record import (
    ENVELOPE,
    FEATURE_PREFIX,
    IDENTITY,
    OUTPUT_PREFIX,
    SEGMENT_FIELDS,
)
from tfx_loop.data.prediction_log.segment_frames import is_framed, open_frames

_REQUIRED = (*IDENTITY, "event_time_ms")
# End of stream, by the Arrow IPC format: a continuation mark and a length of zero.
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_BROKEN = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What was read of a segment file.

    Attributes:
        table: The rows of its whole batches, None when there is nothing usable.
        truncated: It ends in the middle of a batch.
        unreadable: It is no prediction log at all.
        unreadable_batches: Batches inside it whose content is damaged.
        unreadable_bytes: Bytes that no row was read from.
    """

    table: pa.Table | None
    truncated: bool = False
    unreadable: bool = False
    unreadable_batches: int = 0
    unreadable_bytes: int = 0


def parse_segment(content: bytes, keys: Sequence[SecretKey] = ()) -> Segment:
    """Reads all whole batches of a segment; damaged bytes are counted and never raise.

    Args:
        content: Of the file.
        keys: What it may be encrypted with.

    Raises:
        ConfigError: It is encrypted with a key that is not among those given.
    """
    layers = []
    if is_encrypted(content):
        layers.append(open_segment(content, keys))
        content = layers[-1].content
    if is_framed(content):
        layers.append(open_frames(content))
        content = layers[-1].content
    found = _parse(content)
    # A frame that was changed held whole batches: those around it follow each other.
    return replace(
        found,
        truncated=found.truncated or any(layer.cut_bytes for layer in layers),
        unreadable_batches=found.unreadable_batches + sum(layer.damaged for layer in layers),
        unreadable_bytes=found.unreadable_bytes
        + sum(layer.cut_bytes + layer.damaged_bytes for layer in layers),
    )


def _parse(content: bytes) -> Segment:
    if not content:
        # Opened, and killed before the first write: nothing was answered from it.
        return Segment(table=None)
    source = pa.BufferReader(content)
    try:
        stream = pa.ipc.open_stream(source)
    except _BROKEN:
        return _no_stream(content)
    try:
        table = stream.read_all()
        # In full: damaged offsets would be followed into foreign memory later on.
        table.validate(full=True)
        position, damaged, damaged_bytes = source.tell(), 0, 0
    except _BROKEN:
        table, position, damaged, damaged_bytes = _read_batch_by_batch(content)
    rest = len(content) - position
    # Arrow reads the mark or leaves it, by version; bytes behind it belong to no batch.
    if rest and content[position - len(END_OF_STREAM) : position] == END_OF_STREAM:
        rest = 0
    if content[position:] == END_OF_STREAM:
        rest = 0
    try:
        # Small batches make many chunks: joined here, all that follows is fast.
        table = canonical(table.combine_chunks())
    except _BROKEN:
        return Segment(table=None, unreadable=True, unreadable_bytes=len(content))
    return Segment(
        table=table,
        truncated=rest > 0,
        unreadable_batches=damaged,
        unreadable_bytes=rest + damaged_bytes,
    )


def _no_stream(content: bytes) -> Segment:
    # A file that ends within its schema was cut; any other one was never a segment.
    started = content[:4] == END_OF_STREAM[:4] or END_OF_STREAM.startswith(content)
    return Segment(
        table=None, truncated=started, unreadable=not started, unreadable_bytes=len(content)
    )


def _read_batch_by_batch(content: bytes) -> tuple[pa.Table, int, int, int]:
    """Returns whole rows, where the whole batches end, and the damaged ones: count and bytes."""
    source = pa.BufferReader(content)
    stream = pa.ipc.open_stream(source)
    batches: list[pa.RecordBatch] = []
    position, damaged, damaged_bytes = source.tell(), 0, 0
    while True:
        try:
            batch = stream.read_next_batch()
        except StopIteration:
            break
        except _BROKEN:
            break
        end = source.tell()
        try:
            batch.validate(full=True)
            batches.append(batch)
        except _BROKEN:
            damaged += 1
            damaged_bytes += end - position
        # Where the last whole message ended, be its batch damaged or not: what is behind counts as
        # cut.
        position = end
    return pa.Table.from_batches(batches, schema=stream.schema), position, damaged, damaged_bytes


def canonical(table: pa.Table) -> pa.Table:
    """Returns the columns of a prediction record, the common ones with their types.

    Raises:
        ValueError: A column that identifies rows is missing, or a name stands twice.
        pa.ArrowInvalid: A common column has another type.
    """
    names = set(table.schema.names)
    if len(names) < len(table.schema.names):
        raise ValueError(f"column names repeat: {table.schema.names}")
    if missing := [name for name in _REQUIRED if name not in names]:
        raise ValueError(f"no columns {missing}")
    columns: dict[str, pa.ChunkedArray] = {}
    for field in (*ENVELOPE, *SEGMENT_FIELDS):
        if field.name in names:
            column = table.column(field.name)
            columns[field.name] = column if column.type == field.type else column.cast(field.type)
        else:
            columns[field.name] = pa.chunked_array([pa.nulls(len(table), field.type)])
    for name in sorted(names):
        if name.startswith((FEATURE_PREFIX, OUTPUT_PREFIX)):
            columns[name] = table.column(name)
    return pa.table(columns)
