"""The first training on a service is waited for as long as the runner says, and no longer."""

import pytest
from recorder import open_store

from tfx_loop.core.errors import ConfigError, PipelineFailed
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.launcher import RunState, RunStatus
from tfx_loop.pipelines.runner_settings import Runner
from tfx_loop.pipelines.runners.remote.own_runs import wait_for_end
from tfx_loop.pipelines.runners.remote.services import ServiceRefused

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

HOUR = 3_600.0


class Service:
    """A launcher whose run ends in a state once it was asked for a number of times."""

    def __init__(self, ends, state, node=""):
        self.ends, self.ended = ends, RunStatus(state=state, node=node, reason="of a test")
        self.launched = self.asked = 0

    def check(self, request):
        """Has nothing to miss."""

    def launch(self, run_id, request):
        self.launched += 1

    def state(self, run_id):
        if not self.launched:
            return RunStatus(state=RunState.ABSENT)
        self.asked += 1
        return self.ended if self.asked > self.ends else RunStatus(state=RunState.RUNNING)


class Clock:
    def __init__(self):
        self.now = 0.0

    def read(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def waited(tmp_path, service, hours=1.0):
    clock = Clock()
    store = open_store(tmp_path / "metadata.db")
    seconds = hours * HOUR
    return wait_for_end(store, service, "first-m-1", "m", seconds, clock.read, clock.sleep), clock


def test_run_that_ends_in_time_is_told(tmp_path):
    status, clock = waited(tmp_path, Service(30, RunState.SUCCEEDED))
    assert status.state is RunState.SUCCEEDED
    assert 0 < clock.now < HOUR


def test_run_that_does_not_end_is_left_to_the_service_and_not_started_again(tmp_path):
    service = Service(10**9, RunState.SUCCEEDED)
    for _ in range(2):
        with pytest.raises(ServiceRefused, match=r"within 0\.5 hours, received RUNNING.*first_hou"):
            waited(tmp_path, service, 0.5)
    assert service.launched == 1
    assert leases.latest(open_store(tmp_path / "metadata.db"), "first-m-1").attempt == 1


def test_failed_run_names_its_node(tmp_path):
    with pytest.raises(PipelineFailed, match="Node Trainer of run first-m-1 failed: of a test"):
        waited(tmp_path, Service(3, RunState.FAILED, "Trainer"))


def test_wait_of_no_time_is_refused():
    given = {"on": "kubeflow", "host": "http://h", "image": "a@sha256:0", "root": "s3://b/r"}
    with pytest.raises(ConfigError, match="first_hours of the runner must be above 0, got 0"):
        Runner(**given, first_hours=0)
