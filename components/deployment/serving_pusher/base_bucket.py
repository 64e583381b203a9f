"""A base path in a bucket, as TF Serving watches one.

A bucket has no rename. TF Serving sees a version with its first object, and tries to load it when
it looks next; without saved_model.pb it refuses, and tries again (`--max_num_load_retries`,
`--load_retry_interval_micros`). So that file comes last, and is the first that goes: what can be
loaded is whole.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfx_loop.contracts.deployment_record import Deployment, version_number
from tfx_loop.core.bucket.files import Bucket, BucketFiles
from tfx_loop.core.conditional_files import ConditionalFiles
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.serving_pusher.base_folder import HIDDEN_PREFIX, stage
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder
from tfx_loop.models.formats import SAVED_MODEL_FILE, SERVED_TFLITE_NAME

# Without one of these a folder is no model.
_LAST = (SERVED_TFLITE_NAME, SAVED_MODEL_FILE)


class BucketBase:
    """Versions below a prefix of a bucket."""

    holds_candidates = False

    def __init__(self, bucket: Bucket, base_path: str) -> None:
        """Touches nothing yet."""
        self._bucket, self._base_path = bucket, base_path
        self.files: ConditionalFiles = BucketFiles(bucket)

    def prepare(self) -> None:
        """Has nothing to make."""

    def is_numbered(self, version: int) -> bool:
        """Says whether servers can load the version."""
        return any(name.endswith(_LAST) for name in self._bucket.names(f"{version}/"))

    def publish(self, order: ServerPushOrder, deployment: Deployment, *, candidate: bool) -> None:
        """Copies a version, what makes it a model last; one that is continued is copied anew."""
        if candidate:
            raise ConfigError(
                f"Expected a folder for candidates, received {self._base_path}: push there to a "
                "server that serves the highest number, as TF Serving does."
            )
        if self.is_numbered(deployment.version):
            return
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            stage(order, deployment, folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            # False sorts before True: what makes a folder a model is uploaded last.
            for path in sorted(paths, key=lambda path: path.name in _LAST):
                name = f"{deployment.version}/{path.relative_to(folder).as_posix()}"
                self._bucket.upload(name, path)

    def give_number(self, version: int) -> None:
        """Has nothing to do: a version has its number from the start."""

    def withdraw(self, version: int) -> None:
        """Removes a version's objects, what makes it a model first."""
        for prefix in (f"{version}/", f"{HIDDEN_PREFIX}{version}/"):
            self._remove(list(self._bucket.names(prefix)))

    def highest(self) -> int:
        """Returns the highest number below the prefix; 0 for none."""
        return max(self._numbers(), default=0)

    def show_up_to(self, version: int) -> None:
        """Makes a version the highest number that is shown, for a server that serves that one.

        The objects of those above it get names that servers pass over; the version's own get theirs
        back if they had lost them.

        Raises:
            ConfigError: Its objects are gone.
        """
        if not self.is_numbered(version):
            self._move(f"{HIDDEN_PREFIX}{version}/", f"{version}/")
        self.require(version)
        for above in sorted(number for number in self._numbers() if number > version):
            self._move(f"{above}/", f"{HIDDEN_PREFIX}{above}/")

    def require(self, version: int) -> None:
        """Checks that a version can serve; raises ConfigError where its objects are gone."""
        if not self.is_numbered(version):
            raise ConfigError(f"Expected version {version} in {self._base_path}, found none.")

    def location(self, version: int) -> str:
        """Returns the prefix of a version, be it hidden; empty where its objects are gone."""
        if self.is_numbered(version):
            return f"{self._base_path.rstrip('/')}/{version}"
        hidden = f"{HIDDEN_PREFIX}{version}"
        there = any(name.endswith(_LAST) for name in self._bucket.names(f"{hidden}/"))
        return f"{self._base_path.rstrip('/')}/{hidden}" if there else ""

    def _numbers(self) -> set[int]:
        heads = {name.partition("/")[0] for name in self._bucket.names("")}
        return {number for head in heads if (number := version_number(head)) is not None}

    def _move(self, source: str, target: str) -> None:
        """Gives objects names below another prefix; one that was interrupted can be repeated."""
        names = list(self._bucket.names(source))
        for name in sorted(names, key=lambda name: name.endswith(_LAST)):
            self._bucket.copy(name, target + name.removeprefix(source))
        self._remove(names)

    def _remove(self, names: Sequence[str]) -> None:
        for name in sorted(names, key=lambda name: not name.endswith(_LAST)):
            self._bucket.remove(name)
