"""The networks that are compressed: shapes that people know from MLPerf Tiny, trained here.

ResNet-8 and DS-CNN follow the reference code of MLPerf Tiny v0.5 (C. Banbury et al., "MLPerf Tiny
Benchmark", NeurIPS Datasets and Benchmarks 2021); the data is other data, so their accuracies are
not comparable with the published ones, their sizes are. Moving averages follow faster than in the
reference, because there are fewer steps here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.compress import data
from tests.benchmarks.compress.data import Dataset


@dataclass(frozen=True)
class Entry:
    """A network and what it is trained on.

    Attributes:
        rows: Loads the data.
        build: Returns the compiled network for the data's input shapes and number of classes.
        epochs: Passes over the training rows.
        batch_rows: Rows a step.
        metric: What is measured, by TFMA's name.
    """

    rows: Callable[[], Dataset]
    build: Callable[[Mapping[str, tuple[int, ...]], int], Any]
    epochs: int
    batch_rows: int
    metric: str


def compiled(model: Any, classes: int, rate: float) -> Any:
    """Returns the network, ready to be trained with Adam at that rate."""
    import tensorflow as tf
    import tf_keras as keras

    # AutoGraph would rewrite all of Keras to find no loop in it: 20 s at the first training.
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    model.test_step = tf.autograph.experimental.do_not_convert(model.test_step)
    loss = "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def only(shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """Returns the one input that the data has."""
    import tf_keras as keras

    ((name, shape),) = shapes.items()
    return keras.Input(shape, name=name)


def resnet8(shapes: Mapping[str, tuple[int, ...]], classes: int) -> Any:
    """Returns MLPerf Tiny's ResNet-8 for images of 32 by 32: 78,666 parameters for 10 classes."""
    import tf_keras as keras
    from tf_keras import layers

    def convolved(x: Any, filters: int, size: int, strides: int) -> Any:
        return layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.l2(1e-4),
        )(x)

    def normal(x: Any, active: bool = True) -> Any:
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.Activation("relu")(x) if active else x

    image = only(shapes)
    x = normal(convolved(image, 16, 3, 1))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = normal(convolved(x, filters, 3, strides))
        y = normal(convolved(y, filters, 3, 1), active=False)
        if strides > 1:
            x = convolved(x, filters, 1, strides)
        x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    scores = layers.Dense(classes, activation="softmax", kernel_initializer="he_normal")(x)
    return compiled(keras.Model(image, scores), classes, 1e-3)


def ds_cnn(shapes: Mapping[str, tuple[int, ...]], classes: int) -> Any:
    """Returns MLPerf Tiny's DS-CNN (keyword spotting): 64 filters, four separable blocks."""
    import tf_keras as keras
    from tf_keras import layers

    def normal(x: Any) -> Any:
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))

    decay = keras.regularizers.l2(1e-4)
    signal = only(shapes)
    x = layers.Conv2D(64, (10, 4), strides=(2, 2), padding="same", kernel_regularizer=decay)(signal)
    x = layers.Dropout(0.2)(normal(x))
    for _ in range(4):
        x = normal(layers.DepthwiseConv2D(3, padding="same", depthwise_regularizer=decay)(x))
        x = normal(layers.Conv2D(64, 1, padding="same", kernel_regularizer=decay)(x))
    x = layers.Dropout(0.4)(x)
    x = layers.Flatten()(layers.AveragePooling2D(x.shape[1:3])(x))
    scores = layers.Dense(classes, activation="softmax")(x)
    return compiled(keras.Model(signal, scores), classes, 2e-3)


def small_cnn(shapes: Mapping[str, tuple[int, ...]], classes: int) -> Any:
    """Returns the digits example's network: three convolutions, 72,842 parameters."""
    from tfx_loop.pipelines.examples.digits.model import teacher

    return teacher()


def tabular(shapes: Mapping[str, tuple[int, ...]], classes: int) -> Any:
    """Returns two dense layers over numbers and one-hot categories."""
    import tf_keras as keras
    from tf_keras import layers

    features = only(shapes)
    x = features
    for units in (64, 32):
        x = layers.Dropout(0.1)(layers.Dense(units, activation="relu")(x))
    return compiled(keras.Model(features, layers.Dense(1, activation="sigmoid")(x)), 2, 2e-3)


ZOO: Mapping[str, Entry] = {
    "ResNet-8": Entry(data.large_digits, resnet8, 15, 32, "SparseCategoricalAccuracy"),
    "DS-CNN": Entry(data.vowels, ds_cnn, 40, 32, "SparseCategoricalAccuracy"),
    "CNN": Entry(data.digits, small_cnn, 30, 64, "SparseCategoricalAccuracy"),
    "MLP": Entry(data.flights, tabular, 8, 256, "AUC"),
}
