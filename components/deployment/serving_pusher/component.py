"""The TFX node that pushes a blessed model to a running server, or to devices."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import component_spec, standard_artifacts

from tfx_loop.core.artifacts import ReferenceProfile
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.serving_pusher import executor
from tfx_loop.deployment.serving_pusher.targets import SERVER, target_named

_Text: TypeAlias = str | data_types.RuntimeParameter


class ServingPusherSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of ServingPusher."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "model_name": component_spec.ExecutionParameter(type=str),
        "base_path": component_spec.ExecutionParameter(type=str),
        "server_url": component_spec.ExecutionParameter(type=str),
        "load_timeout_seconds": component_spec.ExecutionParameter(type=int),
        "golden_rows": component_spec.ExecutionParameter(type=int),
        "target": component_spec.ExecutionParameter(type=str),
        "rollout_stages": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(
            type=standard_artifacts.Examples, optional=True
        ),
        "model_blessing": component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing, optional=True
        ),
        "reference_profile": component_spec.ChannelParameter(type=ReferenceProfile, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
    }


class ServingPusher(base_component.BaseComponent):
    """Pushes a blessed model to a server that watches a base path, and sees that it serves.

    The version is staged beside the others, synced and renamed; it counts as pushed when the
    server reports it AVAILABLE and answers golden requests as the model does here. Otherwise it is
    withdrawn, the version before serves on, and the run fails with the reason. Works with TF
    Serving and with `loop-model-server`.

    With `target="devices"` the model is a bundle of EdgeBundler; it is published to a folder or
    bucket, and devices fetch it as the stages of its roll-out reach them.

    Inputs:
        model: The `Model` that is pushed: a SavedModel, or a TFLite model (`Format-Serving/tflite`,
            which becomes `model.tflite`). Its custom property `variant`, if any, is recorded.
        examples: `Examples` from which the golden requests are taken; a bundle brings its own.
        model_blessing: When given, an unblessed model is not pushed.
        reference_profile: Noted in the deployment record, for DriftMonitor.

    Outputs:
        pushed_model: `PushedModel` with the custom properties pushed (1 or 0), pushed_version,
            pushed_destination, model_digest, variant, replaced_version, pushed_at_ms; of devices
            also rollout_state and rollout_stage.
    """

    SPEC_CLASS = ServingPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        model_name: str,
        base_path: _Text,
        examples: types.BaseChannel | None = None,
        server_url: _Text = "",
        model_blessing: types.BaseChannel | None = None,
        reference_profile: types.BaseChannel | None = None,
        load_timeout_seconds: int = 120,
        golden_rows: int = 8,
        target: str = SERVER,
        rollout_stages: Sequence[tuple[str, float]] = (),
    ) -> None:
        """Builds the node.

        Args:
            model: The `Model` to push.
            model_name: Name that the server serves it under, or that the bundle has.
            base_path: Folder of numbered versions that the server watches; of devices the folder
                or bucket that they fetch from.
            examples: `Examples` from which the golden requests are taken; a server needs them.
            server_url: REST address of the server, such as `http://127.0.0.1:8501`.
            model_blessing: `ModelBlessing` of Evaluator.
            reference_profile: `ReferenceProfile` of ReferenceProfiler.
            load_timeout_seconds: How long the version may take to become available.
            golden_rows: How many rows are asked and compared.
            target: `server` or `devices`.
            rollout_stages: For devices, pairs of group and percentage, in order; empty is the
                group `canary`, then 10, 50 and 100 % of the group `default`. The last stage makes
                the version everybody's.

        Raises:
            ConfigError: The target is unknown, or lacks what it needs.
        """
        receiver = target_named(target)
        if receiver is None and (examples is None or not server_url):
            raise ConfigError(
                "Expected examples and server_url to push to a server, received "
                f"{'no server_url' if examples is not None else 'no examples'}. Give both, or set "
                "target to 'devices'."
            )
        super().__init__(
            spec=ServingPusherSpec(
                model=model,
                **({} if examples is None else {"examples": examples}),
                model_blessing=model_blessing,
                reference_profile=reference_profile,
                model_name=model_name,
                base_path=base_path,
                server_url=server_url,
                load_timeout_seconds=load_timeout_seconds,
                golden_rows=golden_rows,
                target=target,
                rollout_stages=receiver.stages_json(rollout_stages) if receiver else "",
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
