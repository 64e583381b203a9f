"""Small files on a disk or behind a remote URI, written whole or not at all.

Local paths use the standard library. A URI with a scheme (`gs://`, `hdfs://`) goes through TFX's
fileio, which is imported only then.

Files that hold rows of people are private: they are their owner's alone (0600), and so are the
folders that hold nothing else (0700). Who else is to read them gets a copy, not a looser mode.
"""

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def is_remote(uri: str) -> bool:
    """Says whether `uri` needs a remote file system."""
    return "://" in uri and not uri.startswith("file://")


def read_bytes(uri: str) -> bytes:
    """Returns the whole content of a file.

    Raises:
        FileNotFoundError: There is none; of a remote URI, too.
    """
    if is_remote(uri):
        from tfx.dsl.io import fileio

        # Each remote file system has an error of its own for this; callers know the disk's.
        if not fileio.exists(uri):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        with fileio.open(uri, "rb") as file:
            return bytes(file.read())
    return Path(uri.removeprefix("file://")).read_bytes()


def write_bytes(uri: str, content: bytes, *, private: bool = False) -> None:
    """Writes a file whole: a reader sees the old content or the new one, never a part.

    Args:
        uri: Where to.
        content: What of.
        private: For the owner's eyes alone; of a remote file its bucket's rights decide.
    """
    if is_remote(uri):
        from tfx.dsl.io import fileio

        fileio.makedirs(os.path.dirname(uri))
        with fileio.open(uri, "wb") as file:
            file.write(content)
        return
    path = Path(uri.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            # Before the rename: after a power cut the name would lead to an empty file.
            os.fsync(file.fileno())
        # mkstemp makes files that the owner alone may read: other users read artifacts and reports.
        os.chmod(scratch, PRIVATE_FILE if private else 0o644)
        os.replace(scratch, path)
    # An interrupt leaves no scratch file behind, either.
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def private_folder(uri: str | Path) -> None:
    """Makes a folder for private files; one that is there already loses the rights of others.

    A folder that belongs to somebody else stays as its owner set it, as does a remote one.
    """
    if is_remote(str(uri)):
        return
    path = Path(str(uri).removeprefix("file://"))
    for folder in (*reversed(path.parents), path):
        # Each by itself: with `parents`, mkdir gives its mode to the last one alone.
        if not folder.is_dir():
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if path.stat().st_uid == os.geteuid():
        path.chmod(PRIVATE_FOLDER)


def sync(path: Path) -> None:
    """Makes the disk keep what was written to a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(uri: str) -> dict[str, Any]:
    """Returns the JSON object of a file.

    Raises:
        DataError: The file holds no JSON object.
    """
    return json_object(read_bytes(uri), uri)


def json_object(text: bytes, where: str) -> dict[str, Any]:
    """Returns the JSON object in a text; raises as `read_json`."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"Expected a JSON object in {where}, received: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"Expected a JSON object in {where}, received {type(content).__name__}.")
    return content


def write_json(uri: str, content: dict[str, Any]) -> None:
    """Writes a JSON object whole, keys in the order given; NaN is refused."""
    write_bytes(uri, json_text(content))


def json_text(content: dict[str, Any]) -> bytes:
    """Returns what `write_json` writes."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
