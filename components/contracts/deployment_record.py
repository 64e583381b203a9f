"""What is serving now, and what served before?

The deployment record is a small JSON file beside the numbered versions. It answers on every
runner, also where no handle on ML Metadata exists. The champion is the version that it calls
stable; never "the latest blessed".
"""

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tfx_loop.core import storage
from tfx_loop.core.errors import DataError

FILE_NAME = "deployment.json"
SCHEMA_VERSION = 1


class DeploymentState(str, Enum):
    """What became of a version."""

    PUSHING = "pushing"
    STABLE = "stable"
    RETIRED = "retired"
    FAILED = "failed"


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
        reason: Why it failed; empty otherwise.
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
    """All versions that were ever pushed to one base path, oldest first."""

    model_name: str
    versions: tuple[Deployment, ...] = ()

    @property
    def stable(self) -> Deployment | None:
        """The champion: the version that should be serving."""
        return next((v for v in reversed(self.versions) if v.state is DeploymentState.STABLE), None)

    @property
    def next_version(self) -> int:
        """A number that no version, not even a failed one, has had."""
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

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object of the file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model_name": self.model_name,
            "stable": self.stable.version if self.stable else None,
            "versions": [{**dataclasses.asdict(v), "state": v.state.value} for v in self.versions],
        }


def read_record(base_path: str, model_name: str) -> DeploymentRecord:
    """Returns the record beside the versions; an empty one before the first push.

    Raises:
        DataError: The file is of another model, another schema, or damaged.
    """
    uri = os.path.join(base_path, FILE_NAME)
    try:
        content = storage.read_json(uri)
    except FileNotFoundError:
        return DeploymentRecord(model_name)
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"Expected schema_version {SCHEMA_VERSION} in {uri}, "
            f"received {content.get('schema_version')!r}. Push with the release that wrote it."
        )
    if content.get("model_name") != model_name:
        raise DataError(
            f"Expected the deployment record of {model_name!r} in {uri}, received that of "
            f"{content.get('model_name')!r}. Give each model a base path of its own."
        )
    try:
        versions = tuple(
            Deployment(**{**entry, "state": DeploymentState(entry["state"])})
            for entry in content["versions"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"Expected a deployment record in {uri}, received: {error!r}.") from error
    return DeploymentRecord(model_name, versions)


def write_record(base_path: str, record: DeploymentRecord) -> None:
    """Replaces the record whole."""
    storage.write_json(os.path.join(base_path, FILE_NAME), record.to_json())


def model_digest(folder: Path) -> str:
    """Returns `sha256:` over the names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\0".encode())
    return f"sha256:{digest.hexdigest()}"
