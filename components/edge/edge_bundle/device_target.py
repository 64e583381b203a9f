"""The target of a push that devices fetch their model from, instead of a server.

The model is a bundle of EdgeBundler. It is published to a folder or bucket and rolled out in
stages; nothing runs until a device has checked digests and golden answers itself.
"""

import json
import os
import time
from collections.abc import Sequence
from typing import Any

from tfx_loop.contracts.pushed_model import PushOrder
from tfx_loop.core.artifacts import Scalar
from tfx_loop.core.errors import ConfigError
from tfx_loop.edge.edge_bundle.bundle import open_bundle
from tfx_loop.edge.edge_bundle.publish import publish
from tfx_loop.edge.edge_bundle.rollout import DEFAULT_STAGES, Release, Stage, State
from tfx_loop.edge.edge_bundle.store import BUNDLES, open_store

_LIVE = (State.CANDIDATE, State.STABLE)


class DeviceTarget:
    """Publishes bundles; ServingPusher finds it by its import path."""

    def stages_json(self, stages: Sequence[tuple[str, float]] | str) -> str:
        """Returns roll-out stages as they travel through a pipeline, checked.

        Args:
            stages: Pairs of group and percentage, or JSON of such; empty takes the usual ones.

        Raises:
            ConfigError: A stage has no group, or a share that is not above 0 to 100.
        """
        parsed = _parsed(stages if isinstance(stages, str) else json.dumps(list(stages)))
        return json.dumps([[stage.group, stage.percent] for stage in parsed])

    def push(self, order: PushOrder) -> dict[str, Scalar]:
        """Publishes a bundle and returns what PushedModel says of it.

        Raises:
            ModelError: The folder is no bundle, or not whole, or gives other answers.
            ConfigError: The bundle has another name.
            DataError: The record at the base path is of another name or damaged.
        """
        bundle = open_bundle(order.model_dir)
        if bundle.name != order.model_name:
            raise ConfigError(
                f"Expected a bundle of the name {order.model_name!r}, received {bundle.name!r}. "
                "Give EdgeBundler's name and ServingPusher's model_name the same value."
            )
        release = publish(
            bundle,
            open_store(order.base_path),
            stages=_parsed(order.stages),
            model_uri=order.model_uri,
            run_id=order.run_id,
            now_ms=lambda: int(time.time() * 1000),
        )
        return _properties(release, order.base_path)


def _properties(release: Release, base_path: str) -> dict[str, Scalar]:
    return {
        "pushed": int(release.state in _LIVE),
        "pushed_destination": os.path.join(base_path, BUNDLES, release.digest),
        "pushed_version": release.version,
        "model_digest": f"sha256:{release.digest}",
        "replaced_version": release.replaced or 0,
        "pushed_at_ms": release.published_at_ms,
        "rollout_state": release.state.value,
        "rollout_stage": release.stage,
    }


def _parsed(stages: str) -> tuple[Stage, ...]:
    try:
        content: Any = json.loads(stages or "[]")
        return tuple(Stage(str(group), float(percent)) for group, percent in content) or (
            DEFAULT_STAGES
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"Expected pairs of group and percentage as rollout_stages, received {stages!r}."
        ) from error
