"""Bytes of a model on disk, and of the zip that it travels in."""

import io
import zipfile
from pathlib import Path

from tfx_loop.contracts.optimization_report import Size
from tfx_loop.core.errors import DataError


def size_of(path: str | Path, *, zipped: bool = True) -> Size:
    """Returns the bytes of a file, or of all files of a folder; zipped with DEFLATE at level 9.

    The zip is made as it would travel, directory included, and kept nowhere. A `.keras` file is a
    zip without compression already.

    Args:
        path: File or folder.
        zipped: Whether the zip is made; without it its bytes are None.

    Raises:
        DataError: There is no file.
    """
    root = Path(path)
    files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
    if not files or not files[0].is_file():
        raise DataError(f"Expected a model's file or folder at {root}, found none.")
    raw = sum(file.stat().st_size for file in files)
    if not zipped:
        return Size(raw_bytes=raw, zipped_bytes=None)
    # Level 9: as small as DEFLATE gets, which is what a download would take.
    sink = _Counter()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in files:
            # A fixed date: ZIP cannot hold times before 1980, which some build systems set.
            info = zipfile.ZipInfo(file.relative_to(root.parent).as_posix())
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as packed, file.open("rb") as source:
                while chunk := source.read(1 << 20):
                    packed.write(chunk)
    return Size(raw_bytes=raw, zipped_bytes=sink.count)


class _Counter(io.RawIOBase):
    """A file that keeps nothing but its length."""

    def __init__(self) -> None:
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        written = memoryview(content).nbytes  # type: ignore[arg-type]
        self.count += written
        return written
