"""Quantisation-aware training keeps the zeros and the clusters that it finds, to the .tflite."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter
from digit_networks import IMAGE, digits, network, trained

from tfx_loop.core.errors import ModelError
from tfx_loop.optimization.fine_tuning import quantization_aware
from tfx_loop.optimization.fine_tuning.quantization_aware import PreservedWeights
from tfx_loop.optimization.fine_tuning.rows_file import TrainingRows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner.sparsity import KEPT_IN_GROUP, groups_of_four

pytestmark = pytest.mark.tensorflow

ROWS, JUDGED_ON = digits()
ONE_EPOCH = FineTuningSettings(epochs=1, learning_rate=5e-4)


def weights_of(model):
    """Returns the int8 weights of the converted model by their size."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    found = {}
    for tensor in interpreter.get_tensor_details():
        if tensor["dtype"] == np.int8 and len(tensor["shape"]) in (2, 4):
            try:
                values = interpreter.get_tensor(tensor["index"])
            except ValueError:
                continue  # an activation, which has no values before the model runs
            found.setdefault(values.size, values)
    return found


def simplified(kernel, zeros, clusters):
    """Makes the smaller half of each group of four zero, and rounds to a few values."""
    result = kernel.copy()
    if clusters:
        result = np.round(result / np.abs(result).max() * 6) / 6
    if zeros:
        groups = np.moveaxis(result, -2, -1).copy()
        rows = groups.reshape(-1, 4)
        rows[np.arange(len(rows))[:, None], np.argsort(np.abs(rows), axis=1)[:, :2]] = 0
        result = np.moveaxis(rows.reshape(groups.shape), -1, -2)
    return result


@pytest.mark.parametrize(
    ("zeros", "clusters", "technique"),
    [pytest.param(True, False, "PQAT", marks=pytest.mark.long), (True, True, "PCQAT")],
)
def test_zeros_and_clusters_reach_the_tflite_file(tmp_path, zeros, clusters, technique):
    model = keras.models.load_model(trained())
    for name in ("second", "hidden"):
        layer = model.get_layer(name)
        layer.kernel.assign(simplified(layer.kernel.numpy(), zeros, clusters))
    model.save(tmp_path / "parent.keras")
    some = ROWS.take(np.arange(600))
    rows = TrainingRows(dict(some.inputs), some.labels)
    aware = quantization_aware.train(tmp_path / "parent.keras", rows, ONE_EPOCH)
    assert aware.technique == technique
    # The layer without zeros comes first; TFMOT's own scheme would lose those of the others.
    assert aware.kept["first"] is PreservedWeights.NOTHING
    weights = weights_of(aware.model)
    for name in ("second", "hidden"):
        values = weights[model.get_layer(name).kernel.shape.num_elements()]
        per_input = values.reshape(-1, 4)
        assert (np.count_nonzero(per_input, axis=1) <= KEPT_IN_GROUP).all()
        if clusters:
            assert max(len(np.unique(channel)) for channel in values) <= 13
    images = JUDGED_ON.inputs[IMAGE]
    right = aware.model.predict(images, verbose=0).argmax(axis=1) == JUDGED_ON.labels
    # One epoch on 600 rows after half of the weights went: far above the 0.1 of guessing.
    assert right.mean() > 0.5


def test_what_the_weights_show_is_read_layer_by_layer():
    model = network()
    layer = model.get_layer("hidden")
    assert quantization_aware.kept_of(layer) is PreservedWeights.NOTHING
    layer.kernel.assign(simplified(layer.kernel.numpy(), zeros=False, clusters=True))
    assert quantization_aware.kept_of(layer) in (PreservedWeights.CLUSTERS, PreservedWeights.BOTH)
    layer.kernel.assign(simplified(network().get_layer("hidden").kernel.numpy(), True, False))
    assert quantization_aware.kept_of(layer) is PreservedWeights.ZEROS
    assert (np.count_nonzero(groups_of_four(layer.kernel.numpy()), axis=1) <= 2).all()
    assert quantization_aware.kept_of(model.get_layer("depthwise")) is PreservedWeights.NOTHING


def test_layers_that_tfmot_does_not_know_stay_in_float():
    words = keras.Input((3,), dtype="int64", name="words")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(50, 4, name="embedding")(words))
    number = keras.Input((2,), name="number")
    together = keras.layers.Concatenate()([number, embedded]) * 2.0
    model = keras.Model([words, number], keras.layers.Dense(1, name="out")(together))
    aware = quantization_aware.quantization_aware(model)
    assert "embedding" in aware.left_float
    assert aware.technique == "QAT"
    assert any(layer.name == "quant_out" for layer in aware.model.layers)


def test_a_model_with_nothing_to_quantise_is_an_error():
    words = keras.Input((3,), dtype="int64", name="words")
    model = keras.Model(words, keras.layers.Embedding(50, 4)(words))
    with pytest.raises(ModelError, match="post-training"):
        quantization_aware.quantization_aware(model)


def test_inputs_that_are_concatenated_keep_their_order():
    """TFMOT rewires an input that stands before a computed one, and puts it behind."""
    first, second = keras.Input((2,), name="first"), keras.Input((1,), name="second")
    computed = keras.layers.Dense(3)(second)
    joined = keras.layers.Concatenate(name="joined")([first, computed])
    model = keras.Model([first, second], keras.layers.Dense(1)(joined))
    aware = quantization_aware.quantization_aware(model)
    (layer,) = [layer for layer in aware.model.layers if layer.name.endswith("joined")]
    assert [tensor.shape[1] for tensor in layer.get_input_at(-1)] == [2, 3]
