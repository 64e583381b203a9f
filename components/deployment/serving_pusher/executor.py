"""Unpacks a blessed model, pushes it, writes PushedModel."""

import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.contracts.pushed_model import PushedProperties, PushOrder
from tfx_loop.core import storage
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single_or_none
from tfx_loop.data.prediction_log.logged_examples import examples_of
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.deployment.serving_pusher import golden
from tfx_loop.deployment.serving_pusher.folder import UnwatchedFolder
from tfx_loop.deployment.serving_pusher.golden_rows import GoldenTerms, golden_rows
from tfx_loop.deployment.serving_pusher.pinned_server import PinnedServer
from tfx_loop.deployment.serving_pusher.push import push
from tfx_loop.deployment.serving_pusher.push_inputs import (
    GoldenOrder,
    held_back,
    pushed_artifact,
    requests_of,
)
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder
from tfx_loop.deployment.serving_pusher.settings import ServingPusherSettings
from tfx_loop.deployment.serving_pusher.shadow import (
    ROWS_PER_REQUEST,
    SHADOW_REPORT,
    ShadowCheck,
    ShadowTerms,
    labels_of,
    newest_rows,
)
from tfx_loop.deployment.serving_pusher.targets import SERVER, target_named
from tfx_loop.models.fetching import on_this_machine
from tfx_loop.models.guard.settings import allowing


