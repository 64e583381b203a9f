"""Files of a folder, on a disk or behind a remote URI."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import is_remote


def list_folder(uri: str) -> list[str]:
    """Returns the sorted names in a folder; none when it does not exist."""
    if is_remote(uri):
        from tfx.dsl.io import fileio

        if not fileio.isdir(uri):
            return []
        return sorted(name.rstrip("/") for name in fileio.listdir(uri))
    try:
        return sorted(os.listdir(_path(uri)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def walk_files(uri: str, suffix: str) -> Iterator[str]:
    """Yields the files below a folder that end in `suffix`, in a fixed order.

    Names that start with a dot or an underscore are skipped: they are scratch files.
    """
    for name in list_folder(uri):
        if name.startswith((".", "_")):
            continue
        child = join(uri, name)
        if name.endswith(suffix):
            yield child
        elif is_folder(child):
            yield from walk_files(child, suffix)


def refuse_unlisted(error: OSError) -> NoReturn:
    """Raises DataError for a folder that cannot be listed; `os.walk` would pass it over."""
    raise DataError(
        f"Expected a folder that can be read at {error.filename}, received: {error.strerror}. What "
        "is in it is not known: run this as a user who may read it, or name the folders beside it."
    ) from error


def is_folder(uri: str) -> bool:
    """Says whether a folder is there."""
    if is_remote(uri):
        from tfx.dsl.io import fileio

        return bool(fileio.isdir(uri))
    return Path(_path(uri)).is_dir()


def join(uri: str, name: str) -> str:
    """Returns the address of a name inside a folder."""
    return f"{uri.rstrip('/')}/{name}"


def _path(uri: str) -> str:
    return uri.removeprefix("file://")
