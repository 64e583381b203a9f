"""Trains three small real models and writes them and their rows in every form that users have."""

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler


def write_digits(folder):
    """8x8 images, ten classes; npz without a channel axis, Parquet with a column a pixel."""
    import tensorflow as tf
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    images, labels = datasets.load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    x, own, y, own_y = train_test_split(
        images, labels, test_size=0.6, random_state=0, stratify=labels
    )
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu", padding="same"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=25, batch_size=32, verbose=0)
    model.save(folder / "digits.keras")
    tf.saved_model.save(model, str(folder / "digits_saved_model"))
    tf.saved_model.save(model, str(folder / "tfx_model" / "Format-Serving"))
    own, test, own_y, test_y = train_test_split(
        own, own_y, test_size=0.5, random_state=0, stratify=own_y
    )
    np.savez(folder / "digits.npz", x=own[..., 0], y=own_y)
    pixels = pd.DataFrame(own.reshape(len(own), 64), columns=[f"pixel_{i}" for i in range(64)])
    pixels.assign(digit=own_y, half=np.arange(len(own)) % 2).to_parquet(folder / "digits.parquet")
    np.savez(folder / "digits_test.npz", x=test, y=test_y)


def write_cancer(folder):
    """30 columns, yes or no as one probability; CSV with class names."""
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    table, labels = datasets.load_breast_cancer(return_X_y=True)
    table = StandardScaler().fit_transform(table)
    x, own, y, own_y = train_test_split(
        table, labels, test_size=0.6, random_state=0, stratify=labels
    )
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((30,)), layers.Dense(16, "relu"), layers.Dense(1, "sigmoid")]
    )
    model.compile("adam", "binary_crossentropy")
    model.fit(x, y, epochs=40, verbose=0)
    model.save(folder / "cancer.h5")
    frame = pd.DataFrame(own, columns=datasets.load_breast_cancer().feature_names)
    frame["diagnosis"] = np.where(own_y == 1, "benign", "malignant")
    frame.to_csv(folder / "cancer.csv", index=False)


def write_diabetes(folder):
    """Two inputs, one number; TFRecord of tf.Examples."""
    import tensorflow as tf
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    table, labels = datasets.load_diabetes(return_X_y=True)
    table = (20 * table).astype("float32")
    layers = keras.layers
    person, blood = layers.Input((4,), name="person"), layers.Input((6,), name="blood")
    hidden = layers.Dense(32, "relu")(layers.Concatenate()([person, blood]))
    model = keras.Model([person, blood], layers.Dense(1)(hidden))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit([table[:, :4], table[:, 4:]], labels, epochs=40, verbose=0)
    model.save(folder / "diabetes.keras")
    feature = tf.train.Feature

    def numbers(values):
        return feature(float_list=tf.train.FloatList(value=values))

    with tf.io.TFRecordWriter(str(folder / "diabetes.tfrecord.gz"), "GZIP") as writer:
        for row, label in zip(table, labels, strict=True):
            parts = {"person": numbers(row[:4]), "blood": numbers(row[4:])}
            parts["progression"] = numbers([label])
            features = tf.train.Features(feature=parts)
            writer.write(tf.train.Example(features=features).SerializeToString())
