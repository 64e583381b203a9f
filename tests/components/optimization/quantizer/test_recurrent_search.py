"""Recurrent networks that are not unrolled convert with a batch of 1, and the report says so."""

import numpy as np
import pytest

from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import detect
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.file_compression.request import CompressionRequest
from tfx_loop.optimization.file_compression.run import compress
from tfx_loop.optimization.quantizer.modes import QuantizationMode
from tfx_loop.optimization.quantizer.request import SearchRequest
from tfx_loop.optimization.quantizer.search import search
from tfx_loop.optimization.quantizer.settings import SearchSettings

pytestmark = pytest.mark.tensorflow
STEPS, FEATURES = 5, 3


def recurrent(kind):
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    layer = {
        "gru": layers.GRU(4),
        "bidirectional": layers.Bidirectional(layers.LSTM(3)),
    }[kind]
    return keras.Sequential(
        [layers.Input((STEPS, FEATURES), name="steps"), layer, layers.Dense(2, "softmax")]
    )


@pytest.mark.parametrize("kind", ["gru", "bidirectional"])
def test_recurrent_networks_are_converted_with_a_batch_of_1(worker, tmp_path, kind):
    model = recurrent(kind)
    model.save(tmp_path / "model.keras")
    steps = np.random.default_rng(0).normal(size=(40, STEPS, FEATURES)).astype(np.float32)
    rows = Rows(inputs={"steps": steps})
    request = SearchRequest(
        source=detect(tmp_path / "model.keras"),
        calibration=rows,
        choosing=rows,
        budget=None,
        search=SearchSettings(modes=(QuantizationMode.DYNAMIC_RANGE, QuantizationMode.FLOAT)),
    )
    found = search(request, worker, tmp_path / "out" / "model.tflite")
    assert {rung.status.value for rung in found.rungs} == {"chosen", "kept"}
    assert all("Converted with a batch of 1" in rung.explanation for rung in found.rungs)
    predictor = open_predictor(found.path)
    assert predictor.inputs[0].shape == (1, STEPS, FEATURES)
    (answers,) = predictor.predict({"steps": steps}).values()
    np.testing.assert_allclose(answers, model(steps, training=False).numpy(), atol=0.05)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A network with an operation that TFLite does not have, and rows for it."""
    import tensorflow as tf
    import tf_keras as keras

    folder = tmp_path_factory.mktemp("foreign")
    given = keras.layers.Input((4,), name="x")
    features = tf.math.cumulative_logsumexp(given, axis=1)
    model = keras.Model(given, keras.layers.Dense(2, "softmax")(features))
    model.save(folder / "model.keras")
    rows = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    labels = model.predict(rows, verbose=0).argmax(axis=1)
    labels[:2] = 0, 1
    np.savez(folder / "rows.npz", x=rows, y=labels)
    return folder


def asked(folder, out, **more):
    return CompressionRequest(
        model=folder / "model.keras",
        data=folder / "rows.npz",
        out=out,
        budget=0.3,
        rungs=("dynamic_range", "float"),
        **more,
    )


def test_a_model_that_no_rung_converts_is_an_error_and_not_the_budget_s_fault(foreign, tmp_path):
    with pytest.raises(ModelError, match="refuses in all 2, with its own batch") as caught:
        compress(asked(foreign, tmp_path / "out"), lambda _: None)
    assert "CumulativeLogsumexp" in str(caught.value)
    assert not (tmp_path / "out").exists()
