"""What the pipelines' authors name by an import path."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.benchmarks.examples.data import UNTRANSFORMED

DIABETES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def image_features(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of an image is profiled: its bytes and its brightness."""
    import tensorflow as tf

    pictures = columns["image"]
    pixels = [tf.io.decode_png(picture, 1).numpy() for picture in pictures]
    found = {
        "size": np.array([len(picture) for picture in pictures]),
        "brightness": np.array([float(p.mean()) for p in pixels]),
    }
    return found | {name: columns[name] for name in columns if name != "image"}


def penguin_student() -> Any:
    """Returns a smaller network than penguin's, with the names of its inputs."""
    names = ("culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g")
    return _dense([f"{name}_xf" for name in names], 4, 3)


penguin_tuner_student = penguin_student


def regression_student() -> Any:
    """Returns a smaller network than the regression's."""
    return _dense([f"{name}_xf" for name in DIABETES], 4, 1)


def image_bytes_student() -> Any:
    """Returns a smaller network than that of the images."""
    import tf_keras as keras

    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])


def mnist_student() -> Any:
    """Returns a smaller network than mnist's."""
    import tf_keras as keras

    given = keras.Input((784,), name="image_floats_xf")
    return keras.Model(given, keras.layers.Dense(10, activation="softmax")(given))


def taxi_student() -> Any:
    """Returns a network of a taxi trip's numbers alone."""
    return _dense(["trip_miles_xf", "fare_xf", "trip_seconds_xf"], 4, 1)


def untransformed_student() -> Any:
    """Returns a smaller network than that of the tumours."""
    return _dense(list(UNTRANSFORMED), 4, 1)


def _dense(names: list[str], width: int, outputs: int) -> Any:
    import tf_keras as keras

    inputs = [keras.Input((1,), name=name) for name in names]
    hidden = keras.layers.Dense(width, activation="relu")(keras.layers.Concatenate()(inputs))
    return keras.Model(inputs, keras.layers.Dense(outputs)(hidden))
