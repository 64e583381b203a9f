"""The members of a ZIP archive, judged by its directory before anything is unpacked."""

import struct
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tfx_loop.models.guard import limits
from tfx_loop.models.guard.findings import Finding, Harm

_LOCAL_HEADER = b"PK\x03\x04"
# PKWARE's APPNOTE.TXT: the end of the directory (4.3.16), and the larger one's locator and record.
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_LARGE_END = b"PK\x06\x06"
# The end record's comment has a length of two bytes (PKWARE APPNOTE 4.3.16): it begins no further
# from the end than this and its own 22 bytes.
_MAX_COMMENT = 65_535
# S_IFLNK and S_IFMT of stat.h, which archives keep in the upper half of the attributes.
_LINK = 0o120000
# S_IFMT of a Unix mode, which zip keeps in the upper half of the external attributes; bit 0 of the
# flags says that a member is encrypted (APPNOTE.TXT, 4.4.4).
_TYPE_BITS = 0o170000
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_READ_BY_KERAS = ("config.json", "metadata.json", "model.weights.h5")
_SAVE_AGAIN = "Save the model again with model.save"


def scan_directory(path: Path, *, appended: bool = False) -> Iterator[Finding]:
    """Yields what makes an archive unsafe to unpack.

    Args:
        path: The file.
        appended: Whether the archive may stand behind something else, as in a .tflite file.

    Raises:
        zipfile.BadZipFile: It is damaged.
    """
    with open(path, "rb") as file:
        if not appended and file.read(4) != _LOCAL_HEADER:
            yield _ambiguous("something before the archive")
            return
        size = _directory_bytes(file)
    if size > limits.MAX_DIRECTORY_BYTES:
        yield _exhausts("directory of the archive", f"{size >> 20} MiB of names")
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if archive.comment and not appended:
            yield _ambiguous("a comment behind the archive")
    for name, count in Counter(member.filename for member in members).items():
        if count > 1:
            yield _ambiguous(f"{count} members named {name!r}")
        # What a folder that takes two spellings for one name would put in its place.
        plain = unicodedata.normalize("NFKC", name).casefold()
        if plain != name and plain in _READ_BY_KERAS:
            yield _ambiguous(f"{name!r}, another spelling of {plain!r}")
    for member in members:
        yield from _member(member)
    total = sum(member.file_size for member in members)
    packed = path.stat().st_size
    if total > limits.MAX_UNPACKED_BYTES or inflated(total, packed):
        yield _exhausts("the archive", f"{total >> 20} MiB from {packed} bytes")


def _member(member: zipfile.ZipInfo) -> Iterator[Finding]:
    # ZipFile cuts a name at a NUL and turns backslashes only on Windows.
    name = member.orig_filename
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or ":" in name:
        yield Finding(
            part=f"member {name!r}",
            found="a path",
            harm=Harm.LEAVES,
            remedy=_SAVE_AGAIN,
        )
    if (member.external_attr >> 16) & _TYPE_BITS == _LINK:
        yield Finding(part=f"member {name!r}", found="a link", harm=Harm.LEAVES, remedy=_SAVE_AGAIN)
    if inflated(member.file_size, member.compress_size):
        yield _exhausts(
            f"member {name!r}", f"{member.file_size >> 20} MiB from {member.compress_size} bytes"
        )
    if member.compress_type not in _METHODS or member.flag_bits & _ENCRYPTED:
        yield Finding(
            part=f"member {name!r}",
            found=f"compression {member.compress_type}, flags {member.flag_bits:#x}",
            harm=Harm.UNKNOWN,
            remedy=_SAVE_AGAIN,
        )


def inflated(size: int, packed: int) -> bool:
    """Says whether what is packed unpacks out of all proportion."""
    least = max(packed, 1)
    if size > limits.MAX_INFLATED_BYTES:
        return size > limits.FEW_TIMES * least
    return size > limits.FREE_BYTES and size > limits.MAX_RATIO * least


def _directory_bytes(file: BinaryIO) -> int:
    """Returns the size of the directory, which ZipFile reads whole; 0 where there is none."""
    end = file.seek(0, 2)
    start = max(end - _END_BYTES - _MAX_COMMENT, 0)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        return 0
    # APPNOTE.TXT, 4.3.16: the size of the central directory stands 12 bytes into its end record.
    (size,) = struct.unpack_from("<L", tail, at + 12)
    large = start + at - _LOCATOR_BYTES
    if large >= 0:
        file.seek(large)
        locator = file.read(_LOCATOR_BYTES)
        if locator.startswith(_LOCATOR):
            # 4.3.15: the locator names the place of the ZIP64 end record, whose 56 bytes hold the
            # directory's size at 40 (4.3.14).
            (record,) = struct.unpack_from("<Q", locator, 8)
            # ZipFile looks right before the locator, wherever the locator says it is.
            for place in (record, large - 56):
                if 0 <= place <= end - 56:
                    file.seek(place)
                    found = file.read(56)
                    if found.startswith(_LARGE_END):
                        size = max(size, struct.unpack_from("<Q", found, 40)[0])
    return int(size)


def _ambiguous(found: str) -> Finding:
    return Finding(part="the archive", found=found, harm=Harm.AMBIGUOUS, remedy=_SAVE_AGAIN)


def _exhausts(part: str, found: str) -> Finding:
    return Finding(part=part, found=found, harm=Harm.EXHAUSTS, remedy=_SAVE_AGAIN)
