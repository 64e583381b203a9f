"""A real server process with TFLite models: the same questions, answers and log as a SavedModel."""

import shutil

import grpc
import numpy as np
import pytest
from server_process import ServerProcess

from tfx_loop.contracts.variant_note import VARIANT_NOTE, VariantNote
from tfx_loop.core.errors import ServingError
from tfx_loop.data.prediction_log.reader import read_window

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The digits as a SavedModel and in int8, with int8 inputs and outputs."""
    import tensorflow as tf
    from model_files import convert, digits_model

    from tfx_loop.models.write import save_saved_model

    folder = tmp_path_factory.mktemp("models")
    save_saved_model(digits_model(), str(folder / "saved_model"))
    (folder / "int8").write_bytes(convert(digits_model(), folder, "int8", tf.int8))
    return folder


@pytest.fixture(scope="module")
def images():
    from model_files import digits_rows

    return digits_rows()[0][:40]


@pytest.fixture(scope="module")
def answers(images):
    from model_files import digits_model

    return digits_model()(images, training=False).numpy()


def add_version(base, version, models, *names, variant=None):
    """Adds a version in one rename, as the pusher does."""
    staged = base / f".staging-{version}"
    staged.mkdir(parents=True)
    for name in names:
        if name == "saved_model":
            shutil.copytree(models / name, staged, dirs_exist_ok=True)
        else:
            shutil.copy(models / "int8", staged / name)
    if variant:
        VARIANT_NOTE.write(VariantNote(variant=variant), staged)
    staged.rename(base / str(version))


def start(scratch, models, **flags):
    base = scratch / "base"
    add_version(base, 1, models, "model.tflite", variant="int8")
    return base, ServerProcess(base, scratch, scratch / "log", **flags).start()


@pytest.fixture(scope="module")
def served(tmp_path_factory, models):
    base, server = start(tmp_path_factory.mktemp("server"), models)
    yield base, server
    assert server.stop() == 0


def logged(server, start_ms):
    return read_window(str(server.log_dir), "flights", start_ms, start_ms + 1).table.to_pydict()


def same_digits(found, answers):
    return float(np.mean(np.argmax(found, axis=1) == np.argmax(answers, axis=1)))


def test_rest_takes_and_gives_floats_and_logs_the_variant(served, images, answers):
    client = served[1].client()
    by_columns = client.predict({"image": images}, request_id="columns", event_time_ms=11)
    rows = [{"image": image.tolist()} for image in images]
    by_rows = client.predict(instances=rows, request_id="rows", event_time_ms=12)
    plain = client.predict(
        instances=[image.tolist() for image in images], signature_name="serving_columns"
    )
    found = np.asarray(by_columns["probabilities"])
    assert by_columns == by_rows == plain
    assert same_digits(found, answers) > 0.95
    assert 0 < np.abs(found - answers).max() < 0.2
    log = logged(served[1], 11)
    assert set(log["variant"]) == {"int8"}
    assert set(log["model_version"]) == {1}
    np.testing.assert_allclose(log["feature.image"], images.reshape(40, 64), atol=1e-7)
    np.testing.assert_allclose(log["output.probabilities"], found)


def test_grpc_answers_as_rest(served, images):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    channel = grpc.insecure_channel(f"127.0.0.1:{served[1].grpc_port}")
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "flights"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(images))
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    by_rest = served[1].client().predict({"image": images})["probabilities"]
    found = tf.make_ndarray(answer.outputs["probabilities"])
    np.testing.assert_allclose(found, np.asarray(by_rest), atol=1e-6)
    assert answer.model_spec.version.value == 1


def test_metadata_shows_floats_for_any_number_of_rows(served):
    content = served[1].client().metadata()
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    image = signature["inputs"]["image"]
    assert image["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in image["tensor_shape"]["dim"]] == ["-1", "8", "8", "1"]
    assert list(signature["outputs"]) == ["probabilities"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"picture": [[0.5] * 64]}, "Missing named input|input size|picture"),
        ({"image": [[0.5] * 63]}, r"rows of shape \[8, 8, 1\]"),
        ({"image": [["a"] * 64]}, "image"),
    ],
)
def test_wrong_requests_are_refused_as_for_a_saved_model(served, columns, message):
    with pytest.raises(ServingError, match=message):
        served[1].client().predict(columns)


def test_versions_switch_between_forms_and_a_damaged_one_changes_nothing(
    tmp_path, models, images, answers
):
    base, server = start(tmp_path, models)
    client = server.client()
    try:
        add_version(base, 2, models, "saved_model", "model.tflite")
        server.wait_for(2, "AVAILABLE")
        client.predict({"image": images}, event_time_ms=21)
        assert set(logged(server, 21)["variant"]) == {"float"}
        add_version(base, 3, models, "tflite", variant="selective_int8")
        server.wait_for(3, "AVAILABLE")
        client.predict({"image": images}, event_time_ms=22)
        assert set(logged(server, 22)["variant"]) == {"selective_int8"}
        half = models / "half"
        half.mkdir()
        (half / "int8").write_bytes((models / "int8").read_bytes()[:5000])
        add_version(base, 4, half, "model.tflite")
        assert "received a damaged file" in server.wait_for(4, "END")
        found = client.predict({"image": images}, version=3)["probabilities"]
        assert same_digits(np.asarray(found), answers) > 0.95
    finally:
        server.stop()


def test_flag_prefers_the_tflite_model_where_both_are_there(tmp_path, models, images):
    base, server = start(tmp_path, models, prefer_tflite_model="true")
    try:
        add_version(base, 2, models, "saved_model", "model.tflite", variant="int8")
        server.wait_for(2, "AVAILABLE")
        server.client().predict({"image": images}, event_time_ms=31)
        assert set(logged(server, 31)["variant"]) == {"int8"}
        add_version(base, 3, models, "saved_model")
        server.wait_for(3, "AVAILABLE")
        server.client().predict({"image": images}, event_time_ms=32)
        assert set(logged(server, 32)["variant"]) == {"float"}
    finally:
        server.stop()