class Executor(base_executor.BaseExecutor):
    """Executor of ServingPusher."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Pushes the model when it is blessed; an unblessed one is recorded as not pushed."""
        settings = ServingPusherSettings.from_properties(exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if reason := held_back(input_dict):
            logging.info("push model=%s held=%s", settings.model_name, reason)
            set_properties(pushed, to_properties(PushedProperties(pushed=False, reason=reason)))
            return
        run_id = self._context.pipeline_run_id or "" if self._context else ""
        model, uri = pushed_artifact(input_dict)
        with on_this_machine(uri) as model_dir:
            properties = _push(model, model_dir, input_dict, settings, run_id, pushed.uri)
            if settings.push_destination:
                # Pusher leaves the model here, too, and those who replace it may read it.
                io_utils.copy_dir(str(model_dir), pushed.uri)
        _describe(pushed, properties)


def _push(
    model: types.Artifact,
    model_dir: Path,
    input_dict: Artifacts,
    settings: ServingPusherSettings,
    run_id: str,
    pushed_uri: str,
) -> PushedProperties:
    target = target_named(settings.target)
    if target is None:
        return _push_version(model, model_dir, input_dict, settings, run_id, pushed_uri)
    order = PushOrder(
        model_dir=model_dir,
        base_path=settings.base_path,
        model_name=settings.model_name,
        stages=settings.rollout_stages,
        model_uri=model.uri,
        run_id=run_id,
        sign=settings.sign(),
    )
    variant = model.get_string_custom_property("variant")
    return replace(target.push(order), variant=variant or None)


def _push_version(
    model: types.Artifact,
    model_dir: Path,
    input_dict: Artifacts,
    settings: ServingPusherSettings,
    run_id: str,
    pushed_uri: str,
) -> PushedProperties:
    """Pushes a version and returns what PushedModel says of it."""
    profile = single_or_none(input_dict, "reference_profile")
    examples_input = _examples_input(settings)
    order = _golden_order(settings, as_examples=bool(examples_input))
    requests = requests_of(model_dir, input_dict, order)
    token = uuid.uuid4().hex
    client, check = _proof(settings, requests, token)
    shadow = _shadow(model_dir, input_dict, settings, client, token)
    if shadow is not None:
        shadow = replace(shadow, report=lambda report: SHADOW_REPORT.write(report, pushed_uri))
    deployment = push(
        ServerPushOrder(
            model_name=settings.model_name,
            model_dir=model_dir,
            base_path=settings.base_path,
            model_uri=model.uri,
            reference_profile_uri=profile.uri if profile else "",
            variant=model.get_string_custom_property("variant"),
            examples_input=examples_input,
            run_id=run_id,
            token=token,
            sign=settings.sign(),
            load_timeout_seconds=float(settings.load_timeout_seconds),
            lock_wait_seconds=float(settings.lock_timeout_seconds),
            # TFX's Pusher names versions by the second of the push, and its readers take the
            # highest: whoever replaces it must not begin below.
            at_least=int(time.time()) if settings.push_destination else 0,
            canary_share=settings.canary_share,
            probation_seconds=float(settings.probation_seconds),
            keep_versions=settings.keep_versions,
            pinned_at=settings.pinned_at,
        ),
        client,
        check=check,
        before_traffic=shadow or (lambda _: None),
        follow=client.follow if isinstance(client, PinnedServer) else (lambda _: None),
        now_ms=lambda: int(time.time() * 1000),
        clock=time.monotonic,
        sleep=time.sleep,
    )
    return PushedProperties(
        model_name=settings.model_name,
        pushed=True,
        pushed_destination=os.path.join(settings.base_path, str(deployment.version)),
        pushed_version=deployment.version,
        model_digest=deployment.model_digest,
        variant=deployment.variant,
        signature=requests.signature if requests else None,
        replaced_version=deployment.replaced or 0,
        pushed_at_ms=deployment.pushed_at_ms,
        rollout_state=deployment.state.value,
    )


def _golden_order(settings: ServingPusherSettings, *, as_examples: bool) -> GoldenOrder:
    return GoldenOrder(
        rows=settings.golden_rows,
        signature_name=settings.signature_name,
        features=settings.golden_features,
        redact=settings.redact,
        as_examples=as_examples,
    )


def _proof(
    settings: ServingPusherSettings, requests: golden.GoldenRequests | None, token: str
) -> tuple[ModelClient | UnwatchedFolder, Callable[[int], None]]:
    """Returns whom the push asks for versions, and what checks one."""
    folder = UnwatchedFolder(Path(settings.base_path), requests.arguments if requests else {})
    if requests is None:
        return folder, folder.load
    client: ModelClient | UnwatchedFolder = folder
    if settings.pinned_at:
        client = PinnedServer(
            settings.server_url,
            settings.model_name,
            settings.pinned_at,
            settings.base_path,
            settings.credentials,
        )
    elif settings.target == SERVER:
        client = ModelClient(
            settings.server_url, settings.model_name, credentials=settings.credentials
        )
    stable = read_record(settings.base_path, settings.model_name).stable
    check = golden.AnswerCheck(
        client=client,
        golden=requests,
        parent_version=stable.version if stable else None,
        max_latency_ms=settings.max_latency_ms,
        token=token,
    )
    return client, check


def _shadow(
    model_dir: Path,
    input_dict: Artifacts,
    settings: ServingPusherSettings,
    client: ModelClient | UnwatchedFolder,
    token: str,
) -> ShadowCheck | None:
    """Returns what asks champion and candidate the rows of a prediction log, if one is given."""
    log = single_or_none(input_dict, "prediction_log")
    stable = read_record(settings.base_path, settings.model_name).stable
    if log is None or stable is None or not isinstance(client, ModelClient):
        return None
    rows = newest_rows(log.uri, settings.shadow_rows)
    if not len(rows):
        return None
    terms = GoldenTerms(
        rows=len(rows),
        signature_name=settings.signature_name,
        features=settings.golden_features,
    )
    asked = golden_rows(model_dir, examples_of(rows), terms)
    # Rows that lack a feature are left out, and a batch of one size is filled: no label is known
    # then, and all are asked at once.
    whole = len(asked.instances) == len(rows)
    return ShadowCheck(
        client=client,
        instances=asked.instances,
        labels=labels_of(rows) if whole else np.full(len(asked.instances), np.nan),
        rows_per_request=ROWS_PER_REQUEST if whole else len(asked.instances),
        signature=asked.signature,
        champion=stable.version,
        terms=ShadowTerms(
            min_agreement=settings.min_agreement, max_loss_ratio=settings.max_loss_ratio
        ),
        token=token,
    )


def _describe(pushed: types.Artifact, properties: PushedProperties) -> None:
    set_properties(pushed, to_properties(properties))
    # For people who look into the folder.
    storage.write_json(
        os.path.join(pushed.uri, "pushed.json"),
        {"version": properties.pushed_version, "destination": properties.pushed_destination},
    )


def _examples_input(settings: ServingPusherSettings) -> str:
    """Returns the input that clients give tf.Examples to; what comes next must take them too."""
    stable = read_record(settings.base_path, settings.model_name).stable
    if storage.is_remote(settings.base_path):
        return ""  # What lies in a bucket is not fetched for it.
    folder = Path(settings.base_path) / str(stable.version) if stable else None
    return golden.examples_input(folder) if folder is not None and folder.is_dir() else ""
