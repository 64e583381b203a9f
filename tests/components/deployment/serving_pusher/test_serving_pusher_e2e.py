"""ServingPusher with a real server process: pushes, switches, failures that change nothing."""

import json
import shutil
import time
from pathlib import Path

import pytest
from server_process import ServerProcess
from time_limits import seconds
from tiny_serving_model import save_tiny_model

from tfx_loop.contracts.deployment_record import DeploymentState, read_record
from tfx_loop.core.errors import ModelRejected, ServerUnavailable
from tfx_loop.data.prediction_log.record import routing_position

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

COLUMNS = {"hour": [1, 20, 7], "delay": [1.5, -3.0, 0.0], "origin": ["JFK", "LGA", "EWR"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models that answer differently, each saved where Trainer would save it."""
    folder = tmp_path_factory.mktemp("models")
    for name, bias in (("low", -1.0), ("high", 1.0)):
        save_tiny_model(folder / name / "Format-Serving", bias)
    return folder


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Examples of a split `eval`, as an ExampleGen writes them."""
    import pyarrow as pa
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.data.span_example_gen.executor import write_examples

    result = standard_artifacts.Examples()
    result.uri = str(tmp_path_factory.mktemp("examples"))
    result.split_names = artifact_utils.encode_split_names(["train", "eval"])
    write_examples(f"{result.uri}/Split-eval", pa.table(COLUMNS))
    return result


class PusherBesideServer:
    """One running server and the node's executor that pushes to it."""

    def __init__(self, scratch, examples):
        self.base = scratch / "serving" / "flights"
        self.base.mkdir(parents=True)
        self.examples = examples
        self.scratch = scratch
        self.server = ServerProcess(self.base, scratch, scratch / "log").start()
        self.url = f"http://127.0.0.1:{self.server.rest_port}"

    def push(self, model_dir, blessed=True, log=None, **settings):
        from tfx.types import standard_artifacts

        from tfx_loop.deployment.serving_pusher.executor import Executor

        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        model.uri = str(model_dir)
        blessing.uri = str(self.scratch / "blessing" / ("yes" if blessed else "no"))
        Path(blessing.uri).mkdir(parents=True, exist_ok=True)
        (Path(blessing.uri) / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
        blessing.set_int_custom_property("blessed", int(blessed))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(self.scratch / "pushed")
        Path(pushed.uri).mkdir(exist_ok=True)
        Executor().Do(
            {
                "model": [model],
                "model_blessing": [blessing],
                "examples": [self.examples],
                **({"prediction_log": [log]} if log is not None else {}),
            },
            {"pushed_model": [pushed]},
            {
                "model_name": "flights",
                "base_path": str(self.base),
                "server_url": self.url,
                "load_timeout_seconds": int(seconds(30)),
                "golden_rows": 3,
                **settings,
            },
        )
        return pushed

    def answers(self):
        found = self.server.client().predict(COLUMNS, signature_name="serving_columns")
        return [row[0] for row in found["probability"]]

    def wait_for_answers(self, true):
        deadline = time.monotonic() + seconds(30)
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @property
    def states(self):
        return {v.version: v.state for v in read_record(str(self.base), "flights").versions}

    @property
    def folders(self):
        # The lock's file stays, and is nothing of a model.
        return sorted(path.name for path in self.base.iterdir() if path.name != ".lock")


@pytest.fixture
def deployed(tmp_path, examples):
    running = PusherBesideServer(tmp_path, examples)
    yield running
    running.server.stop()


def broken(models, scratch):
    """Returns a model whose graph reads a variable that its checkpoint has not."""
    target = scratch / "broken"
    shutil.copytree(models / "high", target)
    (target / "Format-Serving" / "saved_model.pb").write_bytes(b"\x0arubbish" * 20)
    return target


def test_push_switch_failures_and_a_killed_server(deployed, models):
    first = deployed.push(models / "low")
    low = deployed.answers()
    assert first.get_int_custom_property("pushed_version") == 1
    assert first.get_int_custom_property("replaced_version") in (0, None)
    assert first.get_string_custom_property("pushed_destination") == str(deployed.base / "1")
    assert first.get_string_custom_property("model_digest").startswith("sha256:")

    second = deployed.push(models / "high")
    high = deployed.answers()
    assert second.get_int_custom_property("pushed_version") == 2
    assert second.get_int_custom_property("replaced_version") == 1
    assert all(b > a for a, b in zip(low, high, strict=True))
    assert deployed.states == {1: DeploymentState.RETIRED, 2: DeploymentState.STABLE}

    with pytest.raises(ModelRejected, match="Expected a SavedModel whose signature"):
        deployed.push(broken(models, deployed.scratch))
    assert deployed.answers() == high
    assert deployed.states == {1: DeploymentState.RETIRED, 2: DeploymentState.STABLE}

    held = deployed.push(models / "low", blessed=False)
    assert held.get_int_custom_property("pushed") in (0, None)
    assert held.get_string_custom_property("reason") == "not_blessed"
    assert deployed.folders == ["1", "2", "deployment.json"]
    assert deployed.answers() == high

    deployed.server.kill()
    with pytest.raises(ServerUnavailable, match="Is the model server running"):
        deployed.push(models / "low")
    assert deployed.folders == ["1", "2", "deployment.json"]
    assert deployed.states == {1: DeploymentState.RETIRED, 2: DeploymentState.STABLE}


def test_a_version_that_the_server_cannot_load_is_withdrawn_with_its_reason(
    deployed, models, monkeypatch
):
    """The model loads here, but its copy on the server's disk is damaged."""
    deployed.push(models / "low")
    before = deployed.answers()
    copy = shutil.copytree

    def damaged(source, target, *args, **kwargs):
        copied = copy(source, target, *args, **kwargs)
        if Path(target).name == ".staging-2":
            (Path(target) / "saved_model.pb").write_bytes(b"\x0arubbish" * 20)
        return copied

    monkeypatch.setattr(shutil, "copytree", damaged)
    with pytest.raises(
        ModelRejected, match=r"Expected version 2 to become AVAILABLE.*state END .+"
    ):
        deployed.push(models / "high")
    assert deployed.answers() == before
    assert deployed.folders == ["1", "deployment.json"]
    assert deployed.states == {1: DeploymentState.STABLE, 2: DeploymentState.FAILED}


def test_a_server_that_answers_otherwise_than_the_model_is_found_out(deployed, models, monkeypatch):
    deployed.push(models / "low")
    before = deployed.answers()
    copy = shutil.copytree

    def exchanged(source, target, *args, **kwargs):
        if Path(target).name == ".staging-2":
            source = models / "low" / "Format-Serving"
        return copy(source, target, *args, **kwargs)

    monkeypatch.setattr(shutil, "copytree", exchanged)
    with pytest.raises(ModelRejected, match=r"Expected version 2 to answer \[.*received \["):
        deployed.push(models / "high")
    deployed.server.wait_for(1, "AVAILABLE")
    assert deployed.answers() == before
    assert deployed.states == {1: DeploymentState.STABLE, 2: DeploymentState.FAILED}


def test_golden_requests_stay_out_of_monitoring(deployed, models):
    from tfx_loop.data.prediction_log.reader import read_window

    deployed.push(models / "low")
    deployed.server.client().predict(
        COLUMNS, signature_name="serving_columns", request_id="real", event_time_ms=5
    )
    # What anybody can send: the beginning of the id, and a token of no push.
    deployed.server.client().predict(
        COLUMNS,
        signature_name="serving_columns",
        request_id="golden-1",
        event_time_ms=5,
        golden_token="0" * 32,
    )
    window = read_window(str(deployed.server.log_dir), "flights", 0, 10**14)
    assert sorted(window.table.column("request_id").to_pylist()) == ["golden-1"] * 3 + ["real"] * 3
    # Three rows, asked once for the answers and three times for the time they take.
    assert window.losses.golden_rows == 12
    assert "golden" not in window.table.schema.names


def test_requests_of_one_id_count_once_a_content_or_key(deployed, models):
    from tfx_loop.data.prediction_log.reader import read_window

    deployed.push(models / "low")
    client = deployed.server.client()
    row = {"hour": [1], "origin": ["JFK"]}
    asked = [(1.0, None), (2.0, None), (1.0, None), (3.0, None), (4.0, "k"), (5.0, "k")]
    for delay, key in asked:
        client.predict(
            {**row, "delay": [delay]},
            signature_name="serving_columns",
            request_id="handed-on",
            request_key=key,
            event_time_ms=5,
        )
    window = read_window(str(deployed.server.log_dir), "flights", 0, 6)
    assert sorted(window.table.column("feature.delay").to_pylist()) == [1.0, 2.0, 3.0, 4.0]
    assert window.losses.duplicate_rows == 2


def test_canary_is_compared_gets_its_share_and_is_promoted_and_rolled_back(deployed, models):
    from tfx_loop.core.artifacts import PredictionLog
    from tfx_loop.data.prediction_log.reader import read_window
    from tfx_loop.data.prediction_log.window_files import LogWindow, write_window
    from tfx_loop.deployment.live_rollout import LiveRollout
    from tfx_loop.deployment.serving_pusher.shadow import SHADOW_REPORT

    deployed.push(models / "low")
    client = deployed.server.client()
    for number in range(10):
        client.predict(COLUMNS, signature_name="serving_columns", event_time_ms=number)
    read = read_window(str(deployed.server.log_dir), "flights", 0, 100)
    log = PredictionLog()
    log.uri = str(deployed.scratch / "log_window")
    window = LogWindow(window="w", start_ms=0, end_ms=100, model_name="flights", rows=30)
    write_window(log.uri, window, read.table)
    low = deployed.answers()[0]

    pushed = deployed.push(models / "high", log=log, canary_share=0.4)
    assert pushed.get_string_custom_property("rollout_state") == "canary"
    report = SHADOW_REPORT.read(pushed.uri)
    assert (report.champion, report.candidate, report.rows) == (1, 2, len(read.table))
    assert report.mean_difference["probability"] > 0.1
    assert deployed.states == {1: DeploymentState.STABLE, 2: DeploymentState.CANARY}

    def answers(keys):
        return [
            client.predict(COLUMNS, signature_name="serving_columns", request_id=key)[
                "probability"
            ][0][0]
            for key in keys
        ]

    keys = [f"r{number}" for number in range(100)]
    expected = [routing_position(key) < 0.4 for key in keys]
    deadline = time.monotonic() + seconds(30)
    # The server looks at the record a few times a second.
    while [answer > low for answer in answers(keys)] != expected:
        assert time.monotonic() < deadline
    assert answers(keys) == answers(keys), "a repeat is answered by the same version"

    rollout = LiveRollout(base_path=str(deployed.base))
    rollout.label("blue", 1)
    rollout.promote()
    deployed.wait_for_answers(lambda: min(answers(keys)) > low)
    labelled = client._request(
        "POST",
        "/v1/models/flights/labels/blue:predict",
        json.dumps({"signature_name": "serving_columns", "inputs": COLUMNS}).encode(),
        {},
        None,
    )
    assert labelled[1]["outputs"][0][0] == pytest.approx(low)
    rollout.roll_back(1, "wrong prices")
    deployed.wait_for_answers(lambda: max(answers(keys)) == low)
    assert deployed.folders == ["1", "2", "deployment.json"]
    again = read_window(str(deployed.server.log_dir), "flights", 0, 100)
    assert len(again.table) == len(read.table), "neither golden nor shadow requests are traffic"
