"""The content of `rollout.json` and `latest.json`: which devices run which version of a bundle.

The record is the publisher's; the pointer is derived from it and all that devices read. They have
`on_device.py` alone, which reads the pointer by its keys: both are written in its schema.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.json_file import JsonFile

_DIGEST = re.compile(r"[0-9a-f]{64}")


class RolloutState(str, Enum):
    """What became of a version."""

    CANDIDATE = "candidate"
    STABLE = "stable"
    RETIRED = "retired"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True)
class Stage:
    """One step of a roll-out.

    Attributes:
        group: Group of devices that gets the version.
        percent: Share of the group, above 0 to 100.
    """

    group: str
    percent: float

    def __post_init__(self) -> None:
        if not self.group or not 0.0 < self.percent <= 100.0:
            raise ConfigError(
                f"Expected a group and a percentage above 0 to 100 for a stage, received "
                f"{self.group!r} and {self.percent!r}."
            )


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version that was published.

    Attributes:
        version: Number that no other version has had.
        digest: Digest of its bundle.
        model_uri: The Model artifact that was pushed; empty when none is known.
        run_id: Pipeline run that published it.
        published_at_ms: When, milliseconds UTC.
        stage: How many stages it has reached.
        stages: The stages of its roll-out.
        replaced: Version that was stable when it became stable; None for the first.
        state: What became of it.
        reason: Why it was rolled back; empty otherwise.
    """

    version: int
    digest: str
    model_uri: str
    run_id: str
    published_at_ms: int
    stages: tuple[Stage, ...]
    stage: int
    replaced: int | None
    state: RolloutState
    reason: str = ""

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.digest):
            raise DataError(f"Expected a bundle's digest, received {self.digest!r}.")

    def percent(self) -> dict[str, float]:
        """Returns the share of each group that the stages reached so far include."""
        reached: dict[str, float] = {}
        for stage in self.stages[: self.stage]:
            # Never fewer devices at a later stage, whatever the stages say.
            reached[stage.group] = max(stage.percent, reached.get(stage.group, 0.0))
        return reached


@dataclass(frozen=True, kw_only=True)
class RolloutEvent:
    """One line of the history.

    Attributes:
        revision: Number of the change.
        at_ms: When, milliseconds UTC.
        action: `publish`, `promote`, `stable` or `roll_back`.
        version: Of which version.
        detail: The stage, or the reason.
    """

    revision: int
    at_ms: int
    action: str
    version: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class PointedVersion:
    """A version that devices may run, and the digest of its bundle."""

    version: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class PointedCandidate(PointedVersion):
    """The version that is being rolled out, and the share of each group that it has reached."""

    percent: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RolloutPointer:
    """The content of `latest.json`, which devices read: `on_device.resolve` chooses from it.

    Attributes:
        name: What the bundle is called on devices.
        revision: Number of changes of the record that it was derived from.
        stable: The version of devices that the candidate has not reached.
        candidate: The version that is being rolled out.
    """

    name: str
    revision: int
    stable: PointedVersion | None
    candidate: PointedCandidate | None


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """All versions that were published to one place, oldest first, and what happened to them."""

    # The record says the revision too, for people and for whoever watches the place.
    JSON_KEYS: ClassVar[Mapping[str, str]] = {
        key: key for key in ("name", "revision", "releases", "history")
    }

    name: str
    releases: tuple[Release, ...] = ()
    history: tuple[RolloutEvent, ...] = ()

    @property
    def revision(self) -> int:
        """Number of changes so far."""
        return len(self.history)

    @property
    def stable(self) -> Release | None:
        """The version of devices that the candidate has not reached."""
        return self._one(RolloutState.STABLE)

    @property
    def candidate(self) -> Release | None:
        """The version that is being rolled out."""
        return self._one(RolloutState.CANDIDATE)

    def release(self, version: int) -> Release:
        """Returns a version.

        Raises:
            ConfigError: It was never published here.
        """
        found = next((r for r in self.releases if r.version == version), None)
        if found is None:
            raise ConfigError(
                f"Expected a published version of {self.name!r}, received {version}. Published: "
                f"{[r.version for r in self.releases]}."
            )
        return found

    @property
    def pointer(self) -> RolloutPointer:
        """What devices read."""
        stable, candidate = self.stable, self.candidate
        return RolloutPointer(
            name=self.name,
            revision=self.revision,
            stable=PointedVersion(version=stable.version, digest=stable.digest) if stable else None,
            candidate=PointedCandidate(
                version=candidate.version, digest=candidate.digest, percent=candidate.percent()
            )
            if candidate
            else None,
        )

    def _one(self, state: RolloutState) -> Release | None:
        return next((r for r in reversed(self.releases) if r.state is state), None)

    def with_releases(self, *changed: Release) -> "Rollout":
        """Returns the roll-out with versions added or replaced."""
        kept = {r.version: r for r in self.releases} | {r.version: r for r in changed}
        return dataclasses.replace(self, releases=tuple(kept[v] for v in sorted(kept)))

    def with_event(self, action: str, version: int, detail: str, now_ms: int) -> "Rollout":
        """Returns the roll-out with one more line of its history."""
        event = RolloutEvent(
            revision=self.revision + 1, at_ms=now_ms, action=action, version=version, detail=detail
        )
        return dataclasses.replace(self, history=(*self.history, event))


ROLLOUT_RECORD = JsonFile(
    name="rollout.json",
    kind=Rollout,
    title="a roll-out",
    remedy="Use the release that wrote it.",
)
ROLLOUT_POINTER = JsonFile(
    name="latest.json",
    kind=RolloutPointer,
    title="a roll-out pointer",
    remedy="Publish again with this release.",
)
