"""Buckets of S3 as a file system of TFX's fileio.

TensorFlow's file systems, which fileio takes for remote addresses, know `gs://` and no `s3://`.
Whoever runs pipelines registers this one; then all that goes through fileio, TFX's own included,
reads and writes `s3://`, and `minio://`, which is what KFP calls an S3 of its own. What TensorFlow
and Beam open by themselves is no part of it.
"""

import errno
import fnmatch
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tfx.dsl.io import filesystem, filesystem_registry

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.bucket.files import Bucket

_SCHEMES = ("s3://", "minio://")
# Before TensorFlow's, which has 0 and claims s3://, too: the lowest number is asked.
_PRIORITY = -10


def register() -> None:
    """Makes TFX's fileio know `s3://` and `minio://` in this process."""
    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    registry.register(S3Filesystem, priority=_PRIORITY)


class S3Filesystem(filesystem.Filesystem):  # type: ignore[misc]
    """Objects as files; a folder is there while an object lies below it."""

    SUPPORTED_SCHEMES: ClassVar = list(_SCHEMES)

    @staticmethod
    def open(name: Any, mode: str = "r") -> Any:
        """Returns a file, read whole at once; what is written is there when it is closed."""
        bucket, key = _place(name)
        if "w" in mode:
            raw: Any = _Upload(lambda path: bucket.upload(key, path))
        else:
            found = bucket.get(key)
            if found is None:
                raise _absent(name)
            raw = io.BytesIO(found[0])
        return raw if "b" in mode else io.TextIOWrapper(raw, "utf-8")

    @staticmethod
    def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
        """Copies a file, to or from another file system, too."""
        from tfx.dsl.io import fileio

        if not overwrite and fileio.exists(dst):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(dst))
        with fileio.open(src, "rb") as source, fileio.open(dst, "wb") as target:
            # 16 MiB at a time: models may be larger than the memory.
            while piece := source.read(1 << 24):
                target.write(piece)

    @staticmethod
    def exists(path: Any) -> bool:
        """Says whether a file or a folder is there."""
        bucket, key = _place(path)
        names = bucket.names(key)
        return any(name == key or name.startswith(_below(key)) for name in names)

    @staticmethod
    def glob(pattern: Any) -> list[Any]:
        """Returns the files and folders that a pattern names, sorted."""
        text = os.fsdecode(pattern)
        root = text[: min((text.find(sign) for sign in "*?[" if sign in text), default=len(text))]
        found: set[str] = set()
        bucket, key = _place(root.rpartition("/")[0])
        begin = root.rpartition("/")[0].rstrip("/")
        for name in bucket.names(_below(key)):
            parts = name[len(_below(key)) :].split("/")
            found |= {"/".join((begin, *parts[: end + 1])) for end in range(len(parts))}
        depth = text.count("/")
        matched = (one for one in found if one.count("/") == depth and fnmatch.fnmatch(one, text))
        return sorted(matched)

    @staticmethod
    def isdir(path: Any) -> bool:
        """Says whether objects lie below a path."""
        bucket, key = _place(path)
        return any(True for _ in bucket.names(_below(key)))

    @staticmethod
    def listdir(path: Any) -> list[Any]:
        """Returns the sorted names in a folder."""
        if not S3Filesystem.isdir(path):
            raise _absent(path)
        _, folders, files = next(S3Filesystem.walk(path))
        return sorted([*folders, *files])

    @staticmethod
    def makedirs(path: Any) -> None:
        """Does nothing: folders come with their objects."""

    @staticmethod
    def mkdir(path: Any) -> None:
        """Does nothing, as `makedirs`."""

    @staticmethod
    def remove(path: Any) -> None:
        """Removes a file."""
        bucket, key = _place(path)
        if bucket.get(key) is None:
            raise _absent(path)
        bucket.remove(key)

    @staticmethod
    def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
        """Copies a file or a folder and removes it: a bucket has no rename."""
        bucket, key = _place(src)
        names = [name for name in bucket.names(key) if name == key or name.startswith(_below(key))]
        for name in names:
            rest = name[len(key) :]
            S3Filesystem.copy(f"{src}{rest}", f"{dst}{rest}", overwrite)
            bucket.remove(name)

    @staticmethod
    def rmtree(path: Any) -> None:
        """Removes a folder."""
        bucket, key = _place(path)
        for name in list(bucket.names(_below(key))):
            bucket.remove(name)

    @staticmethod
    def stat(path: Any) -> Any:
        """Returns a file's size."""
        bucket, key = _place(path)
        found = bucket.get(key)
        if found is None:
            raise _absent(path)
        # A regular file that its owner writes and all read; an object has no more of what stat
        # tells.
        return os.stat_result((0o100644, 0, 0, 1, 0, 0, len(found[0]), 0, 0, 0))

    @staticmethod
    def walk(
        top: Any, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterator[tuple[Any, list[Any], list[Any]]]:
        """Yields each folder below one with its folders and files, as `os.walk` does."""
        bucket, key = _place(top)
        inside: dict[str, tuple[set[str], set[str]]] = {}
        for name in bucket.names(_below(key)):
            parts = name[len(_below(key)) :].split("/")
            for depth, part in enumerate(parts):
                folders, files = inside.setdefault("/".join(parts[:depth]), (set(), set()))
                (files if depth == len(parts) - 1 else folders).add(part)
        base = os.fsdecode(top).rstrip("/")
        for folder in sorted(inside, reverse=not topdown):
            folders, files = inside[folder]
            yield f"{base}/{folder}".rstrip("/"), sorted(folders), sorted(files - {""})


class _Upload(io.FileIO):
    """A scratch file that is uploaded when it is closed."""

    def __init__(self, upload: Callable[[Path], None]) -> None:
        handle, self._path = tempfile.mkstemp(prefix="loop-upload-")
        super().__init__(handle, "w")
        self._upload = upload

    def __exit__(self, kind: Any, *rest: Any) -> None:
        # Half a file is none: what was raised in between leaves the object as it was.
        if kind is not None:
            self._upload = lambda path: None
        super().__exit__(kind, *rest)

    def close(self) -> None:
        """Uploads what was written."""
        if self.closed:
            return
        super().close()
        try:
            self._upload(Path(self._path))
        finally:
            os.unlink(self._path)


def _place(path: Any) -> tuple[Bucket, str]:
    """Returns the bucket of an address, and the object's name in it."""
    parts = urlsplit(os.fsdecode(path))
    return open_bucket(f"s3://{parts.netloc}"), parts.path.strip("/")


def _below(key: str) -> str:
    return f"{key}/" if key else ""


def _absent(path: Any) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(path))
