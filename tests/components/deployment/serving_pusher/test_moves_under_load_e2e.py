"""Real servers under load that are killed while traffic moves, or see a version file by file."""

import shutil
import time

import pytest
from live_clients import LiveClients, probability, save_low_and_high
from push_process import push_once
from server_process import ServerProcess
from time_limits import seconds

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.deployment.live_rollout import LiveRollout
from tfx_loop.deployment.serving_pusher.push import push
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.tensorflow]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_low_and_high(tmp_path_factory.mktemp("models"))


@pytest.fixture
def served(tmp_path, models):
    """A server that logs and serves the low model as version 1."""
    base = tmp_path / "serving"
    base.mkdir()
    server = ServerProcess(base, tmp_path, tmp_path / "log").start()
    push_once(base, models / "low", "run-1", 0.0, server.client())
    yield server
    server.stop()


def test_server_killed_at_each_move_answers_by_the_record_and_logs_once(served, models):
    base = str(served.base_path)
    low = probability(served)
    rollout = LiveRollout(base_path=base)
    with LiveClients(served, again=True) as clients:
        push_once(served.base_path, models / "high", "run-2", 0.1, served.client())
        for move in (lambda: rollout.roll_back(1, "wrong"), lambda: rollout.roll_back(2, "right")):
            move()
            # Before its next look at the base path, most likely.
            served.kill()
            served.start()
            assert (probability(served) > low) == (read_record(base, "flights").stable_version == 2)
        rollout.label("blue", 1)
        served.kill()
        served.start()
        path = "/v1/models/flights/labels/blue"
        status = served.client()._request("GET", path, None, {}, None)[1]
        assert [v["version"] for v in status["model_version_status"]] == ["1"]
        clients.wait_for_answers(20, seconds(60))
    assert clients.errors == []
    window = read_window(str(served.log_dir), "flights", 7, 8)
    # Each answered request once; one that was killed between log and answer was asked again.
    assert len(window.table) == len(clients.keys)


def test_server_killed_at_each_step_of_a_push_proves_routes_and_logs_once(served, models):
    low = probability(served)
    # The pusher's client goes on where the server was.
    served.flags["rest_api_port"] = served.rest_port
    proven = []

    def restart():
        served.kill()
        served.start()

    def check(version):
        restart()
        served.wait_for(version, "AVAILABLE")
        proven.append((probability(served), probability(served, version)))

    def before_traffic(_):
        restart()

    order = ServerPushOrder(
        model_name="flights",
        model_dir=models / "high",
        base_path=str(served.base_path),
        model_uri="",
        reference_profile_uri="",
        run_id="run-2",
        load_timeout_seconds=seconds(60),
    )
    with LiveClients(served, again=True) as clients:
        times = (lambda: 0, time.monotonic, time.sleep)
        done = push(order, served.client(), check, *times, before_traffic)
        restart()
        clients.wait_for_answers(20, seconds(60))
    high = probability(served)
    assert proven == [(low, high)], "what is proven takes no traffic, after a restart either"
    assert (done.version, read_record(str(served.base_path), "flights").stable_version) == (2, 2)
    assert clients.errors == []
    assert set(clients.answers) == {low, high}
    window = read_window(str(served.log_dir), "flights", 7, 8)
    assert len(window.table) == len(clients.keys)


def test_version_that_comes_file_by_file_serves_when_it_is_whole(served, models):
    with LiveClients(served, again=True) as clients:
        target = served.base_path / "7"
        for path in sorted((models / "high").rglob("*"), key=lambda p: p.name != "saved_model.pb"):
            if path.is_file():
                copy = target / path.relative_to(models / "high")
                copy.parent.mkdir(parents=True, exist_ok=True)
                half = path.stat().st_size // 2
                copy.write_bytes(path.read_bytes()[:half])
                time.sleep(0.3)
                shutil.copy(path, copy)
                time.sleep(0.3)
        served.wait_for(7, "AVAILABLE")
        clients.wait_for_answers(20, seconds(60))
    assert clients.errors == []
    assert len(set(clients.answers)) == 2
    assert clients.answers[-1] == max(clients.answers)
