"""A base path in a file system: a version is shown whole, or taken away whole, by a rename."""

import os
import shutil
from pathlib import Path

from tfx_loop.contracts.deployment_record import (
    CANDIDATE_PREFIX,
    Deployment,
    version_number,
)
from tfx_loop.contracts.variant_note import VARIANT_NOTE, VariantNote
from tfx_loop.core import storage
from tfx_loop.core.conditional_files import ConditionalFiles, FolderFiles
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder
from tfx_loop.models.formats import SERVED_TFLITE_NAME, tflite_file
from tfx_loop.models.signing.verification import SIGNATURE

# Rolled back where folders are what routes.
HIDDEN_PREFIX = ".rolled-back-"


class FolderBase:
    """Version folders that a server watches on a disk, NFS, or a mounted volume."""

    holds_candidates = True

    def __init__(self, folder: Path) -> None:
        """Touches nothing yet."""
        self.folder = folder
        self.files: ConditionalFiles = FolderFiles(folder)

    def prepare(self) -> None:
        """Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def is_numbered(self, version: int) -> bool:
        """Says whether servers see the version."""
        return self._numbered(version).exists()

    def publish(self, order: ServerPushOrder, deployment: Deployment, *, candidate: bool) -> None:
        """Makes a version visible whole: copied beside, its variant noted, synced, renamed."""
        version = deployment.version
        target = self._candidate(version) if candidate else self._numbered(version)
        if target.exists():
            return
        staged = self.folder / f".staging-{version}"
        shutil.rmtree(staged, ignore_errors=True)
        try:
            stage(order, deployment, staged)
            for path in (*staged.rglob("*"), staged):
                storage.sync(path)
            os.rename(staged, target)
            storage.sync(self.folder)
        except OSError:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def give_number(self, version: int) -> None:
        """Shows a candidate, if it is one, to servers that know numbers alone."""
        if not self.is_numbered(version):
            os.rename(self._candidate(version), self._numbered(version))
            storage.sync(self.folder)

    def withdraw(self, version: int) -> None:
        """Takes a version away whole, so that the server goes back to the one before."""
        removed = self.folder / f".withdrawn-{version}"
        for left in (removed, self.folder / f".staging-{version}"):
            shutil.rmtree(left, ignore_errors=True)
        hidden = self.folder / f"{HIDDEN_PREFIX}{version}"
        for held in (self._numbered(version), self._candidate(version), hidden):
            if held.exists():
                os.rename(held, removed)
                shutil.rmtree(removed)

    def highest(self) -> int:
        """Returns the highest number that is shown; 0 for none."""
        return max((version_number(path.name) or 0 for path in self.folder.iterdir()), default=0)

    def show_up_to(self, version: int) -> None:
        """Makes a version the highest number that is shown, for a server that serves that one.

        Those above it are hidden, not removed; the version is shown again if it was hidden.

        Raises:
            ConfigError: Its folder is gone.
        """
        hidden = self.folder / f"{HIDDEN_PREFIX}{version}"
        if hidden.exists() and not self.is_numbered(version):
            os.rename(hidden, self._numbered(version))
        self.require(version)
        for path in list(self.folder.iterdir()):
            if (version_number(path.name) or 0) > version:
                os.rename(path, self.folder / f"{HIDDEN_PREFIX}{path.name}")
        storage.sync(self.folder)

    def require(self, version: int) -> None:
        """Checks that a version can serve; raises ConfigError where its folder is gone."""
        if not self._numbered(version).is_dir():
            raise ConfigError(
                f"Expected the folder of version {version} in {self.folder} to roll back to, "
                "found none: it was kept no longer. Push its model again."
            )

    def location(self, version: int) -> str:
        """Returns the folder of a version, be it hidden; empty where it is gone."""
        places = (self._numbered(version), self.folder / f"{HIDDEN_PREFIX}{version}")
        return next((str(place) for place in places if place.is_dir()), "")

    def _numbered(self, version: int) -> Path:
        return self.folder / str(version)

    def _candidate(self, version: int) -> Path:
        return self.folder / f"{CANDIDATE_PREFIX}{version}"


def stage(order: ServerPushOrder, deployment: Deployment, folder: Path) -> None:
    """Makes a version's folder: the model, its variant's note, its signature."""
    shutil.copytree(order.model_dir, folder)
    file = tflite_file(folder)
    if file is not None:
        os.rename(file, folder / SERVED_TFLITE_NAME)
    note = VariantNote(variant=deployment.variant, examples_input=order.examples_input)
    VARIANT_NOTE.write(note, folder)
    # One that came with the model is of its files before the note.
    (folder / SIGNATURE).unlink(missing_ok=True)
    if order.sign is not None:
        order.sign(folder, order.model_name)
