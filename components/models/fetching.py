"""Folders of artifacts on this machine: copies of remote ones, and places that are published.

What opens a model (converters, TFLite's runtime, children without a network) takes folders of a
disk alone. A local artifact is taken where it lies.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfx_loop.core import storage


def fetch(model_uri: str, names: Sequence[str], target: Path) -> Path | None:
    """Returns the first file of these names in a Model's serving folder, under another name.

    Args:
        model_uri: The Model.
        names: Of the file; None is returned where there is none.
        target: What it is called then: a copy of a remote file, a link to one of this machine.
    """
    # Imported late: models/ is read by commands that start without TFX.
    from tfx.dsl.io import fileio
    from tfx.utils import path_utils

    # path_utils knows the folders of older TFX releases too, which a store may still hold.
    folder = path_utils.serving_model_path(model_uri)
    uris = [os.path.join(folder, name) for name in names]
    found = next((uri for uri in uris if fileio.exists(uri)), None)
    if found is None:
        return None
    if storage.is_remote(found):
        target.write_bytes(storage.read_bytes(found))
    else:
        # The guard looks at it first: it may be a pipe, or larger than the disk.
        target.symlink_to(Path(found.removeprefix("file://")).absolute())
    return target


def pass_on(model_uri: str, name: str, target_uri: str) -> bool:
    """Copies a folder of one Model's serving folder into that of another; says whether it is there.

    Args:
        model_uri: The Model that has it, or not.
        name: Of the folder.
        target_uri: The Model that gets it.
    """
    from tfx.dsl.io import fileio
    from tfx.utils import io_utils, path_utils

    folder = os.path.join(path_utils.serving_model_path(model_uri), name)
    if not fileio.exists(folder):
        return False
    io_utils.copy_dir(folder, os.path.join(path_utils.serving_model_dir(target_uri), name))
    return True


def local_folder(uri: str, scratch: Path) -> Path:
    """Returns a model's folder on this machine: itself, or a copy of a remote one in `scratch`."""
    if not storage.is_remote(uri):
        return Path(uri.removeprefix("file://"))
    from tfx.dsl.io import fileio

    for found, _, names in fileio.walk(uri):
        # TFX's fileio walks in bytes or text, by file system.
        folder = os.fsdecode(found)
        place = scratch / os.path.relpath(folder, uri)
        place.mkdir(parents=True, exist_ok=True)
        for name in map(os.fsdecode, names):
            # In pieces: a model may be larger than the memory that is left.
            fileio.copy(os.path.join(folder, name), str(place / name), overwrite=True)
    return scratch


@contextmanager
def on_this_machine(uri: str) -> Iterator[Path]:
    """Yields a folder of this machine with what lies at `uri`; a copy is there for the while."""
    if not storage.is_remote(uri):
        yield local_folder(uri, Path())
        return
    with tempfile.TemporaryDirectory(prefix="loop-model-") as scratch:
        yield local_folder(uri, Path(scratch))


@contextmanager
def published(uri: str) -> Iterator[Path]:
    """Yields a folder of this machine whose content lies at `uri` once nothing was raised."""
    if not storage.is_remote(uri):
        yield Path(uri.removeprefix("file://"))
        return
    from tfx.utils import io_utils

    with tempfile.TemporaryDirectory(prefix="loop-model-") as scratch:
        yield Path(scratch)
        io_utils.copy_dir(scratch, uri)
