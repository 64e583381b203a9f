"""A real server under load while versions are pushed: what is not proven answers nobody."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from live_clients import LiveClients, probability, save_low_and_high
from push_process import push_once
from server_process import ServerProcess
from time_limits import seconds

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.core.errors import ModelRejected
from tfx_loop.deployment.serving_pusher.push import push
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

HELPER = Path(__file__).resolve().parents[3] / "helpers" / "push_process.py"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_low_and_high(tmp_path_factory.mktemp("models"))


@pytest.fixture
def served(tmp_path, models):
    """A server that serves the low model as version 1."""
    base = tmp_path / "serving"
    base.mkdir()
    server = ServerProcess(base, tmp_path).start()
    push_once(base, models / "low", "run-1", 0.0, server.client())
    yield server
    server.stop()


def test_bad_model_under_load_answers_no_live_request(served, models):
    low, asked = probability(served), []

    def check(version):
        asked.append(probability(served, version))
        # Time in which the version would take traffic, if it could.
        time.sleep(2.0)
        raise ModelRejected("Expected another answer.")

    order = ServerPushOrder(
        model_name="flights",
        model_dir=models / "high",
        base_path=str(served.base_path),
        model_uri="",
        reference_profile_uri="",
        run_id="run-2",
        load_timeout_seconds=seconds(60),
    )
    with LiveClients(served) as load, pytest.raises(ModelRejected):
        push(order, served.client(), check, lambda: 0, time.monotonic, time.sleep)
    assert asked[0] > low
    assert len(load.answers) > 50
    assert (set(load.answers), load.errors) == ({low}, [])
    served.wait_for(2, "END")
    with pytest.raises(ModelRejected):
        probability(served, 2)


def test_good_model_under_load_loses_no_request(served, models):
    low = probability(served)
    with LiveClients(served) as load:
        assert push_once(served.base_path, models / "high", "run-2", 0.5, served.client()) == 2
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(0.05)
    high = probability(served)
    assert high > low
    assert load.errors == []
    # Each client sees the switch once: nothing of the old version comes back.
    assert set(load.answers) == {low, high}
    assert load.answers[-1] == high


def test_pusher_killed_before_its_check_leaves_nothing_unproven_serving(served, models):
    low = probability(served)
    url = f"http://127.0.0.1:{served.rest_port}"
    command = [sys.executable, HELPER, served.base_path, models / "high", "run-2", "600", url]
    pusher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert pusher.stdout.readline() == "checking 2\n"
    pusher.kill()
    pusher.communicate(timeout=seconds(30))
    assert probability(served) == low
    assert probability(served, 2) > low
    served.stop()
    served.start()
    served.wait_for(2, "AVAILABLE")
    assert probability(served) == low
    ready = [line for line in served.output.read_text().splitlines() if "server ready at" in line]
    assert "(version 1" in ready[-1]
    assert read_record(str(served.base_path), "flights").stable.version == 1
    labelled = served.client()._request("GET", "/v1/models/flights/labels/canary", None, {}, None)
    assert labelled[0] == 200
    assert labelled[1]["model_version_status"][0]["version"] == "2"
