"""What optimisers take beside the usual: a parse_fn, several heads, a file of Keras 3."""

from dataclasses import replace

import keras as keras3
import numpy as np
import pytest
import serving_models
import tensorflow as tf
import tf_keras as keras
from digit_artifacts import outputs
from tfx.types import standard_artifacts

from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.preprocessing.source import ExamplesReader
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.distiller.executor import Executor as Distiller
from tfx_loop.optimization.distiller.settings import DistillerSettings
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner import pruner
from tfx_loop.optimization.pruner.executor import Executor as Pruner
from tfx_loop.optimization.pruner.settings import PrunerSettings, PruningSettings
from tfx_loop.optimization.quantizer.executor import Executor as Quantizer
from tfx_loop.optimization.quantizer.settings import QuantizerSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def decoded(columns):
    """A parse_fn: PNG bytes of any size to what a network takes."""
    images = [tf.io.decode_png(content, channels=1) for content in columns["image_bytes"]]
    return {"image": np.stack([tf.image.resize(image, [8, 8]) / 255.0 for image in images])}


def first_alone(columns):
    return {"image": decoded(columns)["image"][:1]}


def test_a_parse_fn_makes_the_inputs_and_the_label_stays_the_examples_own(tmp_path):
    serving_models.write_examples(tmp_path / "rows", serving_models.image_rows(12))
    reader = ExamplesReader(parse_fn=f"{__name__}.decoded")
    read = reader.read(None, [str(tmp_path / "rows")], "label")
    image = serving_models.image_spec()
    rows = read.rows((image,), "label")
    assert rows.inputs["image"].shape == (12, 8, 8, 1)
    assert rows.inputs["image"].max() <= 1
    assert list(rows.labels) == [1] * 12


def test_a_parse_fn_that_loses_rows_is_refused(tmp_path):
    serving_models.write_examples(tmp_path / "rows", serving_models.image_rows(3))
    reader = ExamplesReader(parse_fn=f"{__name__}.first_alone")
    with pytest.raises(DataError, match="Expected 3 rows of each input"):
        reader.read(None, [str(tmp_path / "rows")], None)


@pytest.fixture(scope="module")
def decoded_images(tmp_path_factory):
    """A Model of decoded images, as a SavedModel and a tf_keras file, and Examples of PNGs."""
    folder = tmp_path_factory.mktemp("decoded")
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(given))
    network = keras.Model(given, keras.layers.Dense(2, activation="softmax")(hidden))
    network.compile("adam", "sparse_categorical_crossentropy")
    network.save(folder / "model" / "Format-Serving", save_format="tf")
    (folder / "model" / "Format-Keras").mkdir()
    network.save(folder / "model" / "Format-Keras" / "model.keras")
    for split in ("train", "eval"):
        rows = [tf.train.Example.FromString(row) for row in serving_models.image_rows(40)]
        for number, row in enumerate(rows):
            row.features.feature["label"].int64_list.value[0] = number % 2
        records = [row.SerializeToString() for row in rows]
        serving_models.write_examples(folder / "rows" / f"Split-{split}", records)
    examples, model = standard_artifacts.Examples(), standard_artifacts.Model()
    examples.uri, model.uri = str(folder / "rows"), str(folder / "model")
    examples.split_names = '["train", "eval"]'
    return {"parent": [model], "examples": [examples]}


# Any loss is in the budget: what is asked is whether the node runs.
ALLOWED = {"label_key": "label", "max_metric_drop": 1.0}


