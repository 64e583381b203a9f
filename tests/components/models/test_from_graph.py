"""A network is rebuilt of layers from its graph, and answers as the graph does."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import ModelError
from tfx_loop.models.keras.from_graph import from_graph

pytestmark = pytest.mark.tensorflow


def images():
    rows = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, padding="same", name="first")(rows)
    hidden = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(hidden))
    hidden = keras.layers.DepthwiseConv2D(3, padding="same")(keras.layers.ZeroPadding2D()(hidden))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(hidden))
    hidden = keras.layers.Rescaling(2.0, 1.0)(hidden)
    return keras.Model(rows, keras.layers.Dense(3, activation="softmax", name="class")(hidden))


def test_layers_and_weights_are_those_of_the_model(tmp_path):
    model = images()
    tf.saved_model.save(model, str(tmp_path))
    rebuilt = from_graph(tmp_path)
    rows = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)
    np.testing.assert_allclose(
        rebuilt.predict(rows, verbose=0), model.predict(rows, verbose=0), atol=1e-6
    )
    kinds = [type(layer) for layer in model.layers if layer.weights]
    assert [type(layer) for layer in rebuilt.layers if layer.weights] == kinds
    assert rebuilt.get_layer("first").count_params() == model.get_layer("first").count_params()


def test_an_operation_that_is_no_layer_is_refused_by_name(tmp_path):
    rows = keras.Input((4,), name="x")
    answer = keras.layers.Dense(2)(keras.layers.Lambda(tf.math.cumsum)(rows))
    tf.saved_model.save(keras.Model(rows, answer), str(tmp_path))
    with pytest.raises(ModelError, match="Cumsum"):
        from_graph(tmp_path)


def test_outputs_have_the_names_that_the_signature_gives_them(tmp_path):
    rows = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(rows)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(hidden)
    model = keras.Model(rows, [kind, keras.layers.Dense(1, name="price")(hidden)])
    tf.saved_model.save(model, str(tmp_path))
    rebuilt = from_graph(tmp_path)
    assert rebuilt.output_names == ["kind", "price"]
    given = np.random.default_rng(0).random((5, 4), np.float32)
    for found, expected in zip(rebuilt(given), model(given), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
