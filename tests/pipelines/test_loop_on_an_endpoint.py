"""The loop of a SageMaker endpoint as loop.toml states it: pusher, captures, labels' coverage."""

import json
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from object_stores import S3, object_store
from sagemaker_capture import capture_line

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.loop import Loop
from tfx_loop.pipelines.loop_file import read_loop_file

HEAD = """
name = "taxi"
label = "tip"
labels = "labels"
[windows]
every = "day"
first = "2026-03-01"
[serving]
base_path = "s3://models/taxi"
"""
ENDPOINT = """
[serving.endpoint]
endpoint = "taxi-prod"
region = "eu-west-1"
role_arn = "arn:aws:iam::123456789012:role/sagemaker"
image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.16-cpu"
instance_type = "ml.m5.large"
capture_percent = 50
"""
DAY = datetime(2026, 3, 1, tzinfo=timezone.utc)


def read(folder, more=ENDPOINT, head=HEAD):
    (folder / "loop.toml").write_text(head + more)
    return read_loop_file(folder / "loop.toml").settings


def test_an_endpoint_says_where_its_captures_are(tmp_path):
    settings = read(tmp_path)
    serving = settings.pipelines("s3://models/taxi", "").serving
    assert serving.logged == {
        "capture": CaptureSource(
            prefix="s3://models/taxi/capture/taxi-prod",
            variants=("AllTraffic",),
            sampling_percentage=50,
        )
    }
    assert serving.endpoint["region"] == "eu-west-1"


def test_captures_are_stated_where_they_are_elsewhere(tmp_path):
    more = '[serving.capture]\nprefix = "captures"\nfeature_names = ["miles", "fare"]'
    capture = read(tmp_path, ENDPOINT + more).serving.capture
    assert (capture.prefix, capture.feature_names) == (
        str(tmp_path / "captures"),
        ("miles", "fare"),
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "or a SageMaker endpoint in .serving.endpoint., received neither"),
        ('url = "http://127.0.0.1:1"' + ENDPOINT, "received both"),
        (ENDPOINT.replace("region", "regoin"), "Did you mean 'region'"),
        (ENDPOINT.replace('"taxi-prod"', "3"), "endpoint"),
        (ENDPOINT.replace("50", "true"), "capture_percent"),
        (ENDPOINT + 'base_path = "s3://b/c"', "It is stated in .serving"),
        (ENDPOINT + '[serving.capture]\nprefix = "c"\nsampling_percentage = 0', "above 0"),
        (ENDPOINT + '[serving.capture]\nprefix = "c"\nvariants = "blue"', "variants"),
        (ENDPOINT + '[serving.capture]\nprefx = "c"', "Did you mean 'prefix'"),
        ("endpoint = 3", "Expected a table .serving.endpoint."),
    ],
)
def test_what_cannot_be_is_told_when_the_file_is_read(tmp_path, more, told):
    with pytest.raises(ConfigError, match=told) as raised:
        read(tmp_path, more)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_labels_are_counted_beside_captured_rows(tmp_path):
    settings = read(tmp_path, ENDPOINT + '[serving.capture]\nprefix = "captures/taxi-prod"')
    folder = tmp_path / "captures/taxi-prod/AllTraffic/2026/03/01/00"
    folder.mkdir(parents=True)
    config = {
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    request = (b'{"instances": [{"miles": 1.0}, {"miles": 2.0}]}', "application/json")
    answer = (b'{"predictions": [[0.1], [0.9]]}', "application/json")
    lines = [capture_line(config, request, answer, f"r{number}", DAY) for number in range(4)]
    (folder / "00-00.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "labels").mkdir()
    labels = {"request_id": ["r0", "r1"], "instance_index": [0, 1], "label": [0.0, 1.0]}
    came = [int(DAY.timestamp() * 1000) + 1] * 2
    pq.write_table(pa.table({**labels, "label_time_ms": came}), tmp_path / "labels/1.parquet")
    now_ms = int(DAY.timestamp() * 1000) + 2 * 86_400_000
    with object_store(S3, "models"):
        # No server is asked for its folders.
        loop = Loop(settings, pipeline=None, clock=lambda: now_ms)
        found = loop.coverage(loop.windows.window("2026-03-01"))
    assert (found.rows, found.labelled) == (8, 2)


@pytest.mark.tensorflow
def test_a_pipeline_of_the_users_own_gets_the_endpoints_pusher(tmp_path):
    from tfx import v1 as tfx

    from tfx_loop.pipelines.own_pipeline import OwnTraining, own_training_pipeline

    examples = tfx.components.CsvExampleGen(input_base=str(tmp_path))
    trainer = tfx.components.Trainer(
        run_fn="training.run_fn",
        examples=examples.outputs["examples"],
        train_args=tfx.proto.TrainArgs(),
        eval_args=tfx.proto.EvalArgs(),
    )
    made = own_training_pipeline(
        [examples, trainer],
        read(tmp_path).pipelines("s3://models/taxi", ""),
        OwnTraining(rows_from=None, rows_until=DAY),
    )
    (pusher,) = (node for node in made.components if "Pusher" in node.id)
    assert pusher.id == "SageMakerPusher"
    assert pusher.exec_properties["endpoint"] == "taxi-prod"
    assert pusher.exec_properties["base_path"] == "s3://models/taxi"
