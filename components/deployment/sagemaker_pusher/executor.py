"""Unpacks a blessed model, pushes it to an endpoint, writes PushedModel."""

import logging
import time
import uuid
from pathlib import Path

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.contracts.deployment_record import Deployment, read_record
from tfx_loop.contracts.model_evaluation import OVERALL, metrics_by_slice
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single_or_none
from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint_client import EndpointClient
from tfx_loop.deployment.sagemaker_pusher.hosting import CANDIDATE
from tfx_loop.deployment.sagemaker_pusher.model_fit import check_fit
from tfx_loop.deployment.sagemaker_pusher.push import push
from tfx_loop.deployment.sagemaker_pusher.push_order import (
    EndpointPushOrder,
    NotApproved,
    Proofs,
)
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings
from tfx_loop.deployment.sagemaker_pusher.shadow_capture import SHADOW_REPORT
from tfx_loop.deployment.sagemaker_pusher.shadow_proof import ShadowWatch
from tfx_loop.deployment.serving_pusher.golden import AnswerCheck, GoldenRequests
from tfx_loop.deployment.serving_pusher.push_inputs import (
    GoldenOrder,
    held_back,
    pushed_artifact,
    requests_of,
)
from tfx_loop.models.fetching import on_this_machine
from tfx_loop.models.guard.settings import allowing


class Executor(base_executor.BaseExecutor):
    """Executor of SageMakerPusher."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Pushes the model when it is blessed; an unblessed one is recorded as not pushed."""
        settings = SageMakerPusherSettings.from_properties(exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if reason := held_back(input_dict):
            _hold(pushed, settings, reason)
            return
        model, uri = pushed_artifact(input_dict)
        run_id = self._context.pipeline_run_id or "" if self._context else ""
        with on_this_machine(uri) as model_dir:
            check_fit(model_dir, settings.image)
            requests = _requests(model_dir, input_dict, settings)
            order = _order(model, model_dir, input_dict, settings, run_id)
            aws = Aws(settings.region)
            try:
                deployment = push(
                    order,
                    aws,
                    _proofs(aws, settings, requests, pushed.uri),
                    now_ms=lambda: int(time.time() * 1000),
                    clock=time.monotonic,
                    sleep=time.sleep,
                )
            except NotApproved as error:
                logging.info("push endpoint=%s %s", settings.endpoint, error)
                _hold(pushed, settings, "not_approved")
                return
        _describe(pushed, settings, deployment, requests)


def _hold(pushed: types.Artifact, settings: SageMakerPusherSettings, reason: str) -> None:
    logging.info("push endpoint=%s held=%s", settings.endpoint, reason)
    set_properties(pushed, to_properties(PushedProperties(pushed=False, reason=reason)))


def _requests(
    model_dir: Path, input_dict: Artifacts, settings: SageMakerPusherSettings
) -> GoldenRequests:
    order = GoldenOrder(
        rows=settings.golden_rows,
        signature_name=settings.signature_name,
        features=settings.golden_features,
        redact=settings.redact,
    )
    requests = requests_of(model_dir, input_dict, order)
    # The node's declaration asks for Examples.
    assert requests is not None
    return requests


def _order(
    model: types.Artifact,
    model_dir: Path,
    input_dict: Artifacts,
    settings: SageMakerPusherSettings,
    run_id: str,
) -> EndpointPushOrder:
    profile = single_or_none(input_dict, "reference_profile")
    evaluation = single_or_none(input_dict, "evaluation")
    metrics = {}
    if evaluation is not None:
        metrics = metrics_by_slice(tfma.load_eval_result(evaluation.uri)).get(OVERALL, {})
    return EndpointPushOrder(
        settings=settings,
        model_dir=model_dir,
        model_uri=model.uri,
        reference_profile_uri=profile.uri if profile else "",
        variant=model.get_string_custom_property("variant") or "float",
        run_id=run_id,
        metrics=metrics,
        token=uuid.uuid4().hex,
    )


def _proofs(
    aws: Aws, settings: SageMakerPusherSettings, requests: GoldenRequests, pushed_uri: str
) -> Proofs:
    outputs = tuple(requests.expected)
    stable = read_record(settings.base_path, settings.model_name).stable
    parent = stable.version if stable else None

    def candidate(version: int) -> None:
        variants = {version: CANDIDATE}
        # Without a stable version there is nobody to compare values that are not finite with.
        if parent is not None:
            variants[parent] = settings.variant_name
        client = EndpointClient(
            aws=aws, endpoint=settings.endpoint, outputs=outputs, variants=variants
        )
        _check(client, settings, requests, parent)(version)

    serving = EndpointClient(aws=aws, endpoint=settings.endpoint, outputs=outputs)
    return Proofs(
        candidate=candidate,
        shadow=ShadowWatch(
            settings=settings,
            outputs=outputs,
            report=lambda report: SHADOW_REPORT.write(report, pushed_uri),
        ),
        # By then no other version answers, to compare values that are not finite with.
        serving=_check(serving, settings, requests, None),
    )


def _check(
    client: EndpointClient,
    settings: SageMakerPusherSettings,
    requests: GoldenRequests,
    parent: int | None,
) -> AnswerCheck:
    return AnswerCheck(
        client=client,
        golden=requests,
        parent_version=parent,
        max_latency_ms=settings.max_latency_ms,
    )


def _describe(
    pushed: types.Artifact,
    settings: SageMakerPusherSettings,
    deployment: Deployment,
    requests: GoldenRequests,
) -> None:
    properties = PushedProperties(
        model_name=settings.model_name,
        pushed=True,
        pushed_destination=f"sagemaker://{settings.region}/{settings.endpoint}",
        pushed_version=deployment.version,
        model_digest=deployment.model_digest,
        variant=deployment.variant,
        signature=requests.signature,
        replaced_version=deployment.replaced or 0,
        pushed_at_ms=deployment.pushed_at_ms,
        rollout_state=deployment.state.value,
    )
    set_properties(pushed, to_properties(properties))
