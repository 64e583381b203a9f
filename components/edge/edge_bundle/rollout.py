"""Staged roll-out: which devices run which version, and what may happen to it next.

A version is a candidate first: it reaches the devices of a stage after the other, never fewer, and
is stable after the last. Pure: the clock is a parameter, `publish.py` reads and writes.

    publish ─▶ CANDIDATE ── promote, stage by stage ──▶ STABLE ─▶ RETIRED
                   │                                       │
                   └────────────── roll back ──────────────┴─▶ ROLLED_BACK

Which device belongs to the first 10 % of a version is decided by `on_device.device_fraction`, on
the device: a hash of name, version and device id. A device that is in at 10 % is in at 50 %.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.edge.edge_bundle import on_device

SCHEMA_VERSION = 1
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


# A canary group whole, then growing shares of all others: 10 % is enough to see a fault, and few
# enough to bear it.
DEFAULT_STAGES = (
    Stage("canary", 100.0),
    Stage("default", 10.0),
    Stage("default", 50.0),
    Stage("default", 100.0),
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

    def pointer(self) -> dict[str, Any]:
        """Returns what devices read: `on_device.resolve` chooses from it."""
        stable, candidate = self.stable, self.candidate
        return {
            "schema_version": on_device.SCHEMA_VERSION,
            "name": self.name,
            "revision": self.revision,
            "stable": stable and {"version": stable.version, "digest": stable.digest},
            "candidate": candidate
            and {
                "version": candidate.version,
                "digest": candidate.digest,
                "percent": candidate.percent(),
            },
        }

    def _one(self, state: RolloutState) -> Release | None:
        return next((r for r in reversed(self.releases) if r.state is state), None)

    def _with(self, *changed: Release) -> "Rollout":
        kept = {r.version: r for r in self.releases} | {r.version: r for r in changed}
        return dataclasses.replace(self, releases=tuple(kept[v] for v in sorted(kept)))

    def _noted(self, action: str, version: int, detail: str, now_ms: int) -> "Rollout":
        event = RolloutEvent(
            revision=self.revision + 1, at_ms=now_ms, action=action, version=version, detail=detail
        )
        return dataclasses.replace(self, history=(*self.history, event))


def published(
    rollout: Rollout,
    digest: str,
    *,
    stages: Sequence[Stage] = DEFAULT_STAGES,
    model_uri: str = "",
    run_id: str = "",
    now_ms: int,
) -> tuple[Rollout, Release]:
    """Returns the roll-out with a bundle at its first stage, and its version.

    A bundle that is stable or rolling out already keeps its version, and nothing changes; so does
    one that the same run published before, whatever became of it: a run that is resumed does not
    undo a roll-back. A candidate of before is superseded: its devices go on to the new one, or
    back to what is stable.

    Raises:
        ConfigError: There is no stage.
    """
    if not stages:
        raise ConfigError("Expected at least one stage for a roll-out, received none.")
    for known in reversed(rollout.releases):
        # The same bundle again is the same version, unless it was taken back since.
        live = known.state in (RolloutState.CANDIDATE, RolloutState.STABLE)
        if known.digest == digest and (live or (run_id and known.run_id == run_id)):
            return rollout, known
    release = Release(
        # Numbers are never used twice, so that a device's report of one is unambiguous.
        version=max((r.version for r in rollout.releases), default=0) + 1,
        digest=digest,
        model_uri=model_uri,
        run_id=run_id,
        published_at_ms=now_ms,
        stages=tuple(stages),
        stage=0,
        replaced=None,
        state=RolloutState.CANDIDATE,
    )
    changed = rollout._with(release)
    if rollout.candidate is not None:
        left = dataclasses.replace(
            rollout.candidate, state=RolloutState.SUPERSEDED, reason=f"by version {release.version}"
        )
        changed = changed._with(left)
    changed = changed._noted("publish", release.version, digest, now_ms)
    changed = _at_stage(changed, release, 1, now_ms)
    return changed, changed.release(release.version)


def promoted(
    rollout: Rollout, version: int, *, to_stage: int | None = None, now_ms: int
) -> Rollout:
    """Returns the roll-out with a candidate at a later stage, stable after the last.

    Args:
        rollout: The roll-out.
        version: The candidate.
        to_stage: Number of the stage to reach, from 1; None takes the next. A stage that it has
            reached changes nothing, so that a promotion that was interrupted can be repeated.
        now_ms: Clock, milliseconds UTC.

    Raises:
        ConfigError: The version is no candidate, or has no such stage.
    """
    release = rollout.release(version)
    stage = release.stage + 1 if to_stage is None else to_stage
    if release.state is RolloutState.STABLE and (to_stage or 0) <= len(release.stages):
        return rollout
    if release.state is not RolloutState.CANDIDATE:
        raise ConfigError(
            f"Expected a candidate to promote, received version {version}, which is "
            f"{release.state.value}. Publish it again first."
        )
    if not 1 <= stage <= len(release.stages):
        raise ConfigError(
            f"Expected a stage from 1 to {len(release.stages)} of version {version}, received "
            f"{stage}."
        )
    return rollout if stage <= release.stage else _at_stage(rollout, release, stage, now_ms)


def rolled_back(rollout: Rollout, version: int, *, reason: str, now_ms: int) -> Rollout:
    """Returns the roll-out without a version: its devices go back to the one that was stable.

    A version that is rolled back already changes nothing, so that a roll-back that was interrupted
    can be repeated.

    Raises:
        ConfigError: No device runs the version, or no version would be left.
    """
    release = rollout.release(version)
    if release.state is RolloutState.ROLLED_BACK:
        return rollout
    if release.state not in (RolloutState.CANDIDATE, RolloutState.STABLE):
        raise ConfigError(
            f"Expected a version that devices run, received version {version}, which is "
            f"{release.state.value}."
        )
    gone = dataclasses.replace(
        release, state=RolloutState.ROLLED_BACK, reason=reason or "no reason given"
    )
    changed = rollout._with(gone)
    if release.state is RolloutState.STABLE:
        before = next(
            (
                r
                for r in reversed(rollout.releases)
                if r.version < version and r.state is RolloutState.RETIRED
            ),
            None,
        )
        if before is None:
            raise ConfigError(
                f"Expected a version before {version} to go back to, found none. Publish another."
            )
        changed = changed._with(dataclasses.replace(before, state=RolloutState.STABLE))
    return changed._noted("roll_back", version, gone.reason, now_ms)


def _at_stage(rollout: Rollout, release: Release, stage: int, now_ms: int) -> Rollout:
    reached = dataclasses.replace(release, stage=stage)
    name = release.stages[stage - 1]
    detail = f"stage {stage} of {len(release.stages)}: {name.percent:g} % of {name.group}"
    changed = rollout._with(reached)._noted("promote", release.version, detail, now_ms)
    if stage < len(release.stages):
        return changed
    before = rollout.stable
    stable = dataclasses.replace(
        reached, state=RolloutState.STABLE, replaced=before.version if before else None
    )
    retired = [] if before is None else [dataclasses.replace(before, state=RolloutState.RETIRED)]
    return changed._with(stable, *retired)._noted("stable", release.version, "all devices", now_ms)
