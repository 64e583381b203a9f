"""Record of erasures: what was removed and when, as lines of JSON without the values."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.storage import PRIVATE_FILE, is_remote

RECORD_FILE = "erasures.jsonl"


def record_beside(path: str) -> str:
    """Returns the record of a folder, or of the folder that a file lies in.

    Raises:
        ConfigError: It is remote: objects of buckets take no lines behind others.
    """
    if is_remote(path):
        raise ConfigError(
            f"Expected --record FILE, as {path} is not on this machine and keeps no record. "
            "Name a file here."
        )
    first = Path(path.removeprefix("file://"))
    return str((first if first.is_dir() else first.parent) / RECORD_FILE)


def add_line(path: str, content: Mapping[str, Any]) -> None:
    """Adds a line, which is on the disk when this returns."""
    # Appended in one write: lines of two erasures at once do not mix.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.write(handle, f"{json.dumps(content)}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
