"""The digits as TFX's artifacts: Examples with two splits, and a Model as a Trainer leaves it."""

import tensorflow as tf
import tf_keras as keras
from digit_networks import IMAGE, LABEL, digits, trained
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.pipelines.examples.digits.model import export


def examples(folder):
    """Writes both parts of the digits and returns the artifact, sliced by `even`."""
    for split, rows in zip(("train", "eval"), digits(), strict=True):
        (folder / f"Split-{split}").mkdir(parents=True)
        path = str(folder / f"Split-{split}" / "data.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for image, digit in zip(rows.inputs[IMAGE], rows.labels, strict=True):
                writer.write(_example(image, int(digit)))
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = '["train", "eval"]'
    return artifact


def model(folder):
    """Writes the trained network under the digits pipeline's own signatures."""
    (folder / "Format-Keras").mkdir(parents=True)
    network = keras.models.load_model(trained())
    network.save(folder / "Format-Keras" / "model.keras")
    export(network, str(folder / "Format-Serving"))
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    return artifact


def outputs(folder):
    """Returns the artifacts that a node writes to, their folders made as TFX makes them."""
    made = {"model": standard_artifacts.Model(), "optimization_report": OptimizationReport()}
    for name, artifact in made.items():
        artifact.uri = str(folder / name)
        (folder / name).mkdir(parents=True)
    return {name: [artifact] for name, artifact in made.items()}


def properties(node):
    """Returns the execution properties of a node, as its executor gets them."""
    return dict(node.exec_properties)


def _example(image, digit):
    feature = {
        IMAGE: tf.train.Feature(float_list=tf.train.FloatList(value=image.reshape(-1))),
        LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[digit])),
        "even": tf.train.Feature(int64_list=tf.train.Int64List(value=[1 - digit % 2])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
