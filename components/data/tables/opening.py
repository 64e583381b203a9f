"""Files opened for reading in pieces, on a disk or behind a remote URI."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa

from tfx_loop.core.storage import is_remote, read_bytes

# RFC 1952; told by content, as names often lack .gz.
_GZIP_MAGIC = b"\x1f\x8b"


def is_file(path: str) -> bool:
    """Says whether a file is there."""
    if is_remote(path):
        from tfx.dsl.io import fileio

        return bool(fileio.exists(path)) and not fileio.isdir(path)
    return _local(path).is_file()


def open_binary(path: str) -> Any:
    """Returns a file's bytes as a binary file object, to be closed by the caller."""
    if is_remote(path):
        from tfx.dsl.io import fileio

        return fileio.open(path, "rb")
    return _local(path).open("rb")


def open_unpacked(path: str) -> Any:
    """Returns a file's bytes without their gzip, if they are packed."""
    with open_binary(path) as file:
        packed = file.read(2) == _GZIP_MAGIC
    file = open_binary(path)
    return gzip.GzipFile(fileobj=file) if packed else file


def open_native(path: str) -> Any:
    """Returns a file's bytes without their gzip as a stream of Arrow's own.

    Arrow's CSV reader reads ahead in threads. Were they to read a Python file, dropping the reader
    early would wait for them, and they for Python's lock: for ever (pyarrow 10). A remote file is
    therefore taken whole.
    """
    with open_binary(path) as file:
        packed = file.read(2) == _GZIP_MAGIC
    if is_remote(path):
        stream = pa.BufferReader(read_bytes(path))
    else:
        stream = pa.OSFile(str(_local(path)), "rb")
    return pa.CompressedInputStream(stream, "gzip") if packed else stream


def _local(path: str) -> Path:
    return Path(path.removeprefix("file://"))
