"""The record that a container leaves of its node, in a folder or in a bucket."""

import json

import pytest
from object_stores import S3, object_store

from tfx_loop.contracts.node_record import NodeEnd
from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.runners import kubeflow_entry
from tfx_loop.pipelines.runners.remote.node_recording import (
    keep_spec,
    kept_spec,
    node_arguments,
    read_records,
    with_records,
)

LOG = {"instanceSchema": "title: tfx_loop.PredictionLog\ntype: object\n"}
SPEC = {
    "deploymentSpec": {
        "executors": {
            "run": {"container": {"args": ["{{$}}", *node_arguments("Monitor", "a.b.Monitor")]}},
            "import": {"importer": {}},
        }
    }
}


def call(folder):
    read = {"uri": "gs://bucket/log", "type": LOG, "metadata": {"rows": 7.0, "window": "2013-04"}}
    written = {"uri": "s3://bucket/report", "type": {"schemaTitle": "tfx_loop.DriftReport"}}
    return {
        "inputs": {"artifacts": {"prediction_log": {"artifacts": [read]}}},
        "outputs": {
            "artifacts": {"report": {"artifacts": [written]}},
            "outputFile": str(folder / "output.json"),
        },
    }


def arguments(root, folder):
    made = with_records(SPEC, root, "monitor-2", "monitor")
    words = made["deploymentSpec"]["executors"]["run"]["container"]["args"]
    flags = ["--executor_class_path", "a.Executor", "--json_serialized_invocation_args"]
    return [*flags, json.dumps(call(folder)), *words[1:]]


def node(folder, metadata):
    def run(words, run_id):
        assert not [word for word in words if word.startswith("--loop")]
        assert run_id == "monitor"
        artifact = {"uri": "/s3/bucket/report", "metadata": metadata}
        output = {"artifacts": {"report": {"artifacts": [artifact]}}}
        (folder / "output.json").write_text(json.dumps(output))

    return run


def test_node_tells_what_it_read_and_wrote(tmp_path):
    said = {"drifted": 1.0, "distance": 0.25, "kept": True, "current_model_id": "projects/7"}
    kubeflow_entry.main(arguments(str(tmp_path), tmp_path), node(tmp_path, said))
    [record] = read_records(str(tmp_path), "monitor-2")
    assert (record.run_id, record.node, record.node_type) == ("monitor", "Monitor", "a.b.Monitor")
    assert (record.end, record.reason) == (NodeEnd.COMPLETE, "")
    assert 0 < record.started_ms <= record.ended_ms
    [log] = record.inputs["prediction_log"]
    assert (log.type_name, log.uri) == ("tfx_loop.PredictionLog", "gs://bucket/log")
    assert log.properties == {"rows": 7, "window": "2013-04"}
    [report] = record.outputs["report"]
    assert (report.type_name, report.uri) == ("tfx_loop.DriftReport", "s3://bucket/report")
    assert report.properties == {"drifted": 1, "distance": 0.25, "kept": 1}
    assert isinstance(report.properties["drifted"], int)


def test_failure_is_recorded_and_raised(tmp_path):
    def fails(words, run_id):
        raise DataError("Expected rows in span 7, found none.")

    with pytest.raises(DataError, match="span 7"):
        kubeflow_entry.main(arguments(str(tmp_path), tmp_path), fails)
    [record] = read_records(str(tmp_path), "monitor-2")
    assert (record.end, record.outputs) == (NodeEnd.FAILED, {})
    assert record.reason == "DataError: Expected rows in span 7, found none."


def test_container_that_is_started_again_speaks_last(tmp_path):
    with pytest.raises(SystemExit):
        kubeflow_entry.main(arguments(str(tmp_path), tmp_path), lambda words, run_id: exit(1))
    kubeflow_entry.main(arguments(str(tmp_path), tmp_path), node(tmp_path, {}))
    [record] = read_records(str(tmp_path), "monitor-2")
    assert record.end is NodeEnd.COMPLETE


def test_without_an_order_nothing_is_written(tmp_path):
    words = [word for word in arguments(str(tmp_path), tmp_path) if "--loop_r" not in word]
    kubeflow_entry.main(words, lambda given, run_id: node(tmp_path, {})(given, "monitor"))
    assert not list(read_records(str(tmp_path), "monitor-2"))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_records_and_spec_lie_in_the_bucket(tmp_path, scheme):
    with object_store(S3, "bucket"):
        root = f"{scheme}://bucket/root"
        keep_spec(SPEC, root, "monitor-2")
        kubeflow_entry.main(arguments(root, tmp_path), node(tmp_path, {}))
        assert [record.node for record in read_records(root, "monitor-2")] == ["Monitor"]
        assert kept_spec(root, "monitor-2") == SPEC
        with pytest.raises(DataError, match="Expected the spec of the run monitor-3"):
            kept_spec(root, "monitor-3")
