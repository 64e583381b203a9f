"""Models and rows that the Quantizer's tests share: scikit-learn's digits, trained for real."""

import numpy as np
import tensorflow as tf
import tf_keras as keras
from sklearn.datasets import load_digits

from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.metrics import metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

ACCURACY = metric("SparseCategoricalAccuracy", scoring=Scoring(kind=PredictionKind.CLASSES))


def digits(seed=0):
    """Images (1797, 8, 8, 1) from 0 to 1 and labels, shuffled."""
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    images = (data.images[order] / 16).astype(np.float32)[..., None]
    return images, data.target[order]


def rows_of(images, labels, name="image", slices=None):
    return Rows(inputs={name: images}, labels=labels, slices=slices or {})


def budget_of(limit, target=CompressionTarget.SMALLEST, **more):
    return Budget(metric=ACCURACY, max_metric_drop=limit, target=target, **more)


def mapped_share(path):
    """Stands for the analyser of another theme, which `search` finds by its import path."""
    return 0.75 if path.suffix == ".tflite" else 0.0


def plain_network():
    """Convolutions and a dense layer: int8 does it no harm."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="stem"),
            layers.Conv2D(24, 3, strides=2, activation="relu", name="deep"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )


def wide_network():
    """Joins convolutional features (about 1) with the ink of each quadrant, squared (thousands).

    A concatenation has one scale for all that it joins: in int8 the convolutions' features are
    rounded away beside the energies. Batch normalisation makes float indifferent to that.
    """
    layers = keras.layers
    image = layers.Input((8, 8, 1), name="image")
    features = layers.Conv2D(32, 3, padding="same", activation="relu", name="stem")(image)
    features = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu", name="middle")(
        features
    )
    features = layers.Conv2D(64, 3, padding="same", activation="relu", name="deep")(features)
    features = layers.GlobalAveragePooling2D(name="pool")(features)
    ink = layers.Rescaling(16.0, name="counts")(image)
    ink = layers.Flatten(name="flat")(layers.AveragePooling2D(4, name="quadrants")(ink))
    energy = layers.Rescaling(10.0, name="scale")(layers.Multiply(name="power")([ink, ink]))
    joined = layers.Concatenate(name="join")([features, energy])
    joined = layers.BatchNormalization(name="norm")(joined)
    joined = layers.Dense(32, activation="relu", name="hidden")(joined)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(joined))


def train(network, images, labels, epochs):
    keras.utils.set_random_seed(0)
    network.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    network.fit(images, labels, epochs=epochs, batch_size=32, verbose=0)
    return network


def save(function, folder, shape=(None, 4), dtype=tf.float32, signature="serving_default"):
    """Writes a SavedModel of a plain function of one input `x`."""
    module = tf.Module()
    spec = tf.TensorSpec(shape, dtype, name="x")
    serve = tf.function(function).get_concrete_function(spec)
    signatures = {signature: serve} if signature else None
    if signature is None:
        module.serve = tf.function(function)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder
