"""The folders of a base path that are versions."""

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.contracts.deployment_record import version_number

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VersionFolder:
    """A folder with a model.

    Attributes:
        path: Where it is.
        identity: Changes when the folder is replaced or files come to it.
    """

    path: Path
    identity: tuple[int, ...] = ()


def list_versions(base_path: str | Path, prefix: str = "") -> dict[int, VersionFolder]:
    """Returns the numbered folders of a base path; other names are none of ours.

    Args:
        base_path: Where they are.
        prefix: What stands before their numbers.
    """
    folders = {}
    try:
        # In the order of names: of 07 and 7 the last one is taken, as in TF Serving.
        for entry in sorted(os.scandir(base_path), key=lambda found: found.name):
            if not entry.name.startswith(prefix):
                continue
            name = entry.name.removeprefix(prefix)
            number = version_number(name)
            if number is None and name.isascii() and name.isdecimal():
                _warn_once(entry.path)
            if number is not None and entry.is_dir():
                identity = _identity(entry.path)
                folders[number] = VersionFolder(path=Path(entry.path), identity=identity)
    except (FileNotFoundError, NotADirectoryError):
        # Not there yet, or a version went away while it was looked at: the next poll sees more.
        return folders
    return folders


@functools.lru_cache(maxsize=256)
def _warn_once(path: str) -> None:
    _LOG.warning("folder=%s state=ignored reason=number_beyond_int64", path)


def _identity(folder: str) -> tuple[int, ...]:
    """Returns what changes with each file that comes or grows, also below sub-folders.

    A version that is copied file by file fails to load at first, and is tried again when more of it
    is there.
    """
    stat = os.stat(folder)
    parts = [stat.st_dev, stat.st_ino]
    for root, folders, files in os.walk(folder):
        # The order of a listing may differ from one to the next.
        folders.sort()
        for name in sorted(files):
            held = os.stat(os.path.join(root, name))
            parts += [held.st_ino, held.st_size, held.st_mtime_ns]
    return tuple(parts)
