"""Small networks for scikit-learn's digits, trained in seconds: parents, students, teachers."""

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import tf_keras as keras
from sklearn.datasets import load_digits

from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.fine_tuning.rows_file import TrainingRows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.fine_tuning.training import fit

IMAGE, LABEL = "image", "digit"
_TRAINING_ROWS = 1200


@lru_cache(maxsize=1)
def digits():
    """Returns rows to train on and rows to judge on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = (images[order] / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    labels = labels[order].astype(np.int64)
    return tuple(
        Rows(inputs={IMAGE: images[part]}, labels=labels[part])
        for part in (slice(None, _TRAINING_ROWS), slice(_TRAINING_ROWS, None))
    )


def network():
    """Returns a compiled convolutional network with all that prunes differently."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name=IMAGE)
    hidden = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="first")(image)
    hidden = keras.layers.BatchNormalization(momentum=0.9, name="first_norm")(hidden)
    hidden = keras.layers.ReLU(name="first_relu")(hidden)
    hidden = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(hidden)
    hidden = keras.layers.Conv2D(
        32, 3, strides=2, padding="same", activation="relu", name="second"
    )(hidden)
    hidden = keras.layers.Flatten(name="flat")(hidden)
    hidden = keras.layers.Dense(32, activation="relu", name="hidden")(hidden)
    score = keras.layers.Dense(10, activation="softmax", name="score")(hidden)
    model = keras.Model(image, score)
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    return model


@lru_cache(maxsize=1)
def trained():
    """Returns the path of the trained network's Keras file."""
    folder = Path(tempfile.mkdtemp(prefix="digit-network-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = network()
    rows, _ = digits()
    fit(model, TrainingRows(dict(rows.inputs), rows.labels), FineTuningSettings(epochs=10))
    model.save(folder / "model.keras")
    return folder / "model.keras"


def accuracy(path, inputs=None):
    """Returns the accuracy of a Keras file on the rows to judge on."""
    _, rows = digits()
    model = keras.models.load_model(path, compile=False)
    scores = model.predict(inputs if inputs is not None else rows.inputs[IMAGE], verbose=0)
    return float((scores.argmax(axis=1) == rows.labels).mean())


def student():
    """Returns a student that answers with probabilities, untrained and not compiled."""
    return _student(activation="softmax")


def student_of_logits():
    """Returns the same student, answering with logits."""
    return _student(activation=None)


def student_of_flat_rows():
    """Returns a student that takes rows of 64 numbers under another name."""
    pixels = keras.Input((64,), name="pixels")
    hidden = keras.layers.Dense(12, activation="relu")(pixels)
    return keras.Model(pixels, keras.layers.Dense(10)(hidden))


def student_of_one_number():
    """Returns a student of the wrong kind."""
    return keras.Sequential([keras.Input((8, 8, 1), name=IMAGE), *_head(1, "sigmoid")])


def no_student():
    """Returns what is no model."""
    return {"layers": 2}


def compile_for_digits(model):
    """Is named as `compile_fn`."""
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")


def shifted(inputs, rng):
    """Is named as `augment_fn`: moves the images by one pixel."""
    return {name: np.roll(values, rng.integers(-1, 2), axis=2) for name, values in inputs.items()}


def cut(inputs, rng):
    """Is a wrong `augment_fn`: it loses a row."""
    return {name: values[1:] for name, values in inputs.items()}


def _student(activation):
    convolution = keras.layers.Conv2D(
        4, 3, padding="same", activation="relu", name="student_features"
    )
    pooled = keras.layers.MaxPooling2D()
    return keras.Sequential(
        [keras.Input((8, 8, 1), name=IMAGE), convolution, pooled, *_head(10, activation)]
    )


def _head(units, activation):
    return [keras.layers.Flatten(), keras.layers.Dense(units, activation=activation)]
