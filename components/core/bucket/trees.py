"""Folders of files that other systems write, on a disk or in a bucket, only read.

Addresses of buckets go through the bucket's own client here: TensorFlow's file systems, which TFX's
fileio takes, know no s3:// without a further library.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.bucket.files import Bucket
from tfx_loop.core.errors import DataError
from tfx_loop.core.folders import refuse_unlisted
from tfx_loop.core.storage import is_remote

# boto3 keeps ten connections open by default.
_READERS = 10


class FileTree(Protocol):
    """Files below one address; paths in it are relative, with slashes."""

    address: str

    def folders(self, path: str) -> list[str]:
        """Returns the sorted names of the folders in a folder; none where it is not there.

        Raises:
            DataError: It cannot be listed.
        """

    def below(self, path: str) -> Iterator[tuple[str, str]]:
        """Yields the files below a folder, sorted, each with what changes with its content.

        Raises:
            DataError: A folder cannot be listed.
        """

    def read(self, path: str) -> bytes:
        """Returns a file's content; raises DataError where it is gone or cannot be read."""


def open_tree(address: str) -> FileTree:
    """Returns the files below a folder, or below an `s3://` or `gs://` address.

    Raises:
        ConfigError: It is an address of another kind of store, or the store's library lacks.
    """
    if is_remote(address):
        return _BucketTree(address.rstrip("/"), open_bucket(address))
    return _DiskTree(address.removeprefix("file://").rstrip("/") or "/")


def read_each(tree: FileTree, paths: Sequence[str]) -> Iterator[bytes]:
    """Yields the contents of files in their order, read some at a time; raises DataError.

    A store answers in tens of milliseconds: thousands of small files one by one take minutes.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        # As many as are read at once are held, and no more.
        for begin in range(0, len(paths), _READERS):
            yield from pool.map(tree.read, paths[begin : begin + _READERS])


class _DiskTree:
    """Folders of a disk."""

    def __init__(self, address: str) -> None:
        self.address = address

    def folders(self, path: str) -> list[str]:
        """Lists one folder."""
        place = Path(self.address, path)
        try:
            return sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            refuse_unlisted(error)

    def below(self, path: str) -> Iterator[tuple[str, str]]:
        """Walks a folder."""
        place = Path(self.address, path)
        if not place.is_dir():
            return
        for folder, folders, names in os.walk(place, onerror=refuse_unlisted):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                found = file.stat()
                yield (
                    file.relative_to(self.address).as_posix(),
                    f"{found.st_size}-{found.st_mtime_ns}",
                )

    def read(self, path: str) -> bytes:
        """Reads a file."""
        try:
            return Path(self.address, path).read_bytes()
        except OSError as error:
            raise _unread(f"{self.address}/{path}", error.strerror) from error


class _BucketTree:
    """Objects of a bucket."""

    def __init__(self, address: str, bucket: Bucket) -> None:
        self.address, self._bucket = address, bucket

    def folders(self, path: str) -> list[str]:
        """Lists common prefixes."""
        try:
            return sorted(self._bucket.folders(_prefix(path)))
        except OSError as error:
            raise _unread(self.address, error) from error

    def below(self, path: str) -> Iterator[tuple[str, str]]:
        """Lists objects, which stores return sorted."""
        try:
            yield from self._bucket.tagged(_prefix(path))
        except OSError as error:
            raise _unread(self.address, error) from error

    def read(self, path: str) -> bytes:
        """Reads an object."""
        try:
            found = self._bucket.get(path)
        except OSError as error:
            raise _unread(f"{self.address}/{path}", error) from error
        if found is None:
            raise _unread(f"{self.address}/{path}", "it is gone")
        return found[0]


def _prefix(path: str) -> str:
    return f"{path}/" if path else ""


def _unread(where: str, why: object) -> DataError:
    if isinstance(why, BaseException):
        # The bucket's own words say what to do.
        return DataError(f"Expected to read {where}, received: {why}")
    return DataError(
        f"Expected to read {where}, received: {why}. Check the address and the rights."
    )
