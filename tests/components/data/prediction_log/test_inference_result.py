"""What TFX's own BulkInferrer wrote becomes a window of the prediction log."""

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

COLUMNS = {"hour": [1, 20, 7], "delay": [1.5, -3.0, None], "origin": ["JFK", "LGA", "EWR"]}


@pytest.fixture(scope="module")
def inferred(tmp_path_factory):
    """An InferenceResult of three rows, by the executor of BulkInferrer."""
    import pyarrow as pa
    from tfx.components.bulk_inferrer import executor
    from tfx.dsl.components.base import base_beam_executor
    from tfx.proto import bulk_inferrer_pb2
    from tfx.types import artifact_utils, standard_artifacts
    from tfx.utils import proto_utils
    from tiny_serving_model import save_tiny_model

    from tfx_loop.data.span_example_gen.executor import write_examples

    folder = tmp_path_factory.mktemp("inferred")
    save_tiny_model(folder / "model" / "Format-Serving")
    given = {"examples": standard_artifacts.Examples(), "model": standard_artifacts.Model()}
    given["examples"].uri, given["model"].uri = str(folder / "examples"), str(folder / "model")
    given["examples"].split_names = artifact_utils.encode_split_names(["unlabelled"])
    write_examples(f"{folder}/examples/Split-unlabelled", pa.table(COLUMNS))
    result = standard_artifacts.InferenceResult()
    result.uri = str(folder / "result")
    spec = bulk_inferrer_pb2.ModelSpec(model_signature_name=["serving_default"])
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner", "--sdk_container_image=none"],
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    executor.Executor(context).Do(
        {name: [artifact] for name, artifact in given.items()},
        {"inference_result": [result]},
        {
            "model_spec": proto_utils.proto_to_json(spec),
            "data_spec": proto_utils.proto_to_json(bulk_inferrer_pb2.DataSpec()),
        },
    )
    return result


def test_rows_have_features_and_answers_and_are_read_as_any_log(inferred, tmp_path):
    from tfx_loop.core.artifacts import PredictionLog
    from tfx_loop.data.prediction_log.executor import Executor
    from tfx_loop.data.prediction_log.window_files import LOG_WINDOW

    log = PredictionLog()
    log.uri = str(tmp_path)
    about = {"model_name": "flights", "window": "w", "start_ms": 5, "end_ms": 9}
    Executor().Do({"inference_result": [inferred]}, {"prediction_log": [log]}, about)
    rows = pq.read_table(tmp_path / "rows.parquet").to_pydict()
    columns = [[v and v[0] for v in rows[f"feature.{name}"]] for name in COLUMNS]
    by_hour = sorted(zip(*columns, strict=True))
    assert by_hour == [(1, 1.5, "JFK"), (7, None, "EWR"), (20, -3.0, "LGA")]
    scores = dict(zip(columns[0], rows["output.probability"], strict=True))
    # sigmoid(delay / 10 + hour / 100 + (origin == "JFK")), by the model that was asked.
    assert scores == pytest.approx({1: 0.7613, 7: 0.5175, 20: 0.4750}, abs=1e-3)
    assert len(set(rows["request_id"])) == 3
    assert set(rows["event_time_ms"]) == {5}
    assert LOG_WINDOW.read(str(tmp_path)).rows == 3


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
    from tfx import v1 as tfx

    from tfx_loop import PredictionLogGen
    from tfx_loop.core.errors import ConfigError

    result = tfx.dsl.Channel(type=tfx.types.standard_artifacts.InferenceResult)
    about = {"model_name": "flights", "window": "w", "start_ms": 5, "end_ms": 9}
    PredictionLogGen(inference_result=result, **about)
    for given in ({}, {"log_dir": "/srv/log", "inference_result": result}):
        with pytest.raises(ConfigError, match="log_dir, capture or an inference_result"):
            PredictionLogGen(**about, **given)
