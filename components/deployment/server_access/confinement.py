"""Confinement of a server's writes by the kernel, before anything of others is opened."""

import logging
import os
import tempfile
from collections.abc import Iterable

from tfx_loop.core.child_process import sandbox


def confine(log: logging.Logger, folders: Iterable[str | None]) -> None:
    """Has the kernel refuse writes elsewhere than in these folders and in that of temporary files.

    Args:
        log: Is told where the kernel cannot.
        folders: Of what serving writes; None for what it does not.
    """
    written = [tempfile.gettempdir(), *(folder for folder in folders if folder)]
    if refused := sandbox.confine_writes(written):
        log.warning("server confined=no kernel_refused=%s", refused)


def folder_of(path: str | None, flag: str) -> str | None:
    """Returns the folder that a file is to be written to, and makes it where it lacks.

    Raises:
        RuntimeError: It cannot be written there; said now, and not when the server has started.
    """
    if not path:
        return None
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise RuntimeError(f"{flag}={path} cannot be written: {error}") from error
    if os.path.isdir(path):
        raise RuntimeError(f"{flag}={path} cannot be written: it is a folder. Give a file in it.")
    if not os.access(folder, os.W_OK):
        raise RuntimeError(f"{flag}={path} cannot be written: nothing can be written to {folder}.")
    return folder
