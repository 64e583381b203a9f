"""Small real models of real data, in every form, made once a test session."""

import functools
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from sklearn.datasets import load_breast_cancer, load_digits

from tfx_loop.models.write import save_saved_model


@functools.cache
def digits_rows():
    """Returns images [1797, 8, 8, 1] in [0, 1] and digits."""
    digits = load_digits()
    return (digits.images[..., np.newaxis] / 16).astype(np.float32), digits.target


@functools.cache
def digits_model():
    """Returns a trained network, right on nine digits of ten."""
    images, digits = digits_rows()
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(image)
    hidden = keras.layers.Flatten()(hidden)
    hidden = keras.layers.Dense(10, activation="softmax", name="probabilities")(hidden)
    model = keras.Model(image, hidden)
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(images, digits, batch_size=128, epochs=3, verbose=0)
    return model


@functools.cache
def tumour_rows():
    """Returns a column of numbers [569, 4], one of whole numbers [569, 1], and labels."""
    cancer = load_breast_cancer()
    numbers = cancer.data[:, :4] / cancer.data[:, :4].mean(axis=0)
    tenths = np.digitize(cancer.data[:, 5], np.quantile(cancer.data[:, 5], np.linspace(0, 1, 9)))
    return (
        {"numbers": numbers.astype(np.float32), "tenth": tenths[:, np.newaxis].astype(np.int32)},
        cancer.target,
    )


@functools.cache
def tumour_model():
    """Returns a network with two inputs and two outputs."""
    keras.utils.set_random_seed(2)
    numbers = keras.Input((4,), name="numbers")
    tenth = keras.Input((1,), name="tenth", dtype="int32")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(16, 3, name="tenths")(tenth))
    hidden = keras.layers.Concatenate()([numbers, embedded])
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(hidden)
    benign = keras.layers.Dense(1, activation="sigmoid", name="benign")(hidden)
    size = keras.layers.Dense(2, name="size")(hidden)
    return keras.Model({"tenth": tenth, "numbers": numbers}, {"benign": benign, "size": size})


def convert(model, folder, mode="float", io_dtype=None):
    """Returns the bytes of a TFLite model."""
    folder = Path(folder) / "source"
    shutil.rmtree(folder, ignore_errors=True)
    save_saved_model(model, str(folder))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if mode != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode in ("int8", "int16x8"):
        images, _ = digits_rows()
        converter.representative_dataset = lambda: ([row[np.newaxis]] for row in images[:100])
        ops = tf.lite.OpsSet
        converter.target_spec.supported_ops = (
            [ops.TFLITE_BUILTINS_INT8]
            if mode == "int8"
            else [ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
        )
        if io_dtype is not None:
            converter.inference_input_type = converter.inference_output_type = io_dtype
    return converter.convert()
