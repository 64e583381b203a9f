"""Folders that somebody wrote for themselves: what they take, and their removal, on disk or bucket.

TensorFlow and TFX, whose file systems know buckets too, are not needed: a command that only
measures starts in a second.
"""

import os
import shutil
from pathlib import Path

from tfx_loop.core.bucket.client import SCHEMES, open_bucket
from tfx_loop.core.storage import is_remote


def is_reachable(address: str) -> bool:
    """Says whether a folder is one of this machine or of a bucket that can be asked."""
    return not is_remote(address) or address.partition("://")[0] in SCHEMES


def folder_bytes(address: str) -> int | None:
    """Returns what the files of a folder take; None where there is no such folder.

    A link in place of a folder is none: what it leads to is another's.

    Raises:
        ConfigError: The bucket's library is not installed.
        OSError: The bucket does not answer.
    """
    if is_remote(address):
        sizes = [size for _, size in open_bucket(address).sized("")]
        return sum(sizes) if sizes else None
    folder = Path(address)
    if folder.is_symlink() or not folder.is_dir():
        return None
    return sum(
        os.lstat(os.path.join(path, name)).st_size
        for path, _, names in os.walk(folder)
        for name in names
    )


def remove_folder(address: str) -> bool:
    """Removes a folder with its files; says whether there was one that is nobody else's.

    Raises:
        OSError: Something could not be removed; what was is gone, and the next call goes on.
    """
    if is_remote(address):
        bucket = open_bucket(address)
        names = list(bucket.names(""))
        for name in names:
            bucket.remove(name)
        return bool(names)
    if Path(address).is_symlink() or not Path(address).is_dir():
        return False
    shutil.rmtree(address)
    return True
