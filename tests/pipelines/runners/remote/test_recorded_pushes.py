"""Steps of a push that ran in a container of a service, in the loop's own store."""

import pytest
from recorder import open_store

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
)
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.core import storage
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.runners.remote.node_recording import (
    NodeRecording,
    node_arguments,
    taken,
    with_records,
)
from tfx_loop.pipelines.runners.remote.recording import RunToRecord, record_run
from tfx_loop.pipelines.runners.remote.services import RemoteRun
from tfx_loop.pipelines.runners.remote.spec_check import SpecCheck
from tfx_loop.pipelines.runners.remote.targets import Target

NODE = "SageMakerPusher"
PUSHED = {"uri": "gs://bucket/pushed", "type": {"schemaTitle": "tfx.PushedModel"}}


def spec(base):
    value = {"runtimeValue": {"constant": base}}
    return {
        "pipelineInfo": {"name": "training"},
        "components": {NODE: {"executorLabel": NODE}},
        "deploymentSpec": {
            "executors": {NODE: {"container": {"args": ["{{$}}", *node_arguments(NODE, NODE)]}}}
        },
        "root": {
            "dag": {
                "tasks": {
                    NODE: {
                        "componentRef": {"name": NODE},
                        "inputs": {"parameters": {"base_path": value}},
                    }
                }
            }
        },
    }


@pytest.fixture
def base(tmp_path):
    """The base path of a push of version 1 that ended."""
    folder = tmp_path / "base"
    deployment = Deployment(
        version=1,
        model_digest="sha256:0",
        model_uri="gs://bucket/model",
        reference_profile_uri="",
        variant="float",
        run_id="run-1",
        pushed_at_ms=1,
        replaced=None,
        state=DeploymentState.PUSHING,
    )
    record = DeploymentRecord("flights", endpoint="eu-west-1/flights").with_version(deployment)
    for number, step in enumerate((PushStep.UPLOAD_ARCHIVE, PushStep.CREATE_ENDPOINT)):
        record = record.with_event(step.value, 1, "made", number)
    folder.mkdir()
    text = storage.json_text(DEPLOYMENT_RECORD.content(record))
    (folder / DEPLOYMENT_RECORD.name).write_bytes(text)
    return str(folder)


class Run:
    """A run of one node, SageMakerPusher, whose container may leave a record."""

    def __init__(self, folder, base, state, tasks):
        root = str(folder / "root")
        self.spec = with_records(spec(base), root, "run-1", "run-1")
        self.store = open_store(folder / "metadata.db")
        remote = RemoteRun(run_id="run-1", name="jobs/1", state=state, tasks=tasks)
        check = SpecCheck(spec=self.spec, target=Target.VERTEX, root=root)
        self.ended = RunToRecord(run_id="run-1", check=check, remote=remote)

    def recording(self, parameters):
        words = self.spec["deploymentSpec"]["executors"][NODE]["container"]["args"]
        call = {
            "inputs": parameters,
            "outputs": {"artifacts": {"pushed_model": {"artifacts": [PUSHED]}}},
        }
        return NodeRecording(taken(words)[0], call, {})

    def record(self):
        record_run(self.store, self.ended)
        steps = self.store.get_executions_by_type(ledger.ROLLOUT)
        return [
            (told["run_id"], told["action"])
            for told in map(ledger.properties, sorted(steps, key=lambda step: step.id))
        ]


STEPS = [("run-1", "upload_archive"), ("run-1", "create_endpoint")]


def parameters(base, older):
    if older:
        return {"parameters": {"base_path": {"stringValue": base}}}
    return {"parameterValues": {"base_path": base}}


@pytest.mark.parametrize("older", [False, True])
def test_recorded_run_brings_the_steps_of_its_push_once(tmp_path, base, older):
    # A runtime parameter, which the spec does not tell: the container does.
    run = Run(tmp_path, "", RunState.SUCCEEDED, {NODE: "SUCCEEDED"})
    recording = run.recording(parameters(base, older))
    told = {"pushed_version": 1, "model_name": "flights"}
    recording.complete(
        {"artifacts": {"pushed_model": {"artifacts": [{**PUSHED, "metadata": told}]}}}
    )
    assert run.record() == STEPS
    assert run.record() == STEPS, "recorded again by another process"
    [step, _] = run.store.get_executions_by_type(ledger.ROLLOUT)
    read = run.store.get_events_by_execution_ids([step.id])
    assert len(read) == 1, "the step reads the version that the container pushed"


def test_failed_push_brings_its_steps_too(tmp_path, base):
    run = Run(tmp_path, "", RunState.FAILED, {NODE: "FAILED"})
    run.recording(parameters(base, False)).failed(RuntimeError("golden rows differ"))
    assert run.record() == STEPS


def test_push_whose_container_was_killed_is_found_by_the_spec(tmp_path, base):
    assert Run(tmp_path, base, RunState.FAILED, {NODE: "FAILED"}).record() == STEPS


def test_base_path_that_cannot_be_read_now_costs_the_run_nothing(tmp_path, base, caplog):
    place = tmp_path / "base" / DEPLOYMENT_RECORD.name
    content = place.read_text()
    place.write_text("cut off {")
    run = Run(tmp_path, base, RunState.FAILED, {NODE: "FAILED"})
    assert run.record() == []
    assert "recorded=no" in caplog.text
    place.write_text(content)
    assert run.record() == STEPS
