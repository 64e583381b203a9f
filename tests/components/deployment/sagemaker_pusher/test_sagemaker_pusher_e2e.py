"""SageMakerPusher's executor, real boto3, and a container with a real model server."""

import json

import numpy as np
import pytest
from sagemaker_container import ServerContainer
from sagemaker_loopback import IMAGE, REGION, ROLE, sagemaker_loopback
from tiny_serving_model import save_tiny_model

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli.main import main

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.slow]
COLUMNS = {"hour": [1, 20, 7], "delay": [1.5, -3.0, 0.0], "origin": ["JFK", "LGA", "EWR"]}
SETTINGS = {
    "base_path": "s3://flights/late",
    "endpoint": "late",
    "region": REGION,
    "role_arn": ROLE,
    "image": IMAGE,
    "instance_type": "ml.m5.large",
    "golden_rows": 3,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    import pyarrow as pa
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.data.span_example_gen.executor import write_examples

    folder = tmp_path_factory.mktemp("sagemaker")
    save_tiny_model(folder / "model" / "Format-Serving")
    write_examples(f"{folder}/examples/Split-eval", pa.table(COLUMNS))
    model, examples = standard_artifacts.Model(), standard_artifacts.Examples()
    model.uri, examples.uri = str(folder / "model"), str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["eval"])
    with sagemaker_loopback("flights", ServerContainer) as service:
        yield folder, service, {"model": [model], "examples": [examples]}


def pushed(place, **changes):
    from tfx.types import standard_artifacts

    from tfx_loop.deployment.sagemaker_pusher.executor import Executor
    from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings

    folder, _, inputs = place
    output = standard_artifacts.PushedModel()
    output.uri = str(folder)
    settings = SageMakerPusherSettings(**{**SETTINGS, **changes})
    Executor().Do(inputs, {"pushed_model": [output]}, settings.to_properties())
    return output


def test_older_image_than_the_model_is_refused_before_any_call(place):
    service = place[1]
    with pytest.raises(ConfigError, match=r"Expected an image of TensorFlow .* received 2\.1:"):
        pushed(place, image=IMAGE.replace("2.20", "2.1"))
    assert service.calls == []
    assert service.s3.list_objects_v2(Bucket="flights").get("KeyCount") == 0


def test_archive_is_served_by_the_rules_of_the_container(place, capsys, monkeypatch):
    import tensorflow as tf

    folder, service, _ = place
    # Lane B's TensorFlow is newer than any image known; its own would serve it.
    output = pushed(place, image="ours/model-server:1")
    assert output.get_int_custom_property("pushed") == 1
    assert output.get_string_custom_property("pushed_destination") == f"sagemaker://{REGION}/late"
    body = {"signature_name": "serving_columns", "inputs": COLUMNS}
    body["inputs"]["delay"] = [[value] for value in COLUMNS["delay"]]
    answer = service.runtime.invoke_endpoint(
        EndpointName="late", Body=json.dumps(body).encode(), ContentType="application/json"
    )
    served = json.loads(answer["Body"].read())["outputs"]
    model = tf.saved_model.load(str(folder / "model" / "Format-Serving"))
    expected = model.signatures["serving_columns"](
        hour=tf.constant(COLUMNS["hour"], tf.int64),
        delay=tf.constant(body["inputs"]["delay"], tf.float32),
        origin=tf.constant(COLUMNS["origin"]),
    )["probability"].numpy()
    assert np.allclose(served, expected, rtol=1e-6)
    assert main(["status", SETTINGS["base_path"]]) == 0
    shown = capsys.readouterr().out
    assert "stable" in shown
    assert "golden_rows" in shown
