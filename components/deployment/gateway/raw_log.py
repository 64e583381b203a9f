"""The gateway's log: calls of one turn of the event loop share a write, before they are answered.

A call whose record is with the operating system is acknowledged, and no other: a SIGKILL loses no
acknowledged call, and none is written twice. A log that cannot be written costs no answer: calls
are counted, and the count is written when the log can be written again.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import SecretKey
from tfx_loop.core.storage import private_folder
from tfx_loop.data.prediction_log.encryption import SegmentCipher
from tfx_loop.data.prediction_log.raw_calls import RAW_SUFFIX, RawFrames, UnloggedCalls
from tfx_loop.data.prediction_log.record import PARTITION_PREFIX, day_of
from tfx_loop.data.prediction_log.segment_file import SegmentFile, SegmentGoneError
from tfx_loop.data.prediction_log.writer import LogSync
from tfx_loop.deployment.gateway.counters import FULL, PROTOCOLS, UNWRITABLE, Counters, place
from tfx_loop.deployment.gateway.counters import plain_place as plain

_LOG = logging.getLogger(__name__)
# A full disk is tried again this often, not with each of thousands of calls a second.
_RETRY_SECONDS = 0.1
# Files that somebody imported and removed count no more after this time.
_MEASURE_SECONDS = 10.0
# Whether a segment still stands under its name. A removed one is told by the next write.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class RawLogSettings:
    """Where and how calls are logged.

    Attributes:
        directory: Of the segments.
        sync: When records are brought to the disk.
        sync_seconds: How often, for INTERVAL.
        segment_bytes: Size after which a segment is ended and a new one begun.
        max_bytes: Of all segments together; calls beyond are answered, counted and not logged.
        key: What segments are encrypted with; None leaves them plain.
    """

    directory: str
    sync: LogSync = LogSync.NEVER
    sync_seconds: float = 1.0
    segment_bytes: int = 64 * 1024 * 1024
    max_bytes: int = 8 * 1024**3
    key: SecretKey | None = None

    def __post_init__(self) -> None:
        if self.segment_bytes < 1 or self.max_bytes < 1 or not self.sync_seconds > 0:
            raise ConfigError(
                "Expected sizes of at least 1 and seconds above 0, received segment_bytes="
                f"{self.segment_bytes}, max_bytes={self.max_bytes}, sync={self.sync_seconds:g}."
            )


@dataclass(frozen=True)
class _WaitingCall:
    record: bytes
    protocol: str
    answer: Callable[[], None]


class RawLog:
    """Writes records on the event loop, and answers calls when theirs is written."""

    def __init__(
        self, settings: RawLogSettings, counters: Counters, clock_ms: Callable[[], int]
    ) -> None:
        """Makes the directory.

        Raises:
            OSError: It cannot be made or written.
        """
        self._settings = settings
        self._counters = counters
        self._clock_ms = clock_ms
        self._directory = Path(settings.directory)
        if not self._directory.is_dir():
            private_folder(self._directory)
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise PermissionError(f"{self._directory} is not writable")
        self._segment: SegmentFile | None = None
        self._day = ""
        self._waiting: list[_WaitingCall] = []
        self._unlogged: UnloggedCalls | None = None
        self._retry_at = self._looked_at = 0.0
        self._bytes = self._measure()
        self._syncing = False
        # Syncs run here: a disk takes its time, and the event loop has none.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._places = {
            (name, protocol, reason): place(name, protocol, reason)
            for protocol in PROTOCOLS
            for name, reason in (
                ("logged_calls", ""),
                ("unlogged_calls", UNWRITABLE),
                ("unlogged_calls", FULL),
            )
        }
        self._loop = asyncio.get_running_loop()
        self._loop.call_later(_MEASURE_SECONDS, self._measure_again)
        if settings.sync is LogSync.INTERVAL:
            self._loop.call_later(settings.sync_seconds, self._sync_now_and_then)

    def append(self, record: bytes, protocol: str, answer: Callable[[], None]) -> None:
        """Has a record written with all others of this turn; then, or when that failed, answers."""
        # The first record of a turn has the commit run at the turn's end; all others find it
        # planned. While a sync runs the next commit is planned by its end.
        if not self._waiting and not self._syncing:
            self._loop.call_soon(self._commit)
        self._waiting.append(_WaitingCall(record, protocol, answer))

    def count_unlogged(self, protocol: str, reason: str) -> None:
        """Counts a call that is answered and not logged, for a reason of the caller's."""
        self._counters.row[place("unlogged_calls", protocol, reason)] += 1
        self._note_unlogged(1)

    def close(self) -> None:
        """Writes what waits, and ends the segment."""
        self._syncing = False
        if self._waiting:
            self._commit()
        if self._unlogged is not None:
            self._write(b"")
        if self._segment is not None:
            self._segment.end(sync=self._settings.sync is not LogSync.NEVER)
            self._segment = None
        self._threads.shutdown()

    def _commit(self) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return
        reason = self._write(b"".join([one.record for one in group]))
        name = "unlogged_calls" if reason else "logged_calls"
        for one in group:
            self._counters.row[self._places[name, one.protocol, reason]] += 1
        if reason:
            self._note_unlogged(len(group))
        elif self._settings.sync is LogSync.BATCH and self._segment is not None:
            self._sync_then_answer(group)
            return
        for one in group:
            one.answer()

    def _write(self, records: bytes) -> str:
        """Writes records; returns why not, or nothing."""
        if self._bytes + len(records) > self._settings.max_bytes:
            self._complain(f"over {self._settings.max_bytes} bytes (--raw_log_max_bytes)")
            return FULL
        if self._retry_at and self._loop.time() < self._retry_at:
            return UNWRITABLE
        unlogged = self._unlogged
        if unlogged is not None:
            # In front, so that the gap stands in the log where it was.
            records = unlogged.encode() + records
        try:
            try:
                self._append(records)
            except SegmentGoneError as gone:
                _LOG.warning("segment=%s state=removed_while_written", gone.filename)
                self._segment = None
                self._append(records)
        except OSError as error:
            self._segment = None
            self._retry_at = self._loop.time() + _RETRY_SECONDS
            self._complain(str(error))
            return UNWRITABLE
        self._bytes += len(records)
        self._counters.row[plain("log_bytes")] += len(records)
        if unlogged is not None:
            if self._counters.row[plain("log_unwritable")]:
                _LOG.warning("raw_log state=written_again unlogged_calls=%d", unlogged.calls)
            self._unlogged, self._retry_at = None, 0.0
            self._counters.row[plain("log_unwritable")] = 0
        return ""

    def _append(self, records: bytes) -> None:
        # A compare a turn: midnight, UTC, ends a segment.
        day = day_of(self._clock_ms())
        segment = self._segment
        if segment is not None and (
            day != self._day
            or segment.size + len(records) > self._settings.segment_bytes
            or (self._loop.time() > self._looked_at + _LOOK_SECONDS and self._has_moved(segment))
        ):
            segment.end(sync=self._settings.sync is not LogSync.NEVER)
            segment = self._segment = None
        if segment is None:
            folder = self._directory / f"{PARTITION_PREFIX}{day}"
            private_folder(folder)
            cipher = SegmentCipher(self._settings.key) if self._settings.key else None
            durable = self._settings.sync is not LogSync.NEVER
            segment = SegmentFile(folder, RawFrames(), cipher, suffix=RAW_SUFFIX, durable=durable)
            self._segment, self._day = segment, day
        segment.append(records)

    def _has_moved(self, segment: SegmentFile) -> bool:
        self._looked_at = self._loop.time()
        return segment.has_moved

    def _complain(self, why: str) -> None:
        if not self._counters.row[plain("log_unwritable")]:
            _LOG.error("raw_log state=unwritable policy=serve error=%s", why)
        self._counters.row[plain("log_unwritable")] = 1

    def _note_unlogged(self, calls: int) -> None:
        now, known = self._clock_ms(), self._unlogged
        self._unlogged = UnloggedCalls(
            calls=calls + (known.calls if known else 0),
            first_ms=known.first_ms if known else now,
            last_ms=now,
        )

    def _sync_then_answer(self, group: list[_WaitingCall]) -> None:
        assert self._segment is not None
        handle = self._segment.take_unsynced()
        self._syncing = True

        def synced(failed: "asyncio.Future[None]") -> None:
            if error := failed.exception():
                _LOG.error("raw_log state=not_synced error=%s", error)
            self._syncing = False
            for one in group:
                one.answer()
            # What came meanwhile shares the next sync.
            self._commit()

        future = self._loop.run_in_executor(self._threads, _sync_and_close, handle)
        future.add_done_callback(synced)

    def _sync_now_and_then(self) -> None:
        handle = self._segment.take_unsynced() if self._segment is not None else None
        if handle is not None:
            self._loop.run_in_executor(self._threads, _sync_or_complain, handle)
        self._loop.call_later(self._settings.sync_seconds, self._sync_now_and_then)

    def _measure_again(self) -> None:
        self._bytes = self._measure()
        self._loop.call_later(_MEASURE_SECONDS, self._measure_again)

    def _measure(self) -> int:
        total = 0
        for path in self._directory.glob(f"*/*{RAW_SUFFIX}"):
            try:
                total += path.stat().st_size
            except OSError:
                continue  # Imported and removed just now.
        return total


def _sync_and_close(handle: int | None) -> None:
    if handle is None:
        return
    try:
        os.fdatasync(handle)
    finally:
        os.close(handle)


def _sync_or_complain(handle: int) -> None:
    try:
        _sync_and_close(handle)
    except OSError as error:
        _LOG.error("raw_log state=not_synced error=%s", error)
