"""The networks that read the digits: how they are built, trained and saved."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from tfx_loop.pipelines.examples.digits.data import CLASSES, IMAGE, LABEL, SIDE

SCORE = "probabilities"
KERAS_FOLDER = "Format-Keras"
SERVING_COLUMNS = "serving_columns"

_BATCH_ROWS = 64
_EPOCHS = 30


def teacher() -> keras.Model:
    """Returns the large network, untrained: 72,842 parameters."""
    return _network(filters=(32, 64, 64), units=64)


def student() -> keras.Model:
    """Returns the small network, untrained: 10,970 parameters."""
    return _network(filters=(12, 24, 32), units=0)


def _network(filters: tuple[int, ...], units: int) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 1), name=IMAGE)
    hidden = image
    for index, count in enumerate(filters):
        hidden = keras.layers.Conv2D(count, 3, padding="same", activation="relu")(hidden)
        if index < len(filters) - 1:
            hidden = keras.layers.MaxPooling2D()(hidden)
    hidden = keras.layers.Flatten()(hidden)
    if units:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
        hidden = keras.layers.Dropout(0.3)(hidden)
    logits = keras.layers.Dense(CLASSES, name="logits")(hidden)
    model = keras.Model(image, keras.layers.Softmax(name=SCORE)(logits))
    # AutoGraph would rewrite all of Keras to find no loop in it: 20 s at the first training.
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    model.test_step = tf.autograph.experimental.do_not_convert(model.test_step)
    model.compile(
        keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def train(images: npt.NDArray[np.float32], digits: npt.NDArray[np.int64], seed: int) -> keras.Model:
    """Returns a trained teacher.

    Args:
        images: Brightness in [0, 1], of shape [rows, 8, 8, 1].
        digits: 0 to 9, of shape [rows].
        seed: Sets the weights and the order of the rows.
    """
    keras.utils.set_random_seed(seed)
    model = teacher()
    model.fit(images, digits, batch_size=_BATCH_ROWS, epochs=_EPOCHS, verbose=0)
    return model


def run_fn(fn_args: Any) -> None:
    """Is called by the TFX node Trainer; writes the SavedModel and the Keras model beside it."""
    images, digits = _read(fn_args.train_files)
    model = train(images, digits, int((fn_args.custom_config or {}).get("seed", 0)))
    beside = os.path.join(os.path.dirname(fn_args.serving_model_dir), KERAS_FOLDER)
    tf.io.gfile.makedirs(beside)
    model.save(os.path.join(beside, "model.keras"))
    export(model, fn_args.serving_model_dir)


def export(model: keras.Model, folder: str) -> None:
    """Writes a network as a SavedModel with signatures for tf.Examples and for images."""
    served = _DigitsModule(model)
    tf.saved_model.save(served, folder, signatures=served.signatures())


def _read(patterns: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    files = [name for pattern in patterns for name in tf.io.gfile.glob(pattern)]
    records = list(tf.data.TFRecordDataset(sorted(files), "GZIP").as_numpy_iterator())
    rows = tf.io.parse_example(
        records,
        {
            IMAGE: tf.io.FixedLenFeature([SIDE, SIDE, 1], tf.float32),
            LABEL: tf.io.FixedLenFeature([], tf.int64),
        },
    )
    return rows[IMAGE].numpy(), rows[LABEL].numpy()


class _DigitsModule(tf.Module):
    """The network, for serialized tf.Examples and for images as flat rows of 64."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        # Only its variables are saved: the network itself would bring Keras' own functions along.
        self._network: Callable[..., Any] = lambda images: model(images)
        self._weights = model.weights

    def signatures(self) -> dict[str, Any]:
        examples = tf.TensorSpec([None], tf.string, name="examples")
        images = tf.TensorSpec([None, SIDE * SIDE], tf.float32, name=IMAGE)
        return {
            "serving_default": self._from_examples.get_concrete_function(examples),
            SERVING_COLUMNS: self._from_images.get_concrete_function(images),
        }

    @tf.function(autograph=False)
    def _from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {IMAGE: tf.io.FixedLenFeature([SIDE, SIDE, 1], tf.float32)}
        return {SCORE: self._network(tf.io.parse_example(examples, spec)[IMAGE])}

    @tf.function(autograph=False)
    def _from_images(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {SCORE: self._network(tf.reshape(image, [-1, SIDE, SIDE, 1]))}
