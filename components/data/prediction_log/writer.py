"""The writer of the prediction log: a prediction is on disk before its answer leaves.

Each writer appends to segment files of its own, `DIR/MODEL/date=YYYY-MM-DD/UUID.arrows` (Arrow IPC,
compressed batch by batch). `append` returns after write(2): a SIGKILL of the process loses no
answered prediction. Whether a crash of the machine does is a matter of `LogSync`. Files are their
owner's alone (0600), and so are the folders below DIR, which itself stays as it was made.
"""

import logging
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pyarrow as pa

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import SecretKey
from tfx_loop.core.storage import private_folder
from tfx_loop.data.prediction_log.encryption import SegmentCipher
from tfx_loop.data.prediction_log.record import check_model_name, day_of
from tfx_loop.data.prediction_log.segment_file import SegmentFile, SegmentGoneError
from tfx_loop.data.prediction_log.segment_frames import FrameWriter

_LOG = logging.getLogger(__name__)
# Removed again and again: somebody's clean-up runs wild, and the caller is told.
_TRIES_AFTER_REMOVAL = 3

_Key = tuple[str, str, bytes]


@dataclass
class _PendingBatch:
    """A batch that waits for its write."""

    key: _Key
    batch: pa.RecordBatch
    done: bool = False
    error: Exception | None = None


class LogSync(str, Enum):
    """When rows are brought to the disk.

    NEVER leaves it to the operating system, BATCH does it before the answer (requests that wait
    together share it), INTERVAL every few seconds: that much may a crash of the machine lose.
    """

    NEVER = "never"
    BATCH = "batch"
    INTERVAL = "interval"


class PredictionLogWriter:
    """Appends record batches from many threads; those that wait together share a write."""

    def __init__(
        self,
        directory: str | Path,
        *,
        # A reader takes a segment whole: this bounds its memory.
        segment_bytes: int = 64 * 1024 * 1024,
        # Open files and buffers: a model has one a day and layout of columns, and late events few
        # more.
        max_open_segments: int = 32,
        key: SecretKey | None = None,
        sync: LogSync = LogSync.NEVER,
        sync_seconds: float = 1.0,
    ) -> None:
        """Makes the directory.

        Args:
            directory: Where the log lives.
            segment_bytes: Size of its content after which a segment is closed and a new one begun.
            max_open_segments: Limit on open files; the one unused longest is closed first.
            key: What segments are encrypted with; None to leave them plain.
            sync: When rows are brought to the disk.
            sync_seconds: How often, for INTERVAL.

        Raises:
            ConfigError: A limit is below 1, or there is no time between two syncs.
            OSError: The directory cannot be made or written.
        """
        if segment_bytes < 1 or max_open_segments < 1:
            raise ConfigError(
                "segment_bytes and max_open_segments must be at least 1, "
                f"got {segment_bytes} and {max_open_segments}."
            )
        if not sync_seconds > 0:
            raise ConfigError(f"sync_seconds must be above 0, got {sync_seconds}.")
        self._directory = Path(directory)
        if not self._directory.is_dir():
            private_folder(self._directory)
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise PermissionError(f"{self._directory} is not writable")
        self._segment_bytes = segment_bytes
        self._max_open_segments = max_open_segments
        self._key = key
        self._segments: OrderedDict[_Key, SegmentFile] = OrderedDict()
        self._waiting: list[_PendingBatch] = []
        self._waiting_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._sync = sync
        self._stop = threading.Event()
        self._syncer = threading.Thread(
            target=self._sync_until_stopped, args=(sync_seconds,), daemon=True, name="log-sync"
        )
        if sync is LogSync.INTERVAL:
            self._syncer.start()

    @property
    def directory(self) -> Path:
        """Where the log lives."""
        return self._directory

    def append(self, model_name: str, event_time_ms: int, batch: pa.RecordBatch) -> None:
        """Writes the rows of one request; they are with the operating system on return.

        Raises:
            ConfigError: The model name is unfit for a path.
            OSError: They could not be written. Whole or not at all: no part of them is in the log.
        """
        if batch.num_rows == 0:
            return
        # A stream of Arrow has one schema: rows with other columns go to a segment of their own.
        header = batch.schema.serialize().to_pybytes()
        key = (check_model_name(model_name), day_of(event_time_ms), header)
        pending = _PendingBatch(key, batch)
        with self._waiting_lock:
            self._waiting.append(pending)
        # Whoever comes first writes for all who wait; the others find their work done.
        with self._write_lock:
            if not pending.done:
                with self._waiting_lock:
                    # Taken while holding the write lock: what arrives from now on waits for the
                    # next writer.
                    group, self._waiting = self._waiting, []
                self._write_group(group)
        if pending.error is not None:
            raise pending.error

    def roll(self) -> None:
        """Ends every open segment, so that it can be compacted; what comes goes into new ones."""
        with self._write_lock:
            while self._segments:
                self._close_oldest()

    def close(self) -> None:
        """Ends every open segment. Later appends raise OSError."""
        with self._write_lock:
            self._stop.set()
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
        if self._stop.is_set():
            raise OSError("the prediction log is closed")
        for tries_left in reversed(range(_TRIES_AFTER_REMOVAL)):
            try:
                self._append(key, batch)
                return
            except SegmentGoneError as gone:
                _LOG.warning("segment=%s state=removed_while_written", gone.filename)
                if not tries_left:
                    raise

    def _append(self, key: _Key, batch: pa.RecordBatch) -> None:
        segment = self._segments.get(key)
        if segment is not None and segment.has_moved:
            # With its name went its rows; what comes now is not to follow them unseen.
            _LOG.warning("segment=%s bytes=%d state=gone_while_open", segment.path, segment.size)
            self._segments.pop(key).end()
            segment = None
        if segment is None:
            segment = self._open(key, batch)
        try:
            content = batch.serialize().to_pybytes()
            segment.append(content, sync=self._sync is LogSync.BATCH)
        except OSError:
            del self._segments[key]
            raise
        self._segments.move_to_end(key)
        if segment.content_bytes >= self._segment_bytes:
            # To the front, where `_close_oldest` takes it.
            self._segments.move_to_end(key, last=False)
            self._close_oldest()

    def _open(self, key: _Key, batch: pa.RecordBatch) -> SegmentFile:
        while len(self._segments) >= self._max_open_segments:
            self._close_oldest()
        model_name, day, _ = key
        folder = self._directory / model_name / f"date={day}"
        private_folder(folder.parent)
        private_folder(folder)
        cipher = SegmentCipher(self._key) if self._key else None
        durable = self._sync is not LogSync.NEVER
        segment = SegmentFile(folder, FrameWriter(batch), cipher, durable=durable)
        self._segments[key] = segment
        return segment

    def _close_oldest(self) -> None:
        _, segment = self._segments.popitem(last=False)
        segment.end(sync=self._sync is not LogSync.NEVER)

    def _sync_until_stopped(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            with self._write_lock:
                handles = [segment.take_unsynced() for segment in self._segments.values()]
            # A disk takes its time: requests do not wait for it.
            for handle in handles:
                if handle is not None:
                    _sync_and_close(handle)


def _sync_and_close(handle: int) -> None:
    try:
        # A duplicate of the descriptor: the segment may be closed meanwhile, its bytes still reach
        # the disk.
        os.fdatasync(handle)
    except OSError as error:
        _LOG.error("prediction_log state=not_synced error=%s", error)
    finally:
        os.close(handle)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    (joined,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined
