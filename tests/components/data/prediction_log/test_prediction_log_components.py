"""PredictionLogGen and LabelJoiner as TFX runs them, on real files."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_rows import DAY_MS, START_MS, batch_of

from tfx_loop.data.prediction_log.writer import PredictionLogWriter

pytestmark = pytest.mark.tensorflow

END_MS = START_MS + 31 * DAY_MS


@pytest.fixture
def log_dir(tmp_path):
    """A log with 3 rows in March, one of them repeated, and one in April."""
    log = PredictionLogWriter(tmp_path / "log")
    for name, rows, time_ms in (("a", 2, START_MS), ("a", 1, START_MS), ("b", 1, END_MS - 1)):
        log.append("flights", time_ms, batch_of(name, rows, event_time_ms=time_ms))
    log.append("flights", END_MS, batch_of("c", event_time_ms=END_MS))
    log.close()
    return tmp_path / "log"


def output_at(path):
    from tfx_loop.core.artifacts import PredictionLog

    artifact = PredictionLog()
    artifact.uri = str(path)
    return artifact


def generate(log_dir, path, start_ms=START_MS, end_ms=END_MS):
    from tfx_loop.data.prediction_log.executor import Executor

    artifact = output_at(path)
    properties = {
        "log_dir": str(log_dir),
        "model_name": "flights",
        "window": "2013-03",
        "start_ms": start_ms,
        "end_ms": end_ms,
    }
    Executor().Do({}, {"prediction_log": [artifact]}, properties)
    return artifact


def join(log, labels_dir, path, **properties):
    from tfx_loop.data.prediction_log.label_joiner_executor import Executor

    artifact = output_at(path)
    Executor().Do(
        {"prediction_log": [log]},
        {"labelled_log": [artifact]},
        {"labels_dir": str(labels_dir), **properties},
    )
    return artifact


def test_prediction_log_gen_writes_rows_and_window(log_dir, tmp_path):
    artifact = generate(log_dir, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "rows.parquet")
    assert rows.column("request_id").to_pylist() == ["a", "a", "b"]
    assert "answered_time_ms" not in rows.schema.names
    window = json.loads((tmp_path / "out" / "window.json").read_text())
    losses = window.pop("losses")
    assert window == {
        "schema_version": 1,
        "window": "2013-03",
        "start_ms": START_MS,
        "end_ms": END_MS,
        "model_name": "flights",
        "rows": 3,
    }
    assert losses["duplicate_rows"] == 1
    assert sum(losses.values()) == 1
    assert artifact.get_int_custom_property("rows") == 3
    assert artifact.get_string_custom_property("window") == "2013-03"


def test_a_window_with_no_rows_is_a_valid_artifact(log_dir, tmp_path):
    artifact = generate(log_dir, tmp_path / "out", END_MS + DAY_MS * 9, END_MS + DAY_MS * 10)
    assert pq.read_table(tmp_path / "out" / "rows.parquet").num_rows == 0
    assert json.loads((tmp_path / "out" / "window.json").read_text())["rows"] == 0
    (tmp_path / "labels").mkdir()
    joined = join(artifact, tmp_path / "labels", tmp_path / "joined")
    assert joined.get_int_custom_property("rows") == 0


def test_label_joiner_writes_labelled_rows_and_counts(log_dir, tmp_path):
    log = generate(log_dir, tmp_path / "out")
    (tmp_path / "labels").mkdir()
    labels = pa.table(
        {
            "request_id": ["a", "a", "zz", "b"],
            "instance_index": [1, 1, 0, 0],
            "label": [1.0, 1.0, 0.0, None],
            "label_time_ms": [5, 6, 7, 8],
        }
    )
    pq.write_table(labels, tmp_path / "labels" / "x.parquet")
    artifact = join(log, tmp_path / "labels", tmp_path / "joined")
    rows = pq.read_table(tmp_path / "joined" / "rows.parquet").to_pylist()
    assert [(r["request_id"], r["instance_index"], r["label"]) for r in rows] == [("a", 1, 1.0)]
    window = json.loads((tmp_path / "joined" / "window.json").read_text())
    assert window["rows"] == 1
    assert window["labels"] == {
        "matched": 1,
        "unknown_ids": 1,
        "duplicates": 1,
        "conflicting": 0,
        "wrong_type": 1,
        "after_as_of": 0,
        "unlabelled_rows": 2,
        "unusable_files": 0,
    }
    assert artifact.get_int_custom_property("rows") == 1
    late = join(log, tmp_path / "labels", tmp_path / "early", as_of_ms=4)
    assert late.get_int_custom_property("rows") == 0


def test_nodes_take_runtime_parameters_and_compile_for_kubeflow(tmp_path):
    from tfx.orchestration import data_types, pipeline
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    from tfx_loop.data.prediction_log.component import PredictionLogGen
    from tfx_loop.data.prediction_log.label_joiner import LabelJoiner

    def parameter(name, kind):
        return data_types.RuntimeParameter(name=name, ptype=kind)

    log = PredictionLogGen(
        log_dir=parameter("log_dir", str),
        model_name="flights",
        window=parameter("window", str),
        start_ms=parameter("start_ms", str),
        end_ms=parameter("end_ms", str),
    )
    joiner = LabelJoiner(
        prediction_log=log.outputs["prediction_log"],
        labels_dir="labels",
        as_of_ms=parameter("as_of_ms", str),
    )
    declared = pipeline.Pipeline(
        pipeline_name="monitor", pipeline_root=str(tmp_path), components=[log, joiner]
    )
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image="image"),
        output_dir=str(tmp_path),
        output_filename="spec.json",
    )
    runner.run(declared)
    spec = (tmp_path / "spec.json").read_text()
    assert "tfx_loop.PredictionLog" in spec
    assert "tfx_loop.data.prediction_log.label_joiner_executor.Executor" in spec


def test_nodes_run_in_a_local_pipeline(log_dir, tmp_path):
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local import local_dag_runner

    from tfx_loop.data.prediction_log.component import PredictionLogGen
    from tfx_loop.data.prediction_log.label_joiner import LabelJoiner

    (tmp_path / "labels").mkdir()
    log = PredictionLogGen(
        log_dir=str(log_dir),
        model_name="flights",
        window="2013-03",
        start_ms=START_MS,
        end_ms=END_MS,
    )
    joiner = LabelJoiner(
        prediction_log=log.outputs["prediction_log"], labels_dir=str(tmp_path / "labels")
    )
    config = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    local_dag_runner.LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="monitor",
            pipeline_root=str(tmp_path / "root"),
            components=[log, joiner],
            metadata_connection_config=config,
        )
    )
    with metadata.Metadata(config) as store:
        artifacts = store.store.get_artifacts_by_type("tfx_loop.PredictionLog")
        states = [e.last_known_state for e in store.store.get_executions()]
    assert sorted(a.custom_properties["rows"].int_value for a in artifacts) == [0, 3]
    assert set(states) == {metadata_store_pb2.Execution.COMPLETE}
