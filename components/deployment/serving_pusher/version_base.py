"""The place of a model's versions: one interface for folders and buckets."""

from pathlib import Path
from typing import Protocol

from tfx_loop.contracts.deployment_record import Deployment, DeploymentRecord, DeploymentState
from tfx_loop.core import storage
from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.conditional_files import ConditionalFiles
from tfx_loop.deployment.serving_pusher.base_bucket import BucketBase
from tfx_loop.deployment.serving_pusher.base_folder import FolderBase
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder


class VersionBase(Protocol):
    """A base path that servers watch.

    Attributes:
        files: Its small files: the record and the lock.
        holds_candidates: Whether a version can be there before servers see its number.
    """

    files: ConditionalFiles
    holds_candidates: bool

    def prepare(self) -> None:
        """Makes it, where it has to be made."""

    def is_numbered(self, version: int) -> bool:
        """Says whether servers see the version."""

    def publish(self, order: ServerPushOrder, deployment: Deployment, *, candidate: bool) -> None:
        """Makes a version visible whole, if it is not yet."""

    def give_number(self, version: int) -> None:
        """Shows a candidate, if it is one, to servers that know numbers alone."""

    def withdraw(self, version: int) -> None:
        """Takes a version away, so that the server goes back to the one before."""

    def highest(self) -> int:
        """Returns the highest number that is shown; 0 for none."""

    def show_up_to(self, version: int) -> None:
        """Makes a version the highest number that is shown; raises ConfigError."""

    def require(self, version: int) -> None:
        """Checks that a version can serve; raises ConfigError."""

    def location(self, version: int) -> str:
        """Returns where a version lies; empty where it is gone."""


def open_base(base_path: str) -> VersionBase:
    """Returns a base path: a folder, `s3://` or `gs://`.

    Raises:
        ConfigError: It is another address, or its library is not installed.
    """
    if storage.is_remote(base_path):
        return BucketBase(open_bucket(base_path), base_path)
    return FolderBase(Path(base_path.removeprefix("file://")))


def kept_no_longer(record: DeploymentRecord, keep: int) -> list[int]:
    """Returns the versions whose folders may go, oldest first.

    Never one that serves or gets a share, the one that served before it, or one with a label.

    Args:
        record: The versions.
        keep: How many that serve no more are kept; 0 keeps all.
    """
    stable = record.stable
    needed = {*record.labels.values(), stable.replaced if stable else None}
    gone = record.in_state(
        DeploymentState.RETIRED, DeploymentState.ROLLED_BACK, DeploymentState.FAILED
    )
    old = sorted(gone - needed)
    return old[: max(len(old) - keep, 0)] if keep else []
