"""What TFX's own BulkInferrer wrote becomes a window of the prediction log, in one pipeline."""

import pyarrow.parquet as pq
import pytest
from compiled_pipeline import compile_pipeline

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

tfx = pytest.importorskip("tfx.v1", reason="needs TFX")
types = tfx.types.standard_artifacts
COLUMNS = {"hour": [1, 20, 7], "delay": [1.5, -3.0, None], "origin": ["JFK", "LGA", "EWR"]}


@tfx.dsl.components.component
def Given(  # noqa: N802 - a node
    model: tfx.dsl.components.OutputArtifact[types.Model],
    examples: tfx.dsl.components.OutputArtifact[types.Examples],
):
    from pathlib import Path

    import pyarrow as pa
    from tiny_serving_model import save_tiny_model

    from tfx_loop.data.span_example_gen.executor import write_examples

    save_tiny_model(Path(model.uri) / "Format-Serving")
    examples.split_names = '["unlabelled"]'
    write_examples(f"{examples.uri}/Split-unlabelled", pa.table(COLUMNS))


def nodes():
    """Returns a model and rows, a stock BulkInferrer, and PredictionLogGen behind it."""
    from tfx_loop import PredictionLogGen

    given = Given()
    inferrer = tfx.components.BulkInferrer(
        examples=given.outputs["examples"],
        model=given.outputs["model"],
        model_spec=tfx.proto.ModelSpec(model_signature_name=["serving_default"]),
    )
    log = PredictionLogGen(
        inference_result=inferrer.outputs["inference_result"],
        model_name="flights",
        window="w",
        start_ms=5,
        end_ms=9,
    )
    return [given, inferrer, log]


def test_rows_of_bulk_inferrer_have_features_and_answers_and_are_read_as_any_log(tmp_path):
    from tfx_loop.data.prediction_log.window_files import LOG_WINDOW

    sqlite = tfx.orchestration.metadata.sqlite_metadata_connection_config
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="inferred",
            pipeline_root=str(tmp_path / "root"),
            components=nodes(),
            metadata_connection_config=sqlite(str(tmp_path / "metadata.sqlite")),
            beam_pipeline_args=["--runner=FnApiRunner", "--sdk_container_image=none"],
        )
    )
    (written,) = (tmp_path / "root/PredictionLogGen/prediction_log").iterdir()
    rows = pq.read_table(written / "rows.parquet").to_pydict()
    columns = [[v and v[0] for v in rows[f"feature.{name}"]] for name in COLUMNS]
    by_hour = sorted(zip(*columns, strict=True))
    assert by_hour == [(1, 1.5, "JFK"), (7, None, "EWR"), (20, -3.0, "LGA")]
    scores = dict(zip(columns[0], rows["output.probability"], strict=True))
    # sigmoid(delay / 10 + hour / 100 + (origin == "JFK")), by the model that was asked.
    assert scores == pytest.approx({1: 0.7613, 7: 0.5175, 20: 0.4750}, abs=1e-3)
    assert len(set(rows["request_id"])) == 3
    assert set(rows["event_time_ms"]) == {5}
    assert LOG_WINDOW.read(str(written)).rows == 3


def test_they_compile_for_kubeflow(tmp_path):
    tasks = compile_pipeline(tmp_path, nodes())["root"]["dag"]["tasks"]
    assert tasks["PredictionLogGen"]["dependentTasks"] == ["BulkInferrer"]


def test_other_records_are_refused_in_one_line(tmp_path):
    import tensorflow as tf

    from tfx_loop.core.errors import DataError
    from tfx_loop.data.prediction_log.inference_result import read_inference

    with tf.io.TFRecordWriter(str(tmp_path / "rows.gz"), "GZIP") as writer:
        writer.write(b"\xff\xff")
    with pytest.raises(DataError, match="Expected a PredictionLog message") as error:
        read_inference(str(tmp_path), "flights", 0)
    assert "\n" not in str(error.value)


def test_a_log_and_an_inference_result_are_not_read_at_once():
    from tfx_loop import PredictionLogGen
    from tfx_loop.core.errors import ConfigError

    result = tfx.dsl.Channel(type=tfx.types.standard_artifacts.InferenceResult)
    about = {"model_name": "flights", "window": "w", "start_ms": 5, "end_ms": 9}
    PredictionLogGen(inference_result=result, **about)
    for given in ({}, {"log_dir": "/srv/log", "inference_result": result}):
        with pytest.raises(ConfigError, match="log_dir, capture or an inference_result"):
            PredictionLogGen(**about, **given)
