"""Small files that are replaced only if nobody replaced them meanwhile (compare-and-swap).

The interface is what object stores offer as conditional writes: the tag is a generation (GCS,
ifGenerationMatch) or an ETag (S3, If-Match and If-None-Match). On a folder the tag is a digest of
the content, and the kernel's lock, which dies with its holder, makes comparing and replacing one
step; NFS has it since Linux 2.6.12.
"""

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tfx_loop.core import storage
from tfx_loop.core.errors import WriteConflict

# No digest and no ETag is empty.
ABSENT = ""
# It stays: between looking at a lock's file and removing it, another process may take the lock.
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class TaggedContent:
    """What a file held when it was read.

    Attributes:
        content: None where there is no file.
        tag: Differs where the content does; ABSENT where there is no file.
    """

    content: bytes | None
    tag: str


class ConditionalFiles(Protocol):
    """Files of one folder, bucket prefix, or fake."""

    def read(self, name: str) -> TaggedContent:
        """Returns a file's content and tag."""

    def replace(self, name: str, content: bytes | None, expected: str) -> str:
        """Replaces a file whole, or removes it for None, and returns its new tag.

        Raises:
            WriteConflict: Its tag is another than expected; nothing was changed.
        """


class FolderFiles:
    """Conditional files of a folder that threads, processes and hosts share."""

    def __init__(self, folder: Path) -> None:
        """Uses a folder that exists."""
        self._folder = folder

    def read(self, name: str) -> TaggedContent:
        """Returns a file's content and tag."""
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return TaggedContent(content=None, tag=ABSENT)
        return TaggedContent(content=content, tag=_tag(content))

    def replace(self, name: str, content: bytes | None, expected: str) -> str:
        """Replaces or removes a file of the expected tag; another tag raises WriteConflict."""
        with self._locked():
            found = self.read(name)
            if found.tag != expected:
                raise WriteConflict(
                    f"Expected {self._folder / name} as it was read, received another content: "
                    "somebody else wrote it meanwhile. Read it again."
                )
            if content is None:
                (self._folder / name).unlink(missing_ok=True)
                return ABSENT
            # What begins with a dot is a note between processes; a lock's holds its token.
            storage.write_bytes(str(self._folder / name), content, private=name.startswith("."))
            return _tag(content)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened each time: threads of one process exclude each other only by files of their own.
        with open(self._folder / _LOCK, "a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
