"""Optimisers behind a standard Trainer: tf.Examples in, Transform inside, no Keras file beside."""

from pathlib import Path

import numpy as np
import pytest
import serving_models
import tensorflow as tf
import tf_keras as keras
from digit_artifacts import outputs
from tfx.types import standard_artifacts

from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT
from tfx_loop.core.errors import ModelError
from tfx_loop.deployment.model_server.loading import load_version
from tfx_loop.deployment.serving_pusher.golden import examples_input, golden_requests
from tfx_loop.deployment.serving_pusher.golden_rows import GoldenTerms
from tfx_loop.optimization.distiller.executor import Executor as Distiller
from tfx_loop.optimization.distiller.settings import DistillerSettings
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner.executor import Executor as Pruner
from tfx_loop.optimization.pruner.settings import PrunerSettings
from tfx_loop.optimization.quantizer.executor import Executor as Quantizer
from tfx_loop.optimization.quantizer.settings import QuantizerSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

ROWS = serving_models.fruit_rows(40, seed=9)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A Model and raw Examples, as Trainer and ExampleGen leave them."""
    folder = tmp_path_factory.mktemp("fruit")
    serving = folder / "model" / "Format-Serving"
    serving_models.save_fruit(serving, serving_models.fruit_network())
    for split, seed in (("train", 1), ("eval", 2)):
        rows = serving_models.fruit_rows(400, seed=seed)
        serving_models.write_examples(folder / "examples" / f"Split-{split}", rows)
    examples, model = standard_artifacts.Examples(), standard_artifacts.Model()
    examples.uri, model.uri = str(folder / "examples"), str(folder / "model")
    examples.split_names = '["train", "eval"]'
    return examples, model


def run(executor, trained, folder, settings, parent="parent"):
    """Returns the folder of the child's Format-Serving, and the report."""
    examples, model = trained
    made = outputs(folder)
    executor().Do({parent: [model], "examples": [examples]}, made, settings.to_properties())
    report = OPTIMIZATION_REPORT.read(made["optimization_report"][0].uri)
    return folder / "model" / "Format-Serving", report


def served(folder, rows=ROWS, name="examples"):
    """Returns what our server answers to serialized tf.Examples."""
    servable = load_version(1, folder)
    assert set(servable.signatures["serving_default"].inputs) == {name}
    (answer,) = servable.run("serving_default", {name: np.array(rows, object)}).values()
    return answer


@pytest.fixture(scope="module")
def quantized(trained, tmp_path_factory):
    settings = QuantizerSettings(label_key="apple_xf", max_metric_drop=0.05, mode="int8")
    return run(Quantizer, trained, tmp_path_factory.mktemp("quantized"), settings)


def test_a_quantised_variant_serves_raw_examples_as_its_parent_does(trained, quantized):
    folder, report = quantized
    assert (report.verdict.value, report.child.mode) == ("KEPT", "int8")
    assert report.overall.parent.value > 0.9
    whole = served(Path(trained[1].uri) / "Format-Serving")
    variant = served(folder)
    assert np.abs(variant - whole).max() < 0.05 * np.abs(whole).max()
    assert (variant.argmax(axis=1) == whole.argmax(axis=1)).mean() > 0.95


def test_sizes_count_the_preprocessing_that_goes_along(trained, quantized):
    folder, report = quantized
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"tflite", "saved_model.pb"}
    assert report.child.size.raw_bytes == sum(path.stat().st_size for path in files)
    assert report.child.size.raw_bytes < report.parent.size.raw_bytes
    assert {layer.name for layer in report.parent.layers} >= {"colours", "hidden", "logits"}


def test_a_push_asks_it_with_examples(quantized):
    folder, _ = quantized
    assert examples_input(folder) == "examples"
    asked = golden_requests(folder, ROWS[:3], GoldenTerms(rows=3))
    assert list(asked.instances) == ROWS[:3]
    (expected,) = asked.expected.values()
    np.testing.assert_allclose(expected, served(folder, ROWS[:3]))


@pytest.mark.long
def test_quantisation_aware_training_reads_the_layers_off_the_saved_model(trained, tmp_path):
    settings = QuantizerSettings(
        label_key="apple",
        max_metric_drop=0.1,
        mode="qat_int8",
        fine_tuning=FineTuningSettings(epochs=10, learning_rate=1e-3),
    )
    folder, report = run(Quantizer, trained, tmp_path, settings)
    assert (report.verdict.value, report.child.mode) == ("KEPT", "qat_int8")
    assert served(folder).shape == (len(ROWS), 2)


