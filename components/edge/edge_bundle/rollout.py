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
from collections.abc import Sequence

from tfx_loop.contracts.rollout_record import Release, Rollout, RolloutState, Stage
from tfx_loop.core.errors import ConfigError

# A canary group whole first; of all others 10 % are enough to see a fault, and few enough to bear
# it.
# A tenth, half, all of the devices after the canaries: each stage some five times the one before.
DEFAULT_STAGES = (
    Stage("canary", 100.0),
    Stage("default", 10.0),
    Stage("default", 50.0),
    Stage("default", 100.0),
)


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
    changed = rollout.with_releases(release)
    if rollout.candidate is not None:
        left = dataclasses.replace(
            rollout.candidate, state=RolloutState.SUPERSEDED, reason=f"by version {release.version}"
        )
        changed = changed.with_releases(left)
    changed = changed.with_event("publish", release.version, digest, now_ms)
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
    # A promotion that was repeated after it had reached the last stage.
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
    changed = rollout.with_releases(gone)
    if release.state is RolloutState.STABLE:
        # The newest that was stable before it; what was rolled back itself is not gone back to.
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
        changed = changed.with_releases(dataclasses.replace(before, state=RolloutState.STABLE))
    return changed.with_event("roll_back", version, gone.reason, now_ms)


def _at_stage(rollout: Rollout, release: Release, stage: int, now_ms: int) -> Rollout:
    reached = dataclasses.replace(release, stage=stage)
    name = release.stages[stage - 1]
    detail = f"stage {stage} of {len(release.stages)}: {name.percent:g} % of {name.group}"
    changed = rollout.with_releases(reached).with_event("promote", release.version, detail, now_ms)
    if stage < len(release.stages):
        return changed
    before = rollout.stable
    stable = dataclasses.replace(
        reached, state=RolloutState.STABLE, replaced=before.version if before else None
    )
    retired = [] if before is None else [dataclasses.replace(before, state=RolloutState.RETIRED)]
    return changed.with_releases(stable, *retired).with_event(
        "stable", release.version, "all devices", now_ms
    )
