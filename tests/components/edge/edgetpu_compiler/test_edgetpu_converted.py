"""Models that TensorFlow's converter makes: full of the traps that preparation is for."""

import numpy as np
import pytest
from tflite_builder import run_tflite

from tfx_loop.contracts.edgetpu_report import MappingStatus
from tfx_loop.edge.edgetpu_compiler.rewrite.preparation import prepare
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse
from tfx_loop.models.tflite.reading import read_model

pytestmark = pytest.mark.tensorflow

SHAPE = (8, 8, 1)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def converted() -> dict[str, bytes]:
    """Two networks with an open batch size, quantised to int8 inside and float outside."""
    import tensorflow as tf

    layers = tf.keras.layers
    bodies = {
        "leaky": [
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPool2D(),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.LeakyReLU(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        "upsampling": [
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(8, 2, strides=2, activation="relu"),
            layers.Reshape((64, 8)),
            layers.GlobalAveragePooling1D(),
            layers.Activation("swish"),
        ],
    }
    contents = {}
    for name, body in bodies.items():
        model = tf.keras.Sequential([tf.keras.Input(SHAPE), *body])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in rows(20))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        contents[name] = converter.convert()
    return contents


def quantised(content: bytes, values: np.ndarray) -> np.ndarray:
    """Runs a prepared model: quantises its input and dequantises its output."""
    graph = read_model(content).main
    source, output = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    steps = np.round(values / np.float32(source.scales[0])) + source.zero_points[0]
    (answer,) = run_tflite(content, np.clip(steps, -128, 127))
    return (answer.astype(np.float32) - output.zero_points[0]) * np.float32(output.scales[0])


@pytest.mark.parametrize("name", ["leaky", "upsampling"])
def test_prepared_it_maps_whole_and_computes_the_same(
    name: str, converted: dict[str, bytes]
) -> None:
    before = converted[name]
    assert analyse(before).mapped_share < 0.5
    prepared = prepare(before)
    analysis = analyse(prepared.content)
    assert [operator.status for operator in analysis.operators] == [MappingStatus.MAPPED] * len(
        analysis.operators
    )
    assert not prepared.obstacles
    for row in rows(30):
        expected = run_tflite(before, row[None])[0]
        np.testing.assert_allclose(quantised(prepared.content, row[None]), expected, atol=1e-6)


def test_what_stops_the_compiler_is_named(converted: dict[str, bytes]) -> None:
    graph = read_model(converted["upsampling"]).main
    (upsampling,) = (operator for operator in graph.operators if operator.op == "TRANSPOSE_CONV")
    # TensorFlow 2.16 fuses the activation, which takes version 4. 2.21 does not, and what remains
    # is that an open batch size leaves the shape open too.
    stops = "TRANSPOSE_CONV version 4" if upsampling.version == 4 else "shape of TRANSPOSE_CONV"
    assert stops in analyse(converted["upsampling"]).refused
