"""What KFP's driver (2.17, recorded) hands to a node, and what the node gets of it."""

import json
from pathlib import Path

import pytest

from tfx_loop.pipelines.runners import kubeflow_entry

HERE = Path(__file__).parent
EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
DECLARED = {"artifacts": {"examples": {"artifactType": EXAMPLES}}}
REMOTE = "minio://mlpipeline/v2/artifacts/flights-training/RUN/SpanExampleGen/RUN/examples"
LOCAL = "/minio/mlpipeline/v2/artifacts/flights-training/RUN/SpanExampleGen/RUN/examples"


def recorded(node):
    return json.loads((HERE / f"{node}.executor_input.kfp-2.17.json").read_text())


def test_input_gets_the_type_that_the_component_declares():
    call = recorded("StatisticsGen")
    kubeflow_entry.completed_call(call, DECLARED)
    [given] = call["inputs"]["artifacts"]["examples"]["artifacts"]
    assert given["type"] == EXAMPLES
    assert given["uri"] == LOCAL


@pytest.mark.parametrize("kind", [{}, {"schemaTitle": "system.Artifact"}, {"instanceSchema": ""}])
def test_types_of_kfp_s_own_are_replaced(kind):
    artifact = {"uri": "gs://bucket/e", "type": kind}
    call = {"inputs": {"artifacts": {"examples": {"artifacts": [artifact]}}}}
    kubeflow_entry.completed_call(call, DECLARED)
    assert artifact["type"] == EXAMPLES


def test_call_of_vertex_is_left_as_it_is():
    artifact = {"uri": "gs://bucket/e", "type": {"schemaTitle": "tfx.Examples"}}
    call = {"inputs": {"artifacts": {"examples": {"artifacts": [artifact]}}}}
    before = json.dumps(call)
    assert kubeflow_entry.completed_call(call, DECLARED) == {}
    assert json.dumps(call) == before


def test_outputs_are_written_where_the_launcher_copies_from_and_reported_as_uris():
    call = recorded("SpanExampleGen")
    uris = kubeflow_entry.completed_call(call, {})
    [output] = call["outputs"]["artifacts"]["examples"]["artifacts"]
    assert output["uri"] == LOCAL
    assert uris == {LOCAL: REMOTE}
    told = {"artifacts": {"examples": {"artifacts": [{"uri": LOCAL}, {"uri": "gs://b/other"}]}}}
    kubeflow_entry.reported(told, uris)
    assert [one["uri"] for one in told["artifacts"]["examples"]["artifacts"]] == [
        REMOTE,
        "gs://b/other",
    ]


def test_node_runs_with_the_completed_call_and_its_report_is_completed(tmp_path):
    call = recorded("SpanExampleGen")
    call["outputs"]["outputFile"] = str(tmp_path / "output.json")
    given = []

    def node(arguments, run_id):
        given.extend(arguments)
        assert run_id == ""
        output = {"artifacts": {"examples": {"artifacts": [{"uri": LOCAL}]}}}
        (tmp_path / "output.json").write_text(json.dumps(output))

    flags = ["--executor_class_path", "mine.Executor", "--json_serialized_invocation_args"]
    kubeflow_entry.main([*flags, json.dumps(call), "--runner=DirectRunner"], node)
    assert given[:3] == flags
    assert given[4:] == ["--runner=DirectRunner"]
    got = json.loads(given[3])
    assert got["inputs"] == call["inputs"]
    assert got["outputs"]["artifacts"]["examples"]["artifacts"][0]["uri"] == LOCAL
    told = json.loads((tmp_path / "output.json").read_text())
    assert told["artifacts"]["examples"]["artifacts"][0]["uri"] == REMOTE
