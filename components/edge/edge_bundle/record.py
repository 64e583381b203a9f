"""A roll-out's record as JSON."""

import dataclasses
from typing import Any

from tfx_loop.core.errors import DataError, LoopError
from tfx_loop.edge.edge_bundle.rollout import (
    SCHEMA_VERSION,
    Release,
    Rollout,
    RolloutEvent,
    RolloutState,
    Stage,
)

FILE_NAME = "rollout.json"


def to_json(rollout: Rollout) -> dict[str, Any]:
    """Returns the JSON object of `rollout.json`, the newest versions and events last."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": rollout.name,
        "revision": rollout.revision,
        "releases": [
            {**dataclasses.asdict(release), "state": release.state.value}
            for release in rollout.releases
        ],
        "history": [dataclasses.asdict(event) for event in rollout.history],
    }


def from_json(content: dict[str, Any], name: str, where: str) -> Rollout:
    """Returns the roll-out of a file.

    Args:
        content: What `to_json` returned.
        name: Name that it must have; empty takes any.
        where: The file, for errors.

    Raises:
        DataError: It is of another name, another schema, or damaged.
    """
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"Expected schema_version {SCHEMA_VERSION} in {where}, received "
            f"{content.get('schema_version')!r}. Use the release that wrote it."
        )
    if name and content.get("name") != name:
        raise DataError(
            f"Expected the roll-out of {name!r} in {where}, received that of "
            f"{content.get('name')!r}. Give each model a base path of its own."
        )
    try:
        releases = tuple(
            Release(
                **{
                    **entry,
                    "state": RolloutState(entry["state"]),
                    "stages": tuple(Stage(**stage) for stage in entry["stages"]),
                }
            )
            for entry in content["releases"]
        )
        history = tuple(RolloutEvent(**entry) for entry in content["history"])
        return Rollout(name=content["name"], releases=releases, history=history)
    except (KeyError, TypeError, ValueError, LoopError) as error:
        raise DataError(f"Expected a roll-out in {where}, received: {error!r}.") from error
