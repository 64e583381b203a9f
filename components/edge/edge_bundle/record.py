"""The record of a roll-out, `rollout.json`: all versions of a place, and what happened to them."""

from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.core.json_file import JsonFile
from tfx_loop.edge.edge_bundle.rollout import SCHEMA_VERSION, Rollout

ROLLOUT_RECORD = JsonFile(
    name="rollout.json",
    kind=Rollout,
    title="a roll-out",
    remedy="Use the release that wrote it.",
    version=SCHEMA_VERSION,
)


def rollout_of(content: Any, name: str, where: str) -> Rollout:
    """Returns the roll-out that a record holds.

    Args:
        content: The record's JSON object.
        name: Name that it must have; empty takes any.
        where: The file, for errors.

    Raises:
        DataError: It is of another name, another schema, or damaged.
    """
    found = ROLLOUT_RECORD.value(content, where)
    if name and found.name != name:
        raise DataError(
            f"Expected the roll-out of {name!r} in {where}, received that of {found.name!r}. "
            "Give each model a base path of its own."
        )
    return found
