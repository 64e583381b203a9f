"""The content of `deployment.json`: what serves now, and what served before.

The deployment record is a small file beside the numbered versions. It answers on every
runner, also where no handle on ML Metadata exists. The champion is the version that it calls
stable; never "the latest blessed".
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

from tfx_loop.contracts.rollout_record import RolloutEvent
from tfx_loop.core import storage
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.conditional_files import ConditionalFiles, TaggedContent
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.json_codec import default_left_out
from tfx_loop.core.json_file import JsonFile


class DeploymentState(str, Enum):
    """What became of a version.

    A server that reads the record gives all traffic to the STABLE version, save the share of a
    CANARY. A version that no record knows, as another pusher's, serves by its number.
    """

    PUSHING = "pushing"
    CANARY = "canary"
    STABLE = "stable"
    RETIRED = "retired"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One version that was pushed.

    Attributes:
        version: Number of the folder below the base path.
        model_digest: SHA-256 over names and contents of the model's files.
        model_uri: The Model artifact.
        reference_profile_uri: The ReferenceProfile artifact; empty if none was given.
        variant: Which optimisation it is, such as `float` or `int8`.
        run_id: Pipeline run that pushed it.
        pushed_at_ms: When the push began, milliseconds UTC.
        replaced: Version that was stable before; None for the first.
        state: What became of it.
        reason: Why it failed or was rolled back; empty otherwise.
    """

    version: int
    model_digest: str
    model_uri: str
    reference_profile_uri: str
    variant: str
    run_id: str
    pushed_at_ms: int
    replaced: int | None
    state: DeploymentState
    reason: str = ""


@dataclass(frozen=True)
class DeploymentRecord:
    """All versions that were ever pushed to one base path, oldest first.

    Attributes:
        model_name: Name that they are served under.
        versions: The versions.
        canary_share: The share of requests that a CANARY gets, 0 to 1.
        labels: Names that clients may ask for, beside `stable` and `canary`, with their versions.
        history: Promotions and roll-backs, oldest first.
        routes: Whether the server's traffic goes by this record, and not by the numbers of folders.
        pinned_at: gRPC address of the TF Serving that is told which versions to serve; empty where
            none is.
        endpoint: `REGION/NAME` of the SageMaker endpoint that serves the stable version; empty
            where a server does.
    """

    # Readers without the library take the stable version's number from the file.
    JSON_KEYS: ClassVar = {
        "model_name": "model_name",
        "stable": "stable_version",
        "canary_share": "canary_share",
        "labels": "labels",
        "versions": "versions",
        "history": "history",
        "routes": "routes",
        "pinned_at": "pinned_at",
        "endpoint": "endpoint",
    }

    model_name: str
    versions: tuple[Deployment, ...] = ()
    canary_share: float = dataclasses.field(default=0.0, metadata=default_left_out())
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict, metadata=default_left_out())
    history: tuple[RolloutEvent, ...] = dataclasses.field(default=(), metadata=default_left_out())
    routes: bool = dataclasses.field(default=False, metadata=default_left_out())
    pinned_at: str = dataclasses.field(default="", metadata=default_left_out())
    endpoint: str = dataclasses.field(default="", metadata=default_left_out())

    @property
    def stable(self) -> Deployment | None:
        """The champion: the version that should be serving."""
        # with_version keeps one at most; of two in a file that was edited by hand the newer one
        # serves.
        return next((v for v in reversed(self.versions) if v.state is DeploymentState.STABLE), None)

    @property
    def stable_version(self) -> int | None:
        """Number of the champion; None where nothing serves."""
        return self.stable.version if self.stable else None

    @property
    def canary(self) -> Deployment | None:
        """The version that gets a share of the traffic beside the champion."""
        return next((v for v in self.versions if v.state is DeploymentState.CANARY), None)

    def version(self, number: int) -> Deployment:
        """Returns a version.

        Raises:
            ConfigError: It was never pushed here.
        """
        found = next((v for v in self.versions if v.version == number), None)
        if found is None:
            raise ConfigError(
                f"Expected a version of {self.model_name!r} that was pushed, received {number}. "
                f"Pushed: {', '.join(str(v.version) for v in self.versions) or 'none'}."
            )
        return found

    def in_state(self, *states: DeploymentState) -> frozenset[int]:
        """Returns the numbers of the versions in some states."""
        return frozenset(v.version for v in self.versions if v.state in states)

    def with_event(self, action: str, version: int, detail: str, now_ms: int) -> "DeploymentRecord":
        """Returns the record with one more line of its history."""
        event = RolloutEvent(
            revision=len(self.history) + 1,
            at_ms=now_ms,
            action=action,
            version=version,
            detail=detail,
        )
        return dataclasses.replace(self, history=(*self.history, event))

    @property
    def next_version(self) -> int:
        """A number that no version, not even a failed one, has had."""
        # A client or a device may still hold what it got under the number of a failed version.
        return max((v.version for v in self.versions), default=0) + 1

    def with_version(self, deployment: Deployment) -> "DeploymentRecord":
        """Returns the record with one version added or replaced.

        When it is stable, the version that was stable before becomes retired.
        """
        kept = [v for v in self.versions if v.version != deployment.version]
        if deployment.state is DeploymentState.STABLE:
            kept = [
                dataclasses.replace(v, state=DeploymentState.RETIRED)
                if v.state is DeploymentState.STABLE
                else v
                for v in kept
            ]
        versions = sorted([*kept, deployment], key=lambda v: v.version)
        return dataclasses.replace(self, versions=tuple(versions))


