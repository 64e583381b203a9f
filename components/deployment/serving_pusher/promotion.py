"""Moves of a version: to canary, to stable, and back. Pure: clock and files are elsewhere.

    pushed ─▶ CANARY ── promote ──▶ STABLE ── another is promoted ──▶ RETIRED ─┐
                │                     │  ▲                                     │
                └───── roll back ─────┤  └────── roll back, reinstate ─────────┤
                                      ▼                                        │
                                 ROLLED_BACK ──────────────────────────────────┘

A version that fails its push is FAILED, and what it replaced is STABLE again.
"""

import dataclasses

from tfx_loop.contracts.deployment_record import Deployment, DeploymentRecord, DeploymentState
from tfx_loop.core.errors import ConfigError

CANARY_EVENT, PROMOTE_EVENT, ROLL_BACK_EVENT, LABEL_EVENT = (
    "canary",
    "promote",
    "roll_back",
    "label",
)


def as_stable(record: DeploymentRecord, deployment: Deployment, now_ms: int) -> DeploymentRecord:
    """Returns the record with a version that gets all traffic; a canary beside it is withdrawn."""
    stable = dataclasses.replace(deployment, state=DeploymentState.STABLE)
    before = f"in place of version {deployment.replaced}" if deployment.replaced else "the first"
    changed = _without_canary(record, deployment.version).with_version(stable)
    return changed.with_event(PROMOTE_EVENT, deployment.version, before, now_ms)


def as_canary(
    record: DeploymentRecord, deployment: Deployment, share: float, now_ms: int
) -> DeploymentRecord:
    """Returns the record with a version that gets a share of the traffic.

    Args:
        record: The record.
        deployment: The version.
        share: Above 0 to 1.
        now_ms: Milliseconds UTC.
    """
    canary = dataclasses.replace(deployment, state=DeploymentState.CANARY)
    changed = _without_canary(record, deployment.version).with_version(canary)
    changed = dataclasses.replace(changed, canary_share=share)
    return changed.with_event(
        CANARY_EVENT, deployment.version, f"{share:.3%} of requests".replace(".000", ""), now_ms
    )


def promoted(record: DeploymentRecord, version: int | None, now_ms: int) -> DeploymentRecord:
    """Returns the record with the canary in place of the stable version.

    Args:
        record: The record.
        version: The canary's number; None takes whichever there is. One that is stable already
            changes nothing, so that a promotion that was interrupted can be repeated.
        now_ms: Milliseconds UTC.

    Raises:
        ConfigError: There is no such canary.
    """
    canary, stable = record.canary, record.stable
    if version is not None and stable is not None and stable.version == version:
        return record
    if canary is None or version not in (None, canary.version):
        held = f"version {canary.version}" if canary else "no canary"
        asked = f"version {version}" if version is not None else "a canary"
        raise ConfigError(
            f"Expected {asked} of {record.model_name!r} as a canary to promote, found {held}. "
            "Push one with canary_share above 0."
        )
    replaced = stable.version if stable else None
    return as_stable(record, dataclasses.replace(canary, replaced=replaced), now_ms)


def rolled_back(record: DeploymentRecord, to: int, reason: str, now_ms: int) -> DeploymentRecord:
    """Returns the record with an earlier version stable again, and what served since rolled back.

    Args:
        record: The record.
        to: The version to go back to; the stable one takes back the canary alone.
        reason: Why, for the history.
        now_ms: Milliseconds UTC.

    Raises:
        ConfigError: The version was never stable, or nothing would change.
    """
    stable, canary = record.stable, record.canary
    if stable is not None and stable.version == to:
        if canary is None:
            raise ConfigError(
                f"Expected another version than {to} to roll back to: it is stable, and no canary "
                "is there to take back."
            )
        return _gone(record, canary, reason, now_ms)
    target = _that_served(record, to)
    for version in (canary, stable):
        if version is not None:
            record = _gone(record, version, reason, now_ms)
    detail = f"back in place of version {stable.version}" if stable else "back"
    return _back(record, target, detail, now_ms)


