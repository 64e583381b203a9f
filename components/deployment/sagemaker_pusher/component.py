"""The TFX node that pushes a blessed model to an endpoint of AWS SageMaker."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import ReferenceProfile
from tfx_loop.core.node import Input, Node
from tfx_loop.deployment.sagemaker_pusher.executor import Executor
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings


class SageMakerPusher(Node):
    """Pushes a blessed SavedModel to an endpoint of AWS SageMaker, and sees that it serves.

    The model goes to S3 as an archive of its digest, and becomes a model without network and an
    endpoint config that captures what clients ask. The endpoint moves by a blue/green update with
    SageMaker's guardrails: canary, linear or at once, taken back by CloudWatch alarms. It counts as
    pushed when the endpoint is InService with that config and answers golden rows as the model does
    in the pipeline; with `prove_first` it has answered them before it takes traffic, too. Otherwise
    the endpoint serves the version before on, and the run fails with the reason.

    `deployment.json` below `base_path` says what serves and what was done; `loop status` and `loop
    rollback` read it. A push that was killed is continued by its own run, and taken back by any
    other. It needs the extra `tfx-loop[sagemaker]`; docs/sagemaker.md has the IAM policy.

    Inputs:
        model: The `Model` that is pushed, a SavedModel; AWS' TensorFlow image serves no TFLite. May
            be left out where the `infra_blessing` holds a model with warm-up requests.
        examples: `Examples` from which the golden requests are taken.
        model_blessing: `ModelBlessing` of Evaluator; when given, an unblessed model is not pushed.
        infra_blessing: `InfraBlessing` of InfraValidator; the same.
        reference_profile: Of ReferenceProfiler; noted in the deployment record, for DriftMonitor.
        evaluation: `ModelEvaluation` of Evaluator, whose metrics a model package carries.

    Outputs:
        pushed_model: `PushedModel` with the custom properties `pushed` (1 or 0), `pushed_version`,
            `pushed_destination`, `model_digest`, `variant`, `signature`, `replaced_version`,
            `pushed_at_ms`, `rollout_state`. `shadow.json` in it compares a shadow with production.

    Example:
        endpoint_pusher = SageMakerPusher(region="eu-west-1", instance_type="ml.m5.large",
            model=trainer.outputs["model"], model_blessing=evaluator.outputs["blessing"],
            examples=example_gen.outputs["examples"], base_path="s3://models/taxi", endpoint="taxi",
            role_arn="arn:aws:iam::123456789012:role/inference",
            image="763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.20-cpu")
    """

    SETTINGS = SageMakerPusherSettings
    INPUTS: ClassVar = {
        "model": Input(standard_artifacts.Model, optional=True),
        "examples": Input(standard_artifacts.Examples),
        "model_blessing": Input(standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": Input(standard_artifacts.InfraBlessing, optional=True),
        "reference_profile": Input(ReferenceProfile, optional=True),
        "evaluation": Input(standard_artifacts.ModelEvaluation, optional=True),
    }
    OUTPUTS: ClassVar = {"pushed_model": standard_artifacts.PushedModel}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