# A version that is being proven: servers that look at numbered folders alone do not see it.
CANDIDATE_PREFIX = ".candidate-"
# What a version may be in requests and in the log; TF Serving passes over larger ones, too.
_LARGEST_VERSION = 2**63 - 1
# The lock of a base path, in it: one push at a time.
PUSH_LOCK = ".push.json"
DEPLOYMENT_RECORD = JsonFile(
    name="deployment.json",
    kind=DeploymentRecord,
    title="a deployment record",
    remedy="Push with the release that wrote it.",
)


def version_number(name: str) -> int | None:
    """Returns the version that a folder of this name holds; None for one that holds none."""
    # isdecimal alone takes the digits of every script, and TF Serving loads no such folder.
    if not (name.isascii() and name.isdecimal()) or int(name) > _LARGEST_VERSION:
        return None
    return int(name)


def read_record(base_path: str, model_name: str) -> DeploymentRecord:
    """Returns the record beside the versions; an empty one before the first push.

    Raises:
        DataError: The file is of another model, another schema, or damaged.
    """
    return _of_model(find_record(base_path), base_path, model_name)


def find_record(base_path: str) -> DeploymentRecord | None:
    """Returns the record of a folder or bucket, whichever model it is of; None if there is none.

    Raises:
        DataError: The file has another schema, or is damaged.
    """
    return _record_in(conditional_files(base_path).read(DEPLOYMENT_RECORD.name), base_path)


def _record_in(found: TaggedContent, base_path: str) -> DeploymentRecord | None:
    path = DEPLOYMENT_RECORD.path(base_path)
    if found.content is None:
        return None
    return DEPLOYMENT_RECORD.value(storage.json_object(found.content, path), path)


class SharedRecord:
    """A record that one writer changes while others may try to: no change of theirs is lost."""

    def __init__(self, files: ConditionalFiles, base_path: str, model_name: str) -> None:
        """Reads it; raises as `read_record`."""
        self._files = files
        found = files.read(DEPLOYMENT_RECORD.name)
        self._tag = found.tag
        self.content = _of_model(_record_in(found, base_path), base_path, model_name)

    def write(self, record: DeploymentRecord) -> None:
        """Replaces the record that was read, or written by this object last.

        Raises:
            WriteConflict: Another writer replaced it meanwhile; nothing was changed.
        """
        text = storage.json_text(DEPLOYMENT_RECORD.content(record))
        self._tag = self._files.replace(DEPLOYMENT_RECORD.name, text, self._tag)
        self.content = record


def _of_model(record: DeploymentRecord | None, base_path: str, model_name: str) -> DeploymentRecord:
    if record is None:
        return DeploymentRecord(model_name)
    if record.model_name != model_name:
        raise DataError(
            f"Expected the deployment record of {model_name!r} in "
            f"{DEPLOYMENT_RECORD.path(base_path)}, received that of {record.model_name!r}. Give "
            "each model a base path of its own."
        )
    return record


def model_digest(folder: Path) -> str:
    """Returns `sha256:` over the names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        # A zero byte ends each part, as no file name holds one: moving a letter from one to the
        # next gives another digest.
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\0".encode())
    return f"sha256:{digest.hexdigest()}"
