"""The target of a push that devices fetch their model from, instead of a server.

The model is a bundle of EdgeBundler. It is published to a folder or bucket and rolled out in
stages; nothing runs until a device has checked digests and golden answers itself.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tfx_loop.contracts.pushed_model import PushedProperties, PushOrder
from tfx_loop.contracts.rollout_record import Release, RolloutState, Stage
from tfx_loop.core.errors import ConfigError
from tfx_loop.edge.edge_bundle.bundle import open_bundle
from tfx_loop.edge.edge_bundle.publish import publish
from tfx_loop.edge.edge_bundle.rollout import DEFAULT_STAGES
from tfx_loop.edge.edge_bundle.store import BUNDLES, open_store

_LIVE = (RolloutState.CANDIDATE, RolloutState.STABLE)


class DeviceTarget:
    """Publishes bundles; ServingPusher finds it by its import path."""

    def check_stages(self, stages: Sequence[tuple[str, float]]) -> None:
        """Checks the stages of a roll-out.

        Raises:
            ConfigError: A stage has no group, or a share that is not above 0 to 100.
        """
        _stages(stages)

    def push(self, order: PushOrder) -> PushedProperties:
        """Publishes a bundle and returns what PushedModel says of it.

        Raises:
            ModelError: The folder is no bundle, or not whole, or gives other answers.
            ConfigError: The bundle has another name.
            DataError: The record at the base path is of another name or damaged.
        """
        with tempfile.TemporaryDirectory(prefix="loop-push-") as scratch:
            return self._push(order, _signed(order, Path(scratch) / "bundle"))

    def _push(self, order: PushOrder, folder: Path) -> PushedProperties:
        bundle = open_bundle(folder)
        if bundle.name != order.model_name:
            raise ConfigError(
                f"Expected a bundle of the name {order.model_name!r}, received {bundle.name!r}. "
                "Give EdgeBundler's name and ServingPusher's model_name the same value."
            )
        release = publish(
            bundle,
            open_store(order.base_path),
            stages=_stages(order.stages) or DEFAULT_STAGES,
            model_uri=order.model_uri,
            run_id=order.run_id,
            now_ms=lambda: int(time.time() * 1000),
        )
        return _properties(order, release)


def _signed(order: PushOrder, copy: Path) -> Path:
    """Returns the bundle to publish: the one given, or a signed copy, as artifacts stay as is."""
    if order.sign is None:
        return order.model_dir
    shutil.copytree(order.model_dir, copy)
    order.sign(copy, order.model_name)
    return copy


def _properties(order: PushOrder, release: Release) -> PushedProperties:
    return PushedProperties(
        model_name=order.model_name,
        pushed=release.state in _LIVE,
        pushed_destination=os.path.join(order.base_path, BUNDLES, release.digest),
        pushed_version=release.version,
        model_digest=f"sha256:{release.digest}",
        # MLMD has no None among integers.
        replaced_version=release.replaced or 0,
        pushed_at_ms=release.published_at_ms,
        rollout_state=release.state.value,
        rollout_stage=release.stage,
    )


def _stages(stages: Sequence[tuple[str, float]]) -> tuple[Stage, ...]:
    return tuple(Stage(group, percent) for group, percent in stages)
