"""Steps of pushes to an endpoint: an execution each in ML Metadata, and what the lineage tells."""

import json

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from recorder import RecordedLauncher, RecordedRun, monitoring_nodes, open_store, training_nodes

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
)
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.core import storage
from tfx_loop.deployment.serving_pusher.promotion import as_stable, failed
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.rollouts import record_endpoint_pushes
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.show import render_explanation
from tfx_loop.pipelines.lineage.timeline import timeline

MADE = (PushStep.UPLOAD_ARCHIVE, PushStep.CREATE_MODEL, PushStep.CREATE_CONFIG)


def to_endpoint(nodes, base):
    """Returns the nodes with SageMakerPusher in place of the last, ServingPusher."""
    nodes[-1].name = "SageMakerPusher"
    return nodes


class Endpoint:
    """Two pushes by two runs: the first serves, the second fails its golden rows."""

    def __init__(self, folder):
        self.folder, self.base = folder, str(folder / "base")
        self.path = folder / "metadata.db"
        self.store = open_store(self.path)
        self.record = DeploymentRecord("flights", endpoint="eu-west-1/flights")

    def push(self, version, ends=True):
        run_id = f"run-{version}"
        run = RecordedRun(self.store, "training", run_id, self.folder / run_id)
        nodes = to_endpoint(training_nodes(version, pushed_at_ms=version), self.base)
        run.run(nodes if ends else nodes[:-1])
        (model,) = run.made["Trainer.model"]
        if not ends:
            self._failed_pusher(run)
        self._base_path(run_id)
        deployment = Deployment(
            version=version,
            model_digest="sha256:0",
            model_uri=model.uri,
            reference_profile_uri="",
            variant="float",
            run_id=run_id,
            pushed_at_ms=version,
            replaced=None,
            state=DeploymentState.PUSHING,
        )
        record = self.record.with_version(deployment)
        for step in (*MADE, PushStep.CREATE_ENDPOINT if version == 1 else PushStep.UPDATE_ENDPOINT):
            record = record.with_event(step.value, version, f"the {step.value}", 10 * version)
        if ends:
            record = as_stable(record, deployment, 10 * version + 1)
        else:
            record = failed(record, deployment, "golden rows differ")
            step = PushStep.PUSH_FAILED.value
            record = record.with_event(step, version, "golden rows differ", 10 * version + 1)
        self.record = record
        text = storage.json_text(DEPLOYMENT_RECORD.content(record))
        (self.folder / "base").mkdir(exist_ok=True)
        (self.folder / "base" / DEPLOYMENT_RECORD.name).write_bytes(text)
        return record_endpoint_pushes(self.store, run_id)

    def _failed_pusher(self, run):
        def work():
            raise RuntimeError("golden rows differ")

        nodes = to_endpoint(training_nodes(2, pushed_at_ms=2), self.base)
        nodes[-1].work = work
        with pytest.raises(RuntimeError):
            run.run(nodes)

    def _base_path(self, run_id):
        """Notes the node's parameter as TFX does."""
        for execution in ledger.executions_of_run(self.store, run_id):
            if ledger.short_type(execution.type) == ledger.ENDPOINT_PUSHER:
                execution.custom_properties["base_path"].string_value = self.base
                self.store.put_executions([execution])


@pytest.fixture
def endpoint(tmp_path):
    return Endpoint(tmp_path)


def test_each_step_is_an_execution_and_recorded_once(endpoint):
    assert endpoint.push(1) == 5
    assert record_endpoint_pushes(endpoint.store, "run-1") == 0
    steps = endpoint.store.get_executions_by_type(ledger.ROLLOUT)
    told = [ledger.properties(step) for step in steps]
    assert [one["action"] for one in told][:4] == [*(s.value for s in MADE), "create_endpoint"]
    assert {one["run_id"] for one in told} == {"run-1"}
    # The push's own steps of a second push are added, and no more.
    assert endpoint.push(2, ends=False) == 5


def test_explain_tells_the_steps_of_a_push(endpoint):
    endpoint.push(1)
    found = explain(endpoint.store, "flights", 1)
    assert [fact.action for fact in found.push_steps] == [
        *(step.value for step in MADE),
        "create_endpoint",
    ]
    assert [fact.action for fact in found.rollouts] == ["promote"]
    shown = render_explanation(found)
    assert "create endpoint: the create_endpoint" in shown
    assert found.served_until_ms is None


