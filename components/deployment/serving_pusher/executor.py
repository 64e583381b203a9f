"""Unpacks a blessed model, pushes it, writes PushedModel."""

import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.contracts.model_properties import is_blessed
from tfx_loop.contracts.pushed_model import PushedProperties, PushOrder
from tfx_loop.core import storage
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import sampled_split_uris, single, single_or_none
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.deployment.serving_pusher import golden
from tfx_loop.deployment.serving_pusher.push import ServerPushOrder, push
from tfx_loop.deployment.serving_pusher.settings import ServingPusherSettings
from tfx_loop.deployment.serving_pusher.targets import target_named
from tfx_loop.models.guard.settings import allowing


class Executor(base_executor.BaseExecutor):
    """Executor of ServingPusher."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Pushes the model when it is blessed; an unblessed one is recorded as not pushed."""
        settings = ServingPusherSettings.from_properties(exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        blessing = single_or_none(input_dict, "model_blessing")
        if blessing and not is_blessed(blessing):
            logging.info("push model=%s held=not_blessed", settings.model_name)
            unblessed = PushedProperties(pushed=False, reason="not_blessed")
            set_properties(pushed, to_properties(unblessed))
            return
        model = single(input_dict, "model")
        run_id = self._context.pipeline_run_id or "" if self._context else ""
        target = target_named(settings.target)
        with _on_this_machine(path_utils.serving_model_path(model.uri)) as model_dir:
            if target is None:
                properties = _push_to_server(model, model_dir, input_dict, settings, run_id)
            else:
                order = PushOrder(
                    model_dir=model_dir,
                    base_path=settings.base_path,
                    model_name=settings.model_name,
                    stages=settings.rollout_stages,
                    model_uri=model.uri,
                    run_id=run_id,
                )
                variant = model.get_string_custom_property("variant")
                properties = replace(target.push(order), variant=variant or None)
        _describe(pushed, properties)


def _push_to_server(
    model: types.Artifact,
    model_dir: Path,
    input_dict: Artifacts,
    settings: ServingPusherSettings,
    run_id: str,
) -> PushedProperties:
    """Pushes a version and returns what PushedModel says of it."""
    profile = single_or_none(input_dict, "reference_profile")
    client = ModelClient(settings.server_url, settings.model_name)
    rows = golden.first_examples(sampled_split_uris(input_dict["examples"]), settings.golden_rows)
    examples_input = _examples_input(settings)
    requests = golden.golden_requests(model_dir, rows, as_examples=bool(examples_input))
    stable = read_record(settings.base_path, settings.model_name).stable
    token = uuid.uuid4().hex
    check = golden.AnswerCheck(
        client=client,
        golden=requests,
        parent_version=stable.version if stable else None,
        max_latency_ms=settings.max_latency_ms,
        token=token,
    )
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
            load_timeout_seconds=float(settings.load_timeout_seconds),
            lock_wait_seconds=float(settings.lock_timeout_seconds),
        ),
        client,
        check=check,
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
        replaced_version=deployment.replaced or 0,
        pushed_at_ms=deployment.pushed_at_ms,
    )


def _describe(pushed: types.Artifact, properties: PushedProperties) -> None:
    set_properties(pushed, to_properties(properties))
    # As TFX's own Pusher leaves it, for people who look into the folder.
    storage.write_json(
        os.path.join(pushed.uri, "pushed.json"),
        {"version": properties.pushed_version, "destination": properties.pushed_destination},
    )


def _examples_input(settings: ServingPusherSettings) -> str:
    """Returns the input that clients give tf.Examples to; what comes next must take them too."""
    base_path = settings.base_path
    if storage.is_remote(base_path):
        return ""  # The push refuses it.
    stable = read_record(base_path, settings.model_name).stable
    folder = Path(base_path) / str(stable.version) if stable else None
    return golden.examples_input(folder) if folder is not None and folder.is_dir() else ""


@contextmanager
def _on_this_machine(uri: str) -> Iterator[Path]:
    if not storage.is_remote(uri):
        yield Path(uri.removeprefix("file://"))
        return
    with tempfile.TemporaryDirectory() as scratch:
        io_utils.copy_dir(uri, scratch)
        yield Path(scratch)
