"""What a push to a target is given, and what carries it out.

A model server is the deployment theme's own. Every other target is a class with the methods of
`PushTarget` in a theme of its own; ServingPusher finds it by its import path, and both know this
module alone.
"""

from collections.abc import Mapping, Sequence
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
    """

    model_dir: Path
    base_path: str
    model_name: str
    stages: Sequence[tuple[str, float]]
    model_uri: str
    run_id: str


class PushTarget(Protocol):
    """Somewhere other than a model server."""

    def check_stages(self, stages: Sequence[tuple[str, float]]) -> None:
        """Checks roll-out stages; raises ConfigError."""

    def push(self, order: PushOrder) -> Mapping[str, int | float | str]:
        """Returns what PushedModel says of the push; raises LoopError."""
