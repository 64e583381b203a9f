"""Files opened for reading in pieces, on a disk or behind a remote URI."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from tfx_loop.core.storage import is_remote, read_bytes

# RFC 1952; told by content, as names often lack .gz.
_GZIP_MAGIC = b"\x1f\x8b"
# 256 KiB: large enough that decompressing, not the loop, takes the time.
_PIECE_BYTES = 1 << 18


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

        return io.BufferedReader(_Remote(fileio.open(path, "rb")), _PIECE_BYTES)
    return _local(path).open("rb")


def open_unpacked(path: str) -> Any:
    """Returns a file's bytes without their gzip, if they are packed."""
    with open_binary(path) as file:
        packed = file.read(2) == _GZIP_MAGIC
    file = open_binary(path)
    return gzip.GzipFile(fileobj=file) if packed else file


def open_inflated(path: str) -> Any:
    """Returns a file's bytes without their gzip or zlib, if they are packed.

    TensorFlow writes records with either, and neither into the name. A zlib stream begins with 0x78
    and a check of two bytes (RFC 1950), which few other files do: ask only where the bytes as they
    are make no sense.
    """
    with open_unpacked(path) as file:
        head = file.read(2)
    # RFC 1950: 0x78 is deflate with a window of 32 KiB, and both bytes together are a multiple of
    # 31.
    if len(head) == 2 and head[0] == 0x78 and int.from_bytes(head, "big") % 31 == 0:
        return io.BufferedReader(_ZlibContent(open_binary(path)), _PIECE_BYTES)
    return open_unpacked(path)


class _Remote(io.RawIOBase):
    """A remote file as Python's own: TensorFlow's lacks `closed`, which Arrow asks for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return int(self._file.tell())

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


class _ZlibContent(io.RawIOBase):
    """A zlib stream's content, unpacked piece by piece."""

    def __init__(self, file: Any) -> None:
        self._file, self._inflate = file, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        while not content and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_PIECE_BYTES)
            if not packed:
                raise EOFError("the zlib stream ends before its end mark")
            content = self._inflate.decompress(packed, len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


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
