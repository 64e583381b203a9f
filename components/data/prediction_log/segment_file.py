"""One segment file of the prediction log while it is written: `UUID.arrows`.

It holds an Arrow IPC stream in compressed frames (`segment_frames.py`); those of earlier releases
are the plain stream.
An open segment is locked (flock), so that compaction leaves it alone; the lock dies with its
process. Somebody may remove or move the file meanwhile: what is appended after a removal would go
to a file without a name, so each append looks whether the name is still there.
"""

import contextlib
import errno
import fcntl
import os
import uuid
from pathlib import Path
from typing import Protocol

from tfx_loop.core import storage
from tfx_loop.data.prediction_log.encryption import SegmentCipher

SEGMENT_SUFFIX = ".arrows"


class SegmentGoneError(OSError):
    """A segment was removed while it was written; the last batch is in no file."""


class Frames(Protocol):
    """What a segment's content is wrapped in."""

    @property
    def head(self) -> bytes:
        """What the file begins with."""

    def frame(self, content: bytes) -> bytes:
        """Returns what is written for some content."""


class SegmentFile:
    """An open segment: what describes its rows, and whole batches behind it.

    Attributes:
        path: Its file.
        size: Bytes on the disk.
        content_bytes: What a reader gets of them.
    """

    def __init__(
        self,
        folder: Path,
        frames: Frames,
        cipher: SegmentCipher | None = None,
        *,
        suffix: str = SEGMENT_SUFFIX,
        durable: bool = False,
    ) -> None:
        """Makes an empty file with a name that nobody else has, for its owner alone.

        Args:
            folder: Where it stands.
            frames: Compresses its batches, or only wraps them.
            cipher: What encrypts it; None leaves it plain.
            suffix: What its name ends with.
            durable: Whether its name is to survive a crash of the machine.
        """
        self.path, self._handle = _locked_file(folder, suffix)
        self._frames, self._cipher = frames, cipher
        self._unsynced = False
        self.size = self.content_bytes = 0
        if durable:
            storage.sync(folder)

    def append(self, batch: bytes, *, sync: bool = False) -> None:
        """Writes a batch; with `sync` it is on the disk on return, else with the system.

        Raises:
            OSError: It could not be written; the file is closed, without a part of the batch.
            SegmentGoneError: The file was removed; this batch is nowhere.
        """
        head = b"" if self.size else self._frames.head
        content = self._sealed(head + self._frames.frame(batch))
        try:
            write_all(self._handle, content)
            if sync:
                os.fdatasync(self._handle)
        except OSError:
            # Half a batch would hide those after it: cut it off, and never use this file again.
            self._cut()
            raise
        if os.fstat(self._handle).st_nlink == 0:
            os.close(self._handle)
            raise SegmentGoneError(errno.ENOENT, "the segment was removed", str(self.path))
        self.size += len(content)
        self.content_bytes += len(batch)
        self._unsynced = not sync

    @property
    def has_moved(self) -> bool:
        """Whether its rows stand under another name by now; new ones belong into a new file."""
        try:
            found = os.stat(self.path)
        except OSError:
            return True
        own = os.fstat(self._handle)
        return (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino)

    def take_unsynced(self) -> int | None:
        """Returns a handle to sync and close, if anything was appended since the last."""
        if not self._unsynced:
            return None
        self._unsynced = False
        return os.dup(self._handle)

    def end(self, *, sync: bool = False) -> None:
        """Closes it; all rows are there already."""
        if sync:
            with contextlib.suppress(OSError):
                os.fdatasync(self._handle)
        os.close(self._handle)

    def _sealed(self, content: bytes) -> bytes:
        return self._cipher.seal(content) if self._cipher else content

    def _cut(self) -> None:
        # Where even that fails, the reader finds a segment cut off in the middle, and copes.
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, self.size)
            if self.size == 0:
                # A full disk would get an empty file more with each request.
                self.path.unlink(missing_ok=True)
        os.close(self._handle)


def _locked_file(folder: Path, suffix: str) -> tuple[Path, int]:
    """Returns a new file and its handle, which holds the lock."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    while True:
        path = folder / f"{uuid.uuid4().hex}{suffix}"
        handle = os.open(path, flags, storage.PRIVATE_FILE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A compaction may have been quicker, and have removed what was empty.
            if os.fstat(handle).st_nlink:
                return path, handle
        except BlockingIOError:
            # It holds the lock, and will remove the file with whatever would be written meanwhile.
            pass
        except OSError:
            # A file system without locks has no compaction beside a server, either.
            return path, handle
        os.close(handle)


def write_all(handle: int, content: bytes) -> None:
    """Writes all of it; a write may take a part alone."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
