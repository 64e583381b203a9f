"""The order of a push to a target, the target's interface, and the properties of PushedModel.

A model server is the deployment theme's own. Every other target is a class with the methods of
`PushTarget` in a theme of its own; ServingPusher finds it by its import path, and both know this
module alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class PushOrder:
    """What a target is to bring into service.

    Attributes:
        model_dir: The model's folder, on this machine.
        base_path: Folder or bucket that it is published to.
        model_name: Name that it is served under.
        stages: The stages of its roll-out, pairs of group and percentage; empty takes the target's
            own.
        model_uri: The Model artifact.
        run_id: Pipeline run that pushes.
        sign: Signs a folder under a name; None leaves it as it is.
    """

    model_dir: Path
    base_path: str
    model_name: str
    stages: Sequence[tuple[str, float]]
    model_uri: str
    run_id: str
    sign: Callable[[Path, str], object] | None = None


@dataclass(frozen=True, kw_only=True)
class PushedProperties:
    """What PushedModel says of itself, for conditions, queries and lineage.

    Attributes:
        model_name: Name that the model is served under; None where nothing was pushed.
        pushed: Whether the version serves, or is being rolled out.
        reason: Why nothing was pushed.
        pushed_destination: Where the server or the devices find it.
        pushed_version: Its number.
        model_digest: Digest of the served files.
        variant: Which optimisation it is.
        signature: The signature that golden rows were asked of; None where none were.
        replaced_version: The version that served before; 0 for none.
        pushed_at_ms: When, by the pusher's clock, milliseconds UTC.
        rollout_state: State of the roll-out: `stable` or `canary` of a server.
        rollout_stage: How many stages the roll-out has reached.
    """

    model_name: str | None = None
    pushed: bool
    reason: str | None = None
    pushed_destination: str | None = None
    pushed_version: int | None = None
    model_digest: str | None = None
    variant: str | None = None
    signature: str | None = None
    replaced_version: int | None = None
    pushed_at_ms: int | None = None
    rollout_state: str | None = None
    rollout_stage: int | None = None


class PushTarget(Protocol):
    """Somewhere other than a model server."""

    def check_stages(self, stages: Sequence[tuple[str, float]]) -> None:
        """Checks roll-out stages; raises ConfigError."""

    def push(self, order: PushOrder) -> PushedProperties:
        """Returns what PushedModel says of the push; raises LoopError."""
