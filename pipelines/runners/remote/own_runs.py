"""The launchers of a loop whose file names a service as its runner."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import PipelineFailed
from tfx_loop.pipelines.control import starts
from tfx_loop.pipelines.control.launcher import Launcher, LaunchRequest, RunState, RunStatus
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.runner_settings import VERTEX, Runner
from tfx_loop.pipelines.runners.remote.compiling import CompileSettings
from tfx_loop.pipelines.runners.remote.kubeflow_client import KubeflowService, read_token
from tfx_loop.pipelines.runners.remote.launching import (
    PipelineChoice,
    RemoteLauncher,
    RemoteSettings,
)
from tfx_loop.pipelines.runners.remote.node_settings import read_node_settings
from tfx_loop.pipelines.runners.remote.services import Service, ServiceRefused
from tfx_loop.pipelines.runners.remote.targets import Target
from tfx_loop.pipelines.runners.remote.vertex_client import VertexService

# A service's node takes a minute to start. Chosen, not measured.
_POLL_SECONDS = 10.0
# Of the first training, which nobody waits for in the background.
_FIRST_ATTEMPTS = 3
_SECONDS_PER_HOUR = 3_600.0


def remote_launcher(store: Store, choice: PipelineChoice, runner: Runner) -> RemoteLauncher:
    """Returns the launcher of the pipelines that another chooses.

    Raises:
        ConfigError: A setting cannot work.
        ServiceRefused: Nobody answers at the service's address.
    """
    compiling = CompileSettings(
        target=Target(runner.on),
        image=runner.image,
        mounts=runner.mounts,
        stage=True,
        nodes=read_node_settings(Path(runner.nodes)) if runner.nodes else {},
    )
    settings = RemoteSettings(
        compile=compiling, root=runner.root, service_account=runner.service_account
    )
    return RemoteLauncher(store, choice, service_of(runner), settings)


class _OnePipeline:
    """Answers every request with one pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def check(self, request: LaunchRequest) -> None:
        """Has nothing to miss."""

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the pipeline."""
        return self._pipeline


def run_to_end(
    store: Store, pipeline: Any, runner: Runner, run_id: str, model_name: str
) -> RunStatus:
    """Runs a pipeline on a service, and waits for it; one that runs already is waited for alone.

    Raises:
        PipelineFailed: A node failed.
        ServiceRefused: The service does not answer, or the run has not ended after `first_hours`.
    """
    launcher = remote_launcher(store, _OnePipeline(pipeline), runner)
    seconds = runner.first_hours * _SECONDS_PER_HOUR
    return wait_for_end(store, launcher, run_id, model_name, seconds)


def wait_for_end(
    store: Store,
    launcher: Launcher,
    run_id: str,
    model_name: str,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RunStatus:
    """Starts or resumes a run, and waits for its end; raises as `run_to_end`."""
    status = starts.start_or_resume(
        store,
        launcher,
        run_id,
        LaunchRequest(model_name=model_name, window=""),
        max_attempts=_FIRST_ATTEMPTS,
        retry_failed=False,
        on_leased=lambda: None,
    )
    deadline = clock() + seconds
    while status.state not in (RunState.SUCCEEDED, RunState.FAILED):
        left = deadline - clock()
        if left <= 0:
            raise ServiceRefused(
                f"Expected run {run_id} to end within {seconds / _SECONDS_PER_HOUR:g} hours, "
                f"received {status.state.value}: the service goes on with it. Step again to wait "
                "on, or raise first_hours of the runner."
            )
        sleep(min(_POLL_SECONDS, left))
        status = launcher.state(run_id)
    if status.state is RunState.FAILED:
        raise PipelineFailed(f"Node {status.node} of run {run_id} failed: {status.reason}")
    return status


def service_of(runner: Runner) -> Service:
    """Returns the client of the service that a runner names."""
    if runner.on == VERTEX:
        return VertexService(runner.project, runner.location, runner.endpoint)
    token = read_token(Path(runner.token_file)) if runner.token_file else ""
    return KubeflowService(runner.host, runner.experiment, runner.namespace, token)
