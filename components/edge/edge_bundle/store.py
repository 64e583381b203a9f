"""Folders and buckets that devices read from: nothing is ever half there.

A folder (a disk, NFS, a mounted volume) gets a bundle by one rename and lets one publisher at a
time change the record. A bucket has neither rename nor lock: a bundle is complete there when its
manifest, uploaded last, is; a record that another publisher changed meanwhile is noticed and the
change is made again on top of it.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tfx_loop.core import storage
from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.edge.edge_bundle.bundle import Bundle, open_bundle
from tfx_loop.edge.edge_bundle.on_device import MANIFEST, SIGNATURE

BUNDLES = "bundles"
_LOCK = ".lock"


class Store(Protocol):
    """A place that devices read from."""

    @property
    def base_path(self) -> str:
        """Address of the place."""

    def read(self, name: str) -> bytes | None:
        """Returns a small file; None when it is not there."""

    def write(self, name: str, content: bytes) -> None:
        """Replaces a small file whole."""

    def put(self, bundle: Bundle) -> None:
        """Makes a bundle readable, whole, under its digest; one that is there already stays."""

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other publishers out, where the place can."""


def open_store(base_path: str) -> Store:
    """Returns the store of a folder or of a URI such as `gs://devices/digits`."""
    if storage.is_remote(base_path):
        return BucketStore(base_path)
    return FolderStore(base_path.removeprefix("file://"))


class FolderStore:
    """A folder of a file system with atomic renames and locks."""

    def __init__(self, base_path: str) -> None:
        self.base_path = base_path
        self._base = Path(base_path)

    def read(self, name: str) -> bytes | None:
        """Returns a small file; None when it is not there."""
        try:
            return (self._base / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replaces a small file whole: written beside, synced, renamed."""
        storage.write_bytes(str(self._base / name), content)
        storage.sync(self._base)

    def put(self, bundle: Bundle) -> None:
        """Copies a bundle beside its place, syncs, verifies and renames it.

        One that is there and damaged is put aside first.
        """
        folder = self._base / BUNDLES
        target = folder / bundle.digest
        if target.exists():
            try:
                open_bundle(target, bundle.digest)
                self._put_signature(bundle, target)
                return
            except ModelError:
                # Put aside and not deleted: someone may want to know what happened to it.
                os.replace(target, folder / f".damaged-{bundle.digest}-{uuid.uuid4().hex}")
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / f".staging-{bundle.digest}-{uuid.uuid4().hex}"
        try:
            staged.mkdir()
            for name in bundle.files:
                shutil.copyfile(bundle.folder / name, staged / name)
                # Before the rename: after a power cut the name could be there and the content not.
                storage.sync(staged / name)
            storage.sync(staged)
            open_bundle(staged, bundle.digest)
            try:
                os.rename(staged, target)
            except OSError:
                # Another publisher of the same bundle was faster; is it whole?
                open_bundle(target, bundle.digest)
            storage.sync(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _put_signature(self, bundle: Bundle, target: Path) -> None:
        """Gives a bundle that is there already the signature that it has now: keys change."""
        if SIGNATURE in bundle.files:
            content = (bundle.folder / SIGNATURE).read_bytes()
            storage.write_bytes(str(target / SIGNATURE), content)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Waits for the lock of the folder; the kernel frees it when its holder dies.

        What publishers that were killed left half-copied is removed meanwhile.
        """
        self._base.mkdir(parents=True, exist_ok=True)
        with open(self._base / _LOCK, "a", encoding="ascii") as lock:
            # flock and not a file that exists: the kernel lets go of it when its holder is killed.
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in (self._base / BUNDLES).glob(".staging-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield


class BucketStore:
    """A remote folder through TFX's fileio."""

    def __init__(self, base_path: str) -> None:
        self.base_path = base_path.rstrip("/")

    def read(self, name: str) -> bytes | None:
        """Returns an object; None when it is not there."""
        from tfx.dsl.io import fileio

        uri = f"{self.base_path}/{name}"
        return storage.read_bytes(uri) if fileio.exists(uri) else None

    def write(self, name: str, content: bytes) -> None:
        """Replaces an object; buckets do so whole."""
        storage.write_bytes(f"{self.base_path}/{name}", content)

    def put(self, bundle: Bundle) -> None:
        """Uploads the files, reads each back, and uploads the manifest last.

        Raises:
            DataError: What is read back is not what was written.
        """
        # A device that finds the manifest takes the rest to be there.
        for name in (*(n for n in bundle.files if n != MANIFEST), MANIFEST):
            content = (bundle.folder / name).read_bytes()
            place = f"{BUNDLES}/{bundle.digest}/{name}"
            # An upload that was interrupted goes on where it stopped.
            if self.read(place) == content:
                continue
            self.write(place, content)
            if self.read(place) != content:
                raise DataError(
                    f"Expected the {len(content)} bytes of {name} that were written to "
                    f"{self.base_path}/{place}, received others. Publish again."
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A bucket has no lock; `publish.py` looks for changes of others instead."""
        yield
