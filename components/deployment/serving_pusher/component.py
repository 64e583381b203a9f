"""The TFX node that pushes a blessed model to a running server, or to devices."""

from collections.abc import Collection
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import PredictionLog, ReferenceProfile
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.node import Input, Node
from tfx_loop.deployment.serving_pusher.executor import Executor
from tfx_loop.deployment.serving_pusher.settings import ServingPusherSettings
from tfx_loop.deployment.serving_pusher.targets import SERVER


class ServingPusher(Node):
    """Pushes a blessed model to a server that watches a base path, and sees that it serves.

    The version is staged beside the others, synced and renamed; it counts as pushed when the server
    reports it AVAILABLE and answers a few rows of the examples as the model does in the pipeline.
    Otherwise it is withdrawn, the version before serves on, and the run fails with the reason.
    `deployment.json` beside the versions says what serves now and what served before. Works with TF
    Serving and with `loop-model-server`. An unblessed model is recorded as not pushed; the run goes
    on.

    `loop-model-server` proves a version before it takes traffic. TF Serving serves the highest
    number as soon as it sees it; with `pinned_at` it is told which versions to serve, and proves
    them first, too.

    It takes what TFX's Pusher takes: put its name in place of Pusher's in a pipeline, and a version
    is loaded, and asked where `examples` are given, in the pipeline before it has its number;
    `custom_config={"server_url": ...}` has the server asked, too.

    With `canary_share` the version gets that share of the requests beside the one that serves,
    until `loop promote` or `loop rollback`; with `probation_seconds` it is asked on, and taken back
    when it fails.

    With `target="devices"` the model is a bundle of EdgeBundler, and `base_path` a folder or
    bucket. The bundle goes under its digest; `rollout.json` keeps the history; devices read
    `latest.json`, which is replaced whole, as the stages of a roll-out reach them. A resumed run
    does not undo a roll-back.

    Inputs:
        model: The `Model` that is pushed: a SavedModel, or a TFLite model (`Format-Serving/tflite`,
            which becomes `model.tflite`). Its custom property `variant`, if any, is recorded. May
            be left out where the `infra_blessing` holds a model with warm-up requests.
        examples: `Examples` from which the golden requests are taken: serialized, as columns of raw
            features, or as the bytes of an image, whatever the signature takes. A server needs
            them, a bundle brings its own.
        model_blessing: `ModelBlessing` of Evaluator; when given, an unblessed model is not pushed.
        infra_blessing: `InfraBlessing` of InfraValidator; the same.
        reference_profile: Of ReferenceProfiler; noted in the deployment record, for DriftMonitor.
        prediction_log: `PredictionLog` whose newest rows the version that serves and the candidate
            are both asked, before it takes traffic: agreement, latency and, with the labels of a
            LabelJoiner, loss. `shadow.json` beside `pushed.json` says what came out.

    Outputs:
        pushed_model: `PushedModel` with the custom properties `pushed` (1 or 0), `pushed_version`,
            `pushed_destination`, `model_digest`, `variant`, `signature` (that was asked),
            `replaced_version`, `pushed_at_ms`, `rollout_state`; of devices also `rollout_stage`.

    Example:
        pusher = ServingPusher(
            model=trainer.outputs["model"], model_blessing=evaluator.outputs["blessing"],
            examples=example_gen.outputs["examples"], base_path="/srv/models/taxi",
            reference_profile=profiler.outputs["reference_profile"], server_url="http://127.0.0.1:8501",
        )
    """

    SETTINGS = ServingPusherSettings
    INPUTS: ClassVar = {
        "model": Input(standard_artifacts.Model, optional=True),
        "examples": Input(standard_artifacts.Examples, optional=True),
        "model_blessing": Input(standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": Input(standard_artifacts.InfraBlessing, optional=True),
        "reference_profile": Input(ReferenceProfile, optional=True),
        "prediction_log": Input(PredictionLog, optional=True),
    }
    OUTPUTS: ClassVar = {"pushed_model": standard_artifacts.PushedModel}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings: ServingPusherSettings, inputs: Collection[str]) -> None:
        """Checks that there is a model, and that there are rows to ask a server."""
        if not {"model", "infra_blessing"} & set(inputs):
            raise ConfigError(
                "Expected a channel of Model as model of ServingPusher, or an infra_blessing that "
                "holds one, received neither."
            )
        if settings.target == SERVER and "examples" not in inputs:
            raise ConfigError(
                "Expected examples to push to a server, received no examples. Give them, or set "
                "target to 'devices'."
            )