def test_graph_down_shows_the_steps_of_a_failed_push_behind_its_model(endpoint, capsys):
    endpoint.push(1)
    endpoint.push(2, ends=False)
    run = ["--metadata", str(endpoint.path), "--model", "flights"]
    assert main(["graph", "1", "--down", *run]) == 0
    assert "update_endpoint" not in (shown := capsys.readouterr().out)
    assert "create_endpoint: the create_endpoint in run-1" in shown
    assert main(["graph", endpoint.record.versions[1].model_uri, "--down", *run]) == 0
    shown = capsys.readouterr().out
    assert "update_endpoint: the update_endpoint in run-2" in shown
    assert "push_failed: golden rows differ in run-2 FAILED" in shown


def test_graph_up_shows_the_steps_that_brought_a_version_into_service(endpoint, capsys):
    endpoint.push(1)
    endpoint.push(2, ends=False)
    run = ["--metadata", str(endpoint.path), "--model", "flights"]
    assert main(["graph", "1", *run]) == 0
    lines = capsys.readouterr().out.splitlines()
    steps = [line.strip() for line in lines if line.strip().startswith(("upload", "create_"))]
    assert steps[0] == "upload_archive: the upload_archive in run-1"
    assert steps[-1] == "create_endpoint: the create_endpoint in run-1"
    assert len(steps) == 4, "those of the version, each once, oldest first"
    assert not any("promote" in line for line in lines), "what came after the push made nothing"
    assert main(["graph", "1", "--dot", *run]) == 0
    assert '[label="push_step"]' in capsys.readouterr().out


def test_timeline_tells_steps_and_how_a_push_ended(endpoint):
    endpoint.push(1)
    endpoint.push(2, ends=False)
    events = [(e.version, e.kind, e.text) for e in timeline(endpoint.store, "flights")]
    assert (1, "PUSH_STEP", "create_endpoint: the create_endpoint") in events
    assert (1, "PROMOTED", "the first") in events
    assert (2, "PUSH_STEP", "push_failed: golden rows differ") in events


def test_move_of_a_newer_release_is_told_by_its_name(endpoint):
    endpoint.record = endpoint.record.with_event("paused", 1, "by a newer release", 5)
    endpoint.push(1)
    assert "PAUSED" in [event.kind for event in timeline(endpoint.store, "flights")]


def test_record_that_cannot_be_read_now_is_recorded_later(endpoint, caplog):
    endpoint.push(1)
    place = endpoint.folder / "base" / DEPLOYMENT_RECORD.name
    content = json.loads(place.read_text())
    place.write_text("cut off {")
    assert record_endpoint_pushes(endpoint.store, "run-1") == 0
    assert "recorded=no" in caplog.text
    content["history"].append({**content["history"][-1], "revision": 6, "detail": "again"})
    place.write_text(json.dumps(content))
    assert record_endpoint_pushes(endpoint.store, "run-1") == 1


def test_retraining_that_pushed_to_an_endpoint_is_a_version_of_the_loop(endpoint):
    def training(run_id, request):
        return to_endpoint(training_nodes(2, pushed_at_ms=2), endpoint.base)

    def monitoring(run_id, request):
        return monitoring_nodes({"window": request.window, "verdict": "RETRAIN"})

    endpoint.push(1)
    parts = (endpoint.store, "training", endpoint.folder / "t", training)
    loop = Controller(
        endpoint.store,
        LoopSettings(model_name="flights", mode=LoopMode.ACT),
        RecordedLauncher(endpoint.store, "monitoring", endpoint.folder / "m", monitoring),
        RecordedLauncher(*parts),
        clock=lambda: 1_362_096_000_000,
    )
    result = loop.step("2013-05")
    assert result.outcome.pushed_version == 2
    why = explain(endpoint.store, "flights", 2).why
    assert why is not None
    assert why.window == "2013-05"


def test_failed_step_is_no_failed_node(endpoint):
    endpoint.push(2, ends=False)
    states = {
        ledger.properties(step)["action"]: step.last_known_state
        for step in endpoint.store.get_executions_by_type(ledger.ROLLOUT)
    }
    assert states["push_failed"] == pb.Execution.FAILED
    assert states["update_endpoint"] == pb.Execution.COMPLETE