def reinstated(record: DeploymentRecord, to: int, reason: str, now_ms: int) -> DeploymentRecord:
    """Returns the record with a version stable that served before, and the stable one retired.

    Nothing is wrong with the one that goes: it may come back in the same way.

    Args:
        record: The record.
        to: The version that is to serve again.
        reason: Why, for the history.
        now_ms: Milliseconds UTC.

    Raises:
        ConfigError: The version was never stable, or is stable now.
    """
    target, stable = _that_served(record, to), record.stable
    record = _without_canary(record, to)
    place = f"back in place of version {stable.version}" if stable else "back"
    return _back(record, target, f"{place}: {reason}", now_ms)


def _that_served(record: DeploymentRecord, to: int) -> Deployment:
    target = record.version(to)
    if target.state not in (DeploymentState.RETIRED, DeploymentState.ROLLED_BACK):
        raise ConfigError(
            f"Expected a version that served to roll back to, received version {to}, which is "
            f"{target.state.value}."
        )
    return target


def _back(
    record: DeploymentRecord, target: Deployment, detail: str, now_ms: int
) -> DeploymentRecord:
    back = dataclasses.replace(target, state=DeploymentState.STABLE, reason="")
    return record.with_version(back).with_event(PROMOTE_EVENT, target.version, detail, now_ms)


def labelled(
    record: DeploymentRecord, label: str, version: int | None, now_ms: int
) -> DeploymentRecord:
    """Returns the record with a label on a version, or without it.

    Args:
        record: The record.
        label: The name that clients ask for.
        version: What it stands for; None takes the label away.
        now_ms: Milliseconds UTC.

    Raises:
        ConfigError: The version failed or is unknown, or the label is given by its state.
    """
    if label in ("stable", "canary") or not label.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(
            "Expected a label of letters, digits, '-' and '_' other than stable and canary, which "
            f"the state of a version gives, received {label!r}."
        )
    labels = {name: number for name, number in record.labels.items() if name != label}
    if version is not None:
        state = record.version(version).state
        if state in (DeploymentState.PUSHING, DeploymentState.FAILED):
            raise ConfigError(
                f"Expected a version that was proven for a label, received version {version}, "
                f"which is {state.value}."
            )
        labels[label] = version
    detail = label if version is not None else f"without {label}"
    changed = dataclasses.replace(record, labels=labels)
    return changed.with_event(LABEL_EVENT, version or record.labels.get(label, 0), detail, now_ms)


def failed(record: DeploymentRecord, deployment: Deployment, reason: str) -> DeploymentRecord:
    """Returns the record with a version that failed; what it replaced is stable again."""
    gone = dataclasses.replace(deployment, state=DeploymentState.FAILED, reason=reason)
    changed = record.with_version(gone)
    before = next((v for v in record.versions if v.version == deployment.replaced), None)
    if changed.stable is None and before is not None and before.state is DeploymentState.RETIRED:
        changed = changed.with_version(dataclasses.replace(before, state=DeploymentState.STABLE))
    return changed


def _gone(
    record: DeploymentRecord, version: Deployment, reason: str, now_ms: int
) -> DeploymentRecord:
    reason = reason or "no reason given"
    taken = dataclasses.replace(version, state=DeploymentState.ROLLED_BACK, reason=reason)
    if version.state is DeploymentState.CANARY:
        record = dataclasses.replace(record, canary_share=0.0)
    return record.with_version(taken).with_event(ROLL_BACK_EVENT, version.version, reason, now_ms)


def _without_canary(record: DeploymentRecord, by: int) -> DeploymentRecord:
    canary = record.canary
    record = dataclasses.replace(record, canary_share=0.0)
    if canary is None or canary.version == by:
        return record
    left = dataclasses.replace(
        canary, state=DeploymentState.ROLLED_BACK, reason=f"superseded by version {by}"
    )
    return record.with_version(left)
