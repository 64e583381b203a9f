"""No false refusal: models that people have pass the guard."""

import importlib.util
import json
from pathlib import Path

import hostile_graphs as graphs
import hostile_models as hostile
import keras as keras_3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from edgetpu_pairs import FOLDER, needs_pairs

from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard.guard import scan
from tfx_loop.models.guard.keras_config import VouchedObjects, scan_config

pytestmark = pytest.mark.tensorflow

# All families of keras.applications, each by its smallest.
APPLICATIONS = [
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "RegNetX002",
    "ResNet50",
    "ResNet50V2",
    "ResNetRS50",
    "VGG16",
    "Xception",
]
TFX_MODELS = sorted(
    file.parent
    for file in (Path(importlib.util.find_spec("tfx").origin).parent / "components").rglob(
        "saved_model.pb"
    )
)


# The largest graphs are built by the same kinds of layer as the others.
_LARGEST = {"DenseNet121", "InceptionResNetV2", "InceptionV3", "NASNetMobile", "ResNetRS50"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in _LARGEST else [])
        for name in APPLICATIONS
    ],
)
def test_applications(name):
    model = getattr(keras.applications, name)(weights=None)
    config = json.loads(model.to_json())
    assert list(scan_config(config, VouchedObjects())) == []
    # As .keras files write it, with modules.
    config = keras.saving.serialize_keras_object(model)
    assert list(scan_config(json.loads(json.dumps(config, default=str)), VouchedObjects())) == []
    keras.backend.clear_session()


def test_models_that_call_tensorflow(tmp_path):
    taken = keras.Input((8,))
    hidden = tf.nn.softmax(tf.reshape(taken * 2 + 1, [-1, 8]))
    hidden = tf.concat([hidden, tf.cast(taken > 0, tf.float32)], 1)[:, :5]
    hidden = tf.where(hidden > 0, hidden, tf.zeros_like(hidden))
    given = tf.reduce_mean(tf.einsum("ij,ij->ij", hidden, hidden), axis=1, keepdims=True)
    model = keras.Model(taken, tf.clip_by_value(given, 0, 1) / 3.0)
    model.compile("adam", "mse", metrics=["mae"])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert scan(tmp_path / name).findings == ()


@pytest.mark.parametrize("folder", TFX_MODELS, ids=lambda folder: "-".join(folder.parts[-3:]))
def test_tfx_s_own_test_models(folder):
    assert scan(ModelFile(folder, Format.SAVED_MODEL)).findings == ()


def test_there_are_tfx_models():
    assert TFX_MODELS


@needs_pairs
def test_edge_tpu_pairs():
    for path in sorted(FOLDER.glob("*.tflite")):
        assert scan(path).findings == (), path.name


def test_model_of_tensorflow_1_with_a_vocabulary(tmp_path):
    assert scan(graphs.session_model(tmp_path)).findings == ()


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "saved_model"])
def test_layers_that_learn_from_data(tmp_path, name):
    """Discretization's learning is Python, which a SavedModel keeps and nobody calls."""
    layer = keras.layers.Discretization(num_bins=4)
    layer.adapt(np.arange(8.0).reshape(8, 1))
    taken = keras.Input((1,))
    keras.Model(taken, layer(taken)).save(tmp_path / name)
    assert scan(tmp_path / name).findings == ()


def test_input_by_its_specification(tmp_path):
    taken = keras.Input(type_spec=tf.RaggedTensorSpec([None, None], tf.float32))
    model = keras.Model(taken, keras.layers.Activation("relu")(taken))
    model.save(tmp_path / "m.keras")
    assert scan(tmp_path / "m.keras").findings == ()


def test_operations_of_keras_3_in_hdf5(tmp_path):
    taken = keras_3.Input((4,))
    model = keras_3.Model(taken, keras_3.ops.clip(keras_3.ops.relu(taken), 0, 1))
    model.save(tmp_path / "m.h5")
    assert scan(tmp_path / "m.h5").findings == ()


def test_operations_of_tensorflow_in_a_tflite_file(tmp_path):
    """Their attributes are bytes of all values, which are no text."""

    def lengths(x):
        return tf.strings.length(tf.strings.as_string(x, precision=300, width=200))

    traced = tf.function(lengths, input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    path = tmp_path / "m.tflite"
    path.write_bytes(converter.convert())
    assert b"FlexAsString" in path.read_bytes()
    assert scan(path).findings == ()


def test_vocabulary_among_the_assets(tmp_path):
    assert scan(hostile.vocabulary(tmp_path)).findings == ()