@pytest.mark.parametrize(
    ("executor", "settings"),
    [
        (Quantizer, QuantizerSettings(**ALLOWED, mode="int8")),
        (Pruner, PrunerSettings(**ALLOWED, fine_tuning=FineTuningSettings(epochs=1))),
    ],
)
def test_images_are_decoded_by_a_parse_fn(decoded_images, tmp_path, executor, settings):
    """Without it the Examples have nothing that the network takes."""
    made = outputs(tmp_path)
    decoding = replace(settings, parse_fn=f"{__name__}.decoded")
    executor().Do(decoded_images, made, decoding.to_properties())
    report = OPTIMIZATION_REPORT.read(made["optimization_report"][0].uri)
    assert report.verdict.value == "KEPT"
    assert 0 <= report.overall.child.value <= 1
    with pytest.raises(DataError, match="for the input"):
        executor().Do(decoded_images, outputs(tmp_path / "raw"), settings.to_properties())


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory):
    """A network of two heads, and rows with labels of one."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6)).astype(np.float32)
    kinds, sizes = (x[:, 0] + x[:, 1] > 0).astype(np.int64), x[:, 2] * 2 + x[:, 3]
    given = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(32, activation="relu", name="hidden")(given)
    heads = [
        keras.layers.Dense(2, activation="softmax", name="kind")(hidden),
        keras.layers.Dense(1, name="size")(hidden),
    ]
    model = keras.Model(given, heads)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    model.fit(x, {"kind": kinds, "size": sizes}, epochs=25, verbose=0)
    path = tmp_path_factory.mktemp("heads") / "model.keras"
    model.save(path)
    return path, Rows(inputs={"x": x}, labels=kinds)


@pytest.mark.long
def test_a_head_without_labels_is_trained_to_answer_as_it_did(two_heads, worker, tmp_path):
    path, rows = two_heads
    settings = PruningSettings(
        output="kind", fine_tuning=FineTuningSettings(epochs=8, learning_rate=5e-3)
    )
    result = pruner.prune(path, rows, settings, worker, tmp_path)
    assert result.held_outputs == ("size",)
    assert result.sparsity > 0.4
    before, after = (
        open_predictor(file).predict(rows.inputs) for file in (path, result.child.keras)
    )
    spread = np.std(before["size"])
    assert np.sqrt(np.mean((before["size"] - after["size"]) ** 2)) < 0.25 * spread
    assert (after["kind"].argmax(axis=1) == rows.labels).mean() > 0.9


def test_several_heads_need_the_name_of_the_labelled_one(two_heads, worker, tmp_path):
    path, rows = two_heads
    with pytest.raises(ConfigError, match="Expected output among kind, size"):
        pruner.prune(path, rows, PruningSettings(), worker, tmp_path)


def small_student():
    given = keras.Input((6,), name="x")
    return keras.Model(given, keras.layers.Dense(2)(given))


@pytest.mark.long
def test_a_teacher_s_saved_model_is_asked_where_its_keras_file_is_of_keras_3(tmp_path):
    given = keras3.Input((6,), name="x")
    network = keras3.Model(given, keras3.layers.Dense(2, activation="softmax")(given))
    teacher = standard_artifacts.Model()
    teacher.uri = str(tmp_path / "teacher")
    (tmp_path / "teacher" / "Format-Keras").mkdir(parents=True)
    network.save(tmp_path / "teacher" / "Format-Keras" / "model.keras")
    network.export(str(tmp_path / "teacher" / "Format-Serving"), verbose=False)
    rng = np.random.default_rng(1)
    for split in ("train", "eval"):
        rows = [
            serving_models.example(x=rng.normal(size=6).astype(np.float32), label=int(n % 2))
            for n in range(80)
        ]
        serving_models.write_examples(tmp_path / "rows" / f"Split-{split}", rows)
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path / "rows"), '["train", "eval"]'
    made = outputs(tmp_path / "out")
    settings = DistillerSettings(
        student_fn=f"{__name__}.small_student",
        label_key="label",
        fine_tuning=FineTuningSettings(epochs=2, learning_rate=1e-2),
    )
    Distiller().Do({"teacher": [teacher], "examples": [examples]}, made, settings.to_properties())
    report = OPTIMIZATION_REPORT.read(made["optimization_report"][0].uri)
    assert (report.parent.format, report.technique) == ("saved_model", "distillation")
