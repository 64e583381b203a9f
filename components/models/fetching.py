"""Copies of files of a Model artifact on this machine."""

import os
from collections.abc import Sequence
from pathlib import Path

from tfx_loop.core import storage


def fetch(model_uri: str, names: Sequence[str], target: Path) -> Path | None:
    """Copies the first file of these names from a Model's serving folder; None without one."""
    # Imported late: models/ is read by commands that start without TFX.
    from tfx.dsl.io import fileio
    from tfx.utils import path_utils

    folder = path_utils.serving_model_path(model_uri)
    uris = [os.path.join(folder, name) for name in names]
    found = next((uri for uri in uris if fileio.exists(uri)), None)
    if found is None:
        return None
    target.write_bytes(storage.read_bytes(found))
    return target


def local_folder(uri: str, scratch: Path) -> Path:
    """Returns a model's folder on this machine: itself, or a copy of a remote one in `scratch`."""
    if not storage.is_remote(uri):
        return Path(uri.removeprefix("file://"))
    from tfx.dsl.io import fileio

    for folder, _, names in fileio.walk(uri):
        place = scratch / os.path.relpath(folder, uri)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / name).write_bytes(storage.read_bytes(os.path.join(folder, name)))
    return scratch
