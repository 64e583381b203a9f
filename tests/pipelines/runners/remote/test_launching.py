"""The loop over runs on services: launched once, recorded, and told as runs of this machine are."""

import sys
import time
from pathlib import Path

import pytest
import remote_nodes
from gcs_for_tensorflow import gcs_bucket
from pipeline_services import KubeflowHandler, VertexHandler, service
from recorder import open_store
from remote_pipelines import pipelines
from time_limits import seconds

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.launcher import LaunchRequest, RunState
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.retries import monitoring_run_id
from tfx_loop.pipelines.control.run_state import mlmd_run_state
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.runners.remote.compiling import CompileSettings
from tfx_loop.pipelines.runners.remote.kubeflow_client import KubeflowService
from tfx_loop.pipelines.runners.remote.launching import RemoteLauncher, RemoteSettings
from tfx_loop.pipelines.runners.remote.services import ServiceRefused
from tfx_loop.pipelines.runners.remote.targets import Target
from tfx_loop.pipelines.runners.remote.vertex_client import VertexService

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

IMAGE = "registry.example/loop@sha256:" + "2" * 64
HANDLERS = {Target.VERTEX: VertexHandler, Target.KUBEFLOW: KubeflowHandler}
COMMAND = (sys.executable, str(Path(remote_nodes.__file__)))
WINDOW = "2013-04"


class Choice:
    """Says which pipeline answers a request."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def check(self, request):
        """Has nothing to miss."""


class Bench:
    """A loop whose pipelines run on a service of loopback."""

    def __init__(self, target, server, bucket, folder, monkeypatch):
        # Each start of the bench has a root of its own in a bucket that lives for all.
        self.target, self.server, self.folder = target, server, folder
        self.root = f"{bucket}/{folder.name}"
        self.store = open_store(folder / "metadata.db")
        path = f"{Path(remote_nodes.__file__).parent}:{Path(__file__).parents[4] / 'src'}"
        monkeypatch.setenv("PYTHONPATH", path)

    def service(self):
        if self.target is Target.VERTEX:
            return VertexService("project", "us-central1", self.server.url)
        return KubeflowService(self.server.url, "flights")

    def launcher(self, pipeline, **changes):
        compiling = {"target": self.target, "image": IMAGE, "command": COMMAND, **changes}
        settings = RemoteSettings(compile=CompileSettings(**compiling), root=self.root)
        return RemoteLauncher(self.store, Choice(pipeline), self.service(), settings)

    def loop(self):
        monitoring, training = pipelines(self.root)
        return Controller(
            self.store,
            LoopSettings(model_name="flights", mode=LoopMode.ACT, cooldown_seconds=0),
            self.launcher(monitoring),
            self.launcher(training),
            clock=lambda: 1_365_000_000_000,
        )

    def names(self):
        """Returns what the service calls the runs that it was asked for."""
        jobs = self.server.jobs.values()
        return [made.get("display_name") or made["displayName"] for made, _ in jobs]

    def stepped(self, until):
        """Steps with a loop of its own each time, as a command does, until a result has it."""
        deadline = time.monotonic() + seconds(60)
        while time.monotonic() < deadline:
            result = self.loop().step(WINDOW)
            if until(result):
                return result
            time.sleep(0.3)
        raise AssertionError(f"it has not come to that: {result}")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with gcs_bucket("loop-runs", tmp_path_factory.mktemp("bucket")) as address:
        yield address


@pytest.fixture(params=[Target.KUBEFLOW, pytest.param(Target.VERTEX, marks=pytest.mark.long)])
def bench(request, bucket, tmp_path, monkeypatch):
    with service(HANDLERS[request.param], tmp_path) as server:
        yield Bench(request.param, server, bucket, tmp_path, monkeypatch)


def test_loop_closes_over_remote_runs(bench):
    first = bench.loop().step(WINDOW)
    assert first.monitoring.state is RunState.RUNNING, "handed over, not waited for"
    result = bench.stepped(lambda found: found.outcome)
    assert (result.decision.window, result.decision.verdict) == (WINDOW, "RETRAIN")
    assert result.decision.uri.startswith(bench.root)
    assert (result.outcome.state, result.outcome.pushed_version) == (RunState.SUCCEEDED, 2)
    assert len(bench.server.jobs) == 2, "each run was launched once"
    told = explain(bench.store, "flights", 2)
    assert told.run_id == result.run_id
    assert told.why.window == WINDOW
    assert told.model_uri.startswith(bench.root)
    assert mlmd_run_state(bench.store, result.run_id).state is RunState.SUCCEEDED


@pytest.mark.long
def test_failing_node_is_told_and_the_next_start_has_a_number(bench):
    (bench.folder / "fault.txt").write_text("no rows in span 7")
    bench.loop().step(WINDOW)
    run_id = monitoring_run_id(bench.store, "flights", WINDOW)
    launcher = bench.launcher(pipelines(bench.root)[0])
    deadline = time.monotonic() + seconds(60)
    while (status := launcher.state(run_id)).state is RunState.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert (status.state, status.node) == (RunState.FAILED, "RetrainDecider")
    assert status.reason == "ValueError: no rows in span 7."
    assert mlmd_run_state(bench.store, run_id).node == "RetrainDecider"
    (bench.folder / "fault.txt").unlink()
    assert bench.stepped(lambda found: found.decision).decision.verdict == "RETRAIN"
    first, second, *_ = bench.names()
    assert second == f"{first}-2"


def test_run_that_was_handed_over_is_never_started_again(bench):
    monitoring, _ = pipelines(bench.root)
    request = LaunchRequest(model_name="flights", window=WINDOW)
    for _ in range(3):
        # As after a kill between the service's yes and the end of the lease.
        bench.launcher(monitoring).launch("monitor-1", request)
    assert len(bench.server.jobs) == 1


def test_broken_rule_counts_as_no_start(bench):
    monitoring, _ = pipelines(bench.root)
    launcher = bench.launcher(monitoring, image="loop:latest")
    with pytest.raises(ConfigError, match="breaches of its rules: image-digest"):
        launcher.check(LaunchRequest(model_name="flights", window=WINDOW))
    assert leases.latest(bench.store, "monitor-1") is None


def test_service_that_is_away_is_one_line(bench):
    bench.server.shutdown()
    bench.server.server_close()
    with pytest.raises(ServiceRefused, match=r"Expected .* at http"):
        bench.launcher(pipelines(bench.root)[0])
