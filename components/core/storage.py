"""Small files on a disk or behind a remote URI, written whole or not at all.

Local paths use the standard library. A URI with a scheme (`gs://`, `hdfs://`) goes through TFX's
fileio, which is imported only then.
"""

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError


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


def write_bytes(uri: str, content: bytes) -> None:
    """Writes a file whole: a reader sees the old content or the new one, never a part."""
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
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


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