def test_a_pruned_model_keeps_all_signatures_and_has_zeros(trained, tmp_path):
    settings = PrunerSettings(
        label_key="apple_xf",
        max_metric_drop=0.2,
        sparsity=0.5,
        fine_tuning=FineTuningSettings(epochs=2, learning_rate=1e-3),
    )
    folder, report = run(Pruner, trained, tmp_path, settings)
    assert report.verdict.value == "KEPT"
    assert "read off the SavedModel" in " ".join(report.notes)
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "transform_features"}
    network = keras.models.load_model(tmp_path / "model" / "Format-Keras" / "model.keras")
    kernel = network.get_layer("hidden").get_weights()[0]
    assert (kernel == 0).mean() >= 0.5
    transformed = loaded.signatures["transform_features"](tf.constant(ROWS))
    inputs = {name: transformed[name] for name in network.input_names}
    np.testing.assert_allclose(served(folder), network.predict(inputs, verbose=0), atol=1e-5)


def student():
    weight = keras.Input((1,), name="weight_xf")
    return keras.Model(weight, keras.layers.Dense(2)(keras.layers.Dense(4, "relu")(weight)))


@pytest.mark.long
def test_a_student_is_served_behind_its_teacher_s_preprocessing(trained, tmp_path):
    settings = DistillerSettings(
        label_key="apple_xf",
        student_fn=f"{student.__module__}.student",
        fine_tuning=FineTuningSettings(epochs=2, learning_rate=1e-2),
    )
    folder, report = run(Distiller, trained, tmp_path, settings, parent="teacher")
    assert "come from: preprocessing" in " ".join(report.notes)
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "transform_features"}
    assert set(loaded.signatures["serving_default"].structured_outputs) == {"outputs"}
    assert served(folder).shape == (len(ROWS), 2)


def image_student():
    image = keras.Input((8, 8, 1))  # Without a name, as people write it.
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A Model that takes PNGs, in tf.Examples by its other signature, and such Examples."""
    folder = tmp_path_factory.mktemp("images")
    serving_models.save_image_model(folder / "model" / "Format-Serving", examples_too=True)
    for split in ("train", "eval"):
        rows = [tf.train.Example.FromString(row) for row in serving_models.image_rows(40)]
        content = [row.features.feature["image_bytes"].bytes_list.value[0] for row in rows]
        labelled = [serving_models.example(picture=c, label=n % 3) for n, c in enumerate(content)]
        serving_models.write_examples(folder / "examples" / f"Split-{split}", labelled)
    examples, model = standard_artifacts.Examples(), standard_artifacts.Model()
    examples.uri, model.uri = str(folder / "examples"), str(folder / "model")
    examples.split_names = '["train", "eval"]'
    return examples, model, labelled


@pytest.mark.long
def test_a_student_of_images_is_given_the_only_thing_that_preprocessing_makes(images, tmp_path):
    *trained, rows = images
    settings = DistillerSettings(
        label_key="label",
        student_fn=f"{student.__module__}.image_student",
        fine_tuning=FineTuningSettings(epochs=1, learning_rate=1e-2),
    )
    folder, report = run(Distiller, trained, tmp_path, settings, parent="teacher")
    assert "come from: preprocessing" in " ".join(report.notes)
    assert "takes picture_preprocessed from the preprocessing" in " ".join(report.notes)
    assert served(folder, rows).shape == (40, 3)


def two_inputs():
    inputs = [keras.Input((1,), name=name) for name in ("weight_xf", "size_xf")]
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()(inputs)))


def test_a_student_of_what_preprocessing_does_not_make_is_refused_before_training(
    trained, tmp_path
):
    settings = DistillerSettings(
        label_key="apple_xf", student_fn=f"{student.__module__}.two_inputs"
    )
    with pytest.raises(ModelError, match=r"takes some of colour_xf, weight_xf, .* takes size_xf"):
        run(Distiller, trained, tmp_path, settings, parent="teacher")
    assert not (tmp_path / "model" / "Format-Keras").exists()


def test_what_cannot_be_cut_is_said_first_and_in_one_line(trained, tmp_path):
    text = standard_artifacts.Model()
    text.uri = str(tmp_path / "text")
    serving_models.save_text_model(tmp_path / "text" / "Format-Serving")
    rows = [serving_models.example(text=b"abc", label=1)] * 20
    for split in ("train", "eval"):
        serving_models.write_examples(tmp_path / "rows" / f"Split-{split}", rows)
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path / "rows"), '["train", "eval"]'
    cases = (
        (Quantizer, QuantizerSettings(label_key="label"), "parent"),
        (Pruner, PrunerSettings(label_key="label"), "parent"),
        (Distiller, DistillerSettings(label_key="label", student_fn="a.b"), "teacher"),
    )
    for number, (executor, settings, parent) in enumerate(cases):
        with pytest.raises(ModelError, match="text or tables to its end") as raised:
            run(executor, (examples, text), tmp_path / str(number), settings, parent)
        assert "\n" not in str(raised.value)
