"""A recurrent .tflite model answers a row by itself, wherever it runs and whatever came before."""

import numpy as np
import pytest
from recurrent_models import lstm_model, lstm_tflite, sequences

from tfx_loop.contracts.variant_note import VariantNote
from tfx_loop.deployment.model_server.tflite_servable import TFLiteServable
from tfx_loop.edge.edge_bundle.bundle import BundleParts, build_bundle
from tfx_loop.edge.edge_bundle.on_device import Model
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.tflite.reading import read_model

pytestmark = pytest.mark.tensorflow
ROWS = sequences(12)


@pytest.fixture(scope="module")
def right():
    """What Keras answers, which starts each row at zero."""
    return lstm_model()(ROWS, training=False).numpy()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("lstm") / "model.tflite"
    path.write_bytes(lstm_tflite(lstm_model()))
    # Else nothing below could leak.
    assert any(tensor.is_variable for tensor in read_model(path).main.tensors)
    return path


def only(outputs):
    (values,) = outputs.values()
    return values


def test_predictor_answers_as_keras_and_the_same_again(file, right):
    predictor = open_predictor(file)
    for _ in range(3):
        np.testing.assert_allclose(only(predictor.predict({"steps": ROWS})), right, atol=1e-5)


def test_int8_state_starts_at_zero_too(tmp_path, right):
    path = tmp_path / "int8.tflite"
    path.write_bytes(lstm_tflite(lstm_model(), sequences(60, seed=1)))
    predictor = open_predictor(path)
    backwards = only(predictor.predict({"steps": ROWS[::-1]}))[::-1]
    answers = only(predictor.predict({"steps": ROWS}))
    # The order in which rows are asked changes nothing, to the last bit.
    np.testing.assert_array_equal(answers, backwards)
    np.testing.assert_allclose(answers, right, atol=0.05)


def test_server_gives_one_client_no_state_of_another(file, right):
    served = TFLiteServable(1, file, VariantNote(variant="float"))
    for _ in range(4):
        answers = [only(served.run("serving_default", {"steps": ROWS[i : i + 1]})) for i in (0, 1)]
        np.testing.assert_allclose(np.concatenate(answers), right[:2], atol=1e-5)


def test_device_file_answers_a_row_by_itself(tmp_path, file, right):
    parts = BundleParts(
        name="lstm", cpu_model=file, golden_rows={"steps": ROWS[:5]}, labels=["no", "yes"]
    )
    device = Model(build_bundle(parts, tmp_path / "bundle").folder)
    (given,), (asked,) = device.manifest["inputs"], device.manifest["outputs"]
    for row in (0, 7, 0):
        answer = device.predict({given["name"]: ROWS[row]})[asked["name"]]
        np.testing.assert_allclose(np.ravel(answer), right[row], atol=1e-5)
