"""Conditional files of a bucket.

A file that was removed is left as an empty object: S3 has conditional writes everywhere, and
conditional removal only in some buckets.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tfx_loop.core.conditional_files import ABSENT, ConditionalFiles, FolderFiles, TaggedContent
from tfx_loop.core.errors import WriteConflict


class Bucket(Protocol):
    """A bucket's objects below one prefix. Where the store does not answer, all raise OSError."""

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Returns an object's content and tag; None where there is none."""

    def put(self, name: str, content: bytes, expected: str) -> str:
        """Writes an object of the expected tag, ABSENT for none; returns the new tag.

        Raises:
            WriteConflict: It has another tag.
        """

    def upload(self, name: str, path: Path) -> None:
        """Copies a file to an object, whatever was there."""

    def copy(self, name: str, to: str) -> None:
        """Copies an object of the bucket to another name, whatever was there."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yields the names of the objects below a prefix."""

    def tagged(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yields the names of the objects below a prefix, each with its tag."""

    def sized(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yields the names of the objects below a prefix, each with its bytes."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Yields what stands between a prefix and the next slash, each once."""

    def remove(self, name: str) -> None:
        """Removes an object, if it is there."""


class BucketFiles:
    """Conditional files of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        """Uses a bucket that exists."""
        self._bucket = bucket

    def read(self, name: str) -> TaggedContent:
        """Returns a file's content and tag."""
        found = self._bucket.get(name)
        if found is None:
            return TaggedContent(content=None, tag=ABSENT)
        content, tag = found
        # Empty is what a file leaves that was removed; its tag still has to be matched.
        return TaggedContent(content=content or None, tag=tag)

    def replace(self, name: str, content: bytes | None, expected: str) -> str:
        """Replaces or removes a file of the expected tag; another tag raises WriteConflict."""
        try:
            # A condition on the tag holds for an empty object, too: nobody takes a removed lock
            # twice.
            return self._bucket.put(name, content or b"", expected)
        except WriteConflict:
            # A client that got no answer asks again, and then meets what it wrote itself.
            found = self._bucket.get(name)
            if found is None or found[0] != (content or b""):
                raise
            return found[1]


def conditional_files(base_path: str) -> ConditionalFiles:
    """Returns the conditional files of a folder or a bucket; raises ConfigError."""
    if "://" in base_path and not base_path.startswith("file://"):
        from tfx_loop.core.bucket.client import open_bucket

        return BucketFiles(open_bucket(base_path))
    return FolderFiles(Path(base_path.removeprefix("file://")))
