"""The writer of the prediction log: a prediction is on disk before its answer leaves.

Each writer appends to segment files of its own, `DIR/MODEL/date=YYYY-MM-DD/UUID.arrows` (Arrow IPC
stream). `append` returns after write(2): a SIGKILL of the process loses no answered prediction.
The file is not synced, so a crash of the whole machine may lose the last seconds.
"""

import contextlib
import os
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.record import check_model_name, day_of

SEGMENT_SUFFIX = ".arrows"
# End of stream, by the Arrow IPC format: a continuation mark and a length of zero.
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

_Key = tuple[str, str, bytes]


@dataclass
class _PendingBatch:
    """A batch that waits for its write."""

    key: _Key
    batch: pa.RecordBatch
    done: bool = False
    error: Exception | None = None


@dataclass
class _OpenSegment:
    """An open segment file and the length of its whole batches."""

    handle: int
    size: int = field(default=0)


class PredictionLogWriter:
    """Appends record batches from many threads; those that wait together share a write."""

    def __init__(
        self,
        directory: str | Path,
        *,
        # A reader takes a segment whole: this bounds its memory.
        segment_bytes: int = 64 * 1024 * 1024,
        max_open_segments: int = 32,
    ) -> None:
        """Makes the directory.

        Args:
            directory: Where the log lives.
            segment_bytes: Size after which a segment is closed and a new one begun.
            max_open_segments: Limit on open files; the one unused longest is closed first.

        Raises:
            ConfigError: A limit is below 1.
            OSError: The directory cannot be made or written.
        """
        if segment_bytes < 1 or max_open_segments < 1:
            raise ConfigError(
                "segment_bytes and max_open_segments must be at least 1, "
                f"got {segment_bytes} and {max_open_segments}."
            )
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise PermissionError(f"{self._directory} is not writable")
        self._segment_bytes = segment_bytes
        self._max_open_segments = max_open_segments
        self._segments: OrderedDict[_Key, _OpenSegment] = OrderedDict()
        self._waiting: list[_PendingBatch] = []
        self._waiting_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._closed = False

    def append(self, model_name: str, event_time_ms: int, batch: pa.RecordBatch) -> None:
        """Writes the rows of one request; they are with the operating system on return.

        Raises:
            ConfigError: The model name is unfit for a path.
            OSError: They could not be written. Whole or not at all: no part of them is in the log.
        """
        if batch.num_rows == 0:
            return
        header = batch.schema.serialize().to_pybytes()
        key = (check_model_name(model_name), day_of(event_time_ms), header)
        pending = _PendingBatch(key, batch)
        with self._waiting_lock:
            self._waiting.append(pending)
        # Whoever comes first writes for all who wait; the others find their work done.
        with self._write_lock:
            if not pending.done:
                with self._waiting_lock:
                    group, self._waiting = self._waiting, []
                self._write_group(group)
        if pending.error is not None:
            raise pending.error

    def close(self) -> None:
        """Ends every open segment. Later appends raise OSError."""
        with self._write_lock:
            self._closed = True
            while self._segments:
                self._close_oldest()

    def _write_group(self, group: list[_PendingBatch]) -> None:
        by_key: dict[_Key, list[_PendingBatch]] = {}
        for pending in group:
            by_key.setdefault(pending.key, []).append(pending)
        for key, members in by_key.items():
            error: Exception | None = None
            try:
                self._write(key, _joined([pending.batch for pending in members]))
            except Exception as caught:  # Raised again by each member's own append.
                error = caught
            for pending in members:
                pending.error = error
                pending.done = True

    def _write(self, key: _Key, batch: pa.RecordBatch) -> None:
        if self._closed:
            raise OSError("the prediction log is closed")
        segment = self._segments.get(key) or self._open(key)
        content = batch.serialize().to_pybytes()
        if segment.size == 0:
            content = key[2] + content
        try:
            _write_all(segment.handle, content)
        except OSError:
            # Half a batch would hide those after it: cut it off, and never use this file again.
            del self._segments[key]
            _cut(segment)
            raise
        segment.size += len(content)
        self._segments.move_to_end(key)
        if segment.size >= self._segment_bytes:
            self._segments.move_to_end(key, last=False)
            self._close_oldest()

    def _open(self, key: _Key) -> _OpenSegment:
        while len(self._segments) >= self._max_open_segments:
            self._close_oldest()
        model_name, day, _ = key
        folder = self._directory / model_name / f"date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}{SEGMENT_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        segment = _OpenSegment(os.open(path, flags, 0o644))
        self._segments[key] = segment
        return segment

    def _close_oldest(self) -> None:
        _, segment = self._segments.popitem(last=False)
        try:
            # The mark is a courtesy to other readers: all rows are there without it.
            _write_all(segment.handle, END_OF_STREAM)
        except OSError:
            _cut(segment)
        else:
            os.close(segment.handle)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    (joined,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def _cut(segment: _OpenSegment) -> None:
    """Takes a half-written batch away and closes the file."""
    # Where even that fails, the reader finds a segment cut off in the middle, and copes.
    with contextlib.suppress(OSError):
        os.ftruncate(segment.handle, segment.size)
    os.close(segment.handle)
