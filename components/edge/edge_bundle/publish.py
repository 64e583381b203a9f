"""The way of a bundle from a pipeline to devices, and its way back.

    verify, ask the golden requests ─▶ put the bundle ─▶ write the record ─▶ write `latest.json`

Devices read `latest.json` alone. It is derived from the record and written after it, and the
bundles that it names were put and verified before: killed at any point, it names whole bundles.
Every change begins by writing the pointer again where it is behind the record, so that the next
change, or the same one repeated, completes what was interrupted.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence

from tfx_loop.contracts.rollout_record import (
    ROLLOUT_POINTER,
    ROLLOUT_RECORD,
    Release,
    Rollout,
    Stage,
)
from tfx_loop.core import storage
from tfx_loop.core.errors import DataError
from tfx_loop.edge.edge_bundle import rollout
from tfx_loop.edge.edge_bundle.bundle import Bundle, check_answers
from tfx_loop.edge.edge_bundle.on_device import POINTER
from tfx_loop.edge.edge_bundle.rollout import DEFAULT_STAGES
from tfx_loop.edge.edge_bundle.store import Store

# Publishers of one place are few: so many collisions in a row mean that something else writes.
_TRIES = 10
_LOG = logging.getLogger(__name__)

Change = Callable[[Rollout], Rollout]


def publish(
    bundle: Bundle,
    store: Store,
    *,
    stages: Sequence[Stage] = DEFAULT_STAGES,
    model_uri: str = "",
    run_id: str = "",
    now_ms: Callable[[], int],
) -> Release:
    """Returns the version under which a bundle is now rolling out, or rolled out already.

    Args:
        bundle: Result of `open_bundle` or `build_bundle`.
        store: Where devices read.
        stages: How it is rolled out; the first stage is reached at once.
        model_uri: The Model artifact, for the record.
        run_id: Pipeline run; one that is resumed gets the version that it got.
        now_ms: Clock, milliseconds UTC.

    Raises:
        ModelError: The bundle is not whole or does not give its golden answers.
        DataError: The record is of another name, damaged, or changed all the time by others.
    """
    # Before the lock: it runs the model, and other publishers would wait for it.
    check_answers(bundle)
    released: list[Release] = []

    def change(before: Rollout) -> Rollout:
        after, release = rollout.published(
            before,
            bundle.digest,
            stages=stages,
            model_uri=model_uri,
            run_id=run_id,
            now_ms=now_ms(),
        )
        released[:] = [release]
        return after

    with store.locked():
        store.put(bundle)
        _change(store, bundle.name, change)
    (release,) = released
    _LOG.info(
        "edge_publish name=%s version=%d digest=%s state=%s stage=%d",
        bundle.name,
        release.version,
        release.digest[:12],
        release.state.value,
        release.stage,
    )
    return release


def promote(
    store: Store, version: int, *, to_stage: int | None = None, now_ms: Callable[[], int]
) -> Rollout:
    """Rolls a candidate out to its next stage, or to a later one; see `rollout.promoted`."""
    with store.locked():
        after = _change(
            store, "", lambda r: rollout.promoted(r, version, to_stage=to_stage, now_ms=now_ms())
        )
    _LOG.info("edge_promote name=%s version=%d revision=%d", after.name, version, after.revision)
    return after


def roll_back(store: Store, version: int, *, reason: str, now_ms: Callable[[], int]) -> Rollout:
    """Takes a version from all devices; see `rollout.rolled_back`."""
    with store.locked():
        after = _change(
            store, "", lambda r: rollout.rolled_back(r, version, reason=reason, now_ms=now_ms())
        )
    _LOG.info("edge_roll_back name=%s version=%d reason=%s", after.name, version, reason)
    return after


def read_rollout(store: Store, name: str = "") -> Rollout:
    """Returns what was published to a place; nothing before the first publication.

    Raises:
        DataError: The record is of another name, damaged, or there is none and no name was given.
    """
    where = os.path.join(store.base_path, ROLLOUT_RECORD.name)
    content = store.read(ROLLOUT_RECORD.name)
    if content is None:
        if not name:
            raise DataError(f"Expected {where}, found none. Publish a bundle there first.")
        return Rollout(name=name)
    found = ROLLOUT_RECORD.value(storage.json_object(content, where), where)
    if name and found.name != name:
        raise DataError(
            f"Expected the roll-out of {name!r} in {where}, received that of {found.name!r}. "
            "Give each model a base path of its own."
        )
    return found


def _change(store: Store, name: str, change: Change) -> Rollout:
    """Makes a change on top of the newest record, and makes the pointer agree with it."""
    for _ in range(_TRIES):
        before = read_rollout(store, name)
        _point(store, before)
        after = change(before)
        if after == before:
            return after
        # A bucket has no compare-and-swap through fileio: looked at again just before the write.
        if read_rollout(store, name) != before:
            continue
        store.write(ROLLOUT_RECORD.name, _content(ROLLOUT_RECORD.content(after)))
        # Without a lock another publisher may have written over it.
        written = read_rollout(store, name)
        # Ours is part of what stands there now, whoever has written since.
        if written.history[: after.revision] == after.history:
            _point(store, written)
            return after
    raise DataError(
        f"Expected to change {ROLLOUT_RECORD.name} in {store.base_path}, received changes of "
        f"others {_TRIES} times. Publish again when they are done."
    )


def _point(store: Store, current: Rollout) -> None:
    content = _content(ROLLOUT_POINTER.content(current.pointer))
    # Devices poll it: an unchanged pointer keeps its time and its cached copies.
    if current.releases and store.read(POINTER) != content:
        store.write(POINTER, content)


def _content(value: object) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
