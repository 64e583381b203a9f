"""Students learn from real teachers of every form; the losses are those of the papers."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from digit_networks import IMAGE, accuracy, digits, trained

from tfx_loop.core.errors import ConfigError, DataError, ModelError
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.write import save_saved_model
from tfx_loop.optimization.distiller.distiller import distill, student_inputs
from tfx_loop.optimization.distiller.losses import soft_loss
from tfx_loop.optimization.distiller.settings import DistillationSettings, FeaturePair
from tfx_loop.optimization.fine_tuning.keras_model import label_loss
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring, sigmoid, softmax

pytestmark = pytest.mark.tensorflow

ROWS, JUDGED_ON = digits()
FLAT = Rows(inputs={"pixels": ROWS.inputs[IMAGE].reshape(-1, 64)}, labels=ROWS.labels)


def settings(student="student", epochs=12, **more):
    tuning = FineTuningSettings(epochs=epochs, learning_rate=5e-3)
    function = f"digit_networks.{student}"
    return DistillationSettings(**{"student_fn": function, "fine_tuning": tuning, **more})


def test_a_student_learns_from_the_teacher_alone(worker, tmp_path):
    result = distill(trained(), ROWS, settings(alpha=1.0), worker, tmp_path)
    assert accuracy(result.child.keras) > 0.85
    written = keras.models.load_model(result.child.keras)
    assert written.optimizer is not None


@pytest.mark.long
def test_a_student_of_logits_learns_from_a_tflite_teacher(worker, tmp_path):
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(trained()))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    (tmp_path / "teacher.tflite").write_bytes(converter.convert())
    chosen = settings("student_of_logits")
    result = distill(tmp_path / "teacher.tflite", ROWS, chosen, worker, tmp_path / "out")
    assert result.predicts == "one of several classes, from logits"
    assert accuracy(result.child.keras) > 0.85


@pytest.mark.long
def test_a_student_takes_the_rows_its_own_way(worker, tmp_path):
    save_saved_model(keras.models.load_model(trained()), str(tmp_path / "teacher"))
    chosen = settings("student_of_flat_rows", alpha=0.5)
    (taken,) = student_inputs(chosen, worker)
    assert (taken.name, taken.shape) == ("pixels", (None, 64))
    out = tmp_path / "out"
    result = distill(tmp_path / "teacher", FLAT, chosen, worker, out, teacher_rows=ROWS)
    flat = JUDGED_ON.inputs[IMAGE].reshape(-1, 64)
    assert accuracy(result.child.keras, flat) > 0.8


def test_layers_are_matched_and_rows_augmented(worker, tmp_path):
    pair = FeaturePair(teacher="first_relu", student="student_features")
    chosen = settings(
        features=(pair,), augment_fn="digit_networks.shifted", augmented_copies=1, epochs=4
    )
    result = distill(trained(), ROWS, chosen, worker, tmp_path)
    written = keras.models.load_model(result.child.keras)
    assert written.layers[0].name == "student_features"
    assert accuracy(result.child.keras) > 0.6


@pytest.mark.long
def test_numbers_are_learned_by_regression(worker, tmp_path):
    inputs = keras.Input((4,), name="x")
    teacher = keras.Model(inputs, keras.layers.Dense(1, name="y")(inputs))
    teacher.save(tmp_path / "teacher.keras")
    values = np.random.default_rng(0).normal(size=(512, 4)).astype(np.float32)
    answers = teacher(values).numpy()
    rows = Rows(inputs={"x": values}, labels=answers[:, 0] + 100)
    tuning = FineTuningSettings(epochs=40, learning_rate=0.05, batch_size=32)
    chosen = settings(student_fn=f"{__name__}.line", alpha=1.0, fine_tuning=tuning)
    result = distill(tmp_path / "teacher.keras", rows, chosen, worker, tmp_path / "out")
    student = keras.models.load_model(result.child.keras)
    assert result.predicts == "numbers"
    assert np.abs(student(values).numpy() - answers).max() < 0.05


def line():
    """Returns a student of one number."""
    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(1)])


def map_student():
    """Returns a student that tells of each pixel which of three classes it is."""
    given = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Conv2D(8, 1, activation="relu")(given)
    return keras.Model(given, keras.layers.Conv2D(3, 1, activation="softmax")(hidden))


def flat_student():
    given = keras.Input((8, 8, 1), name="image")
    return keras.Model(given, keras.layers.Dense(192)(keras.layers.Flatten()(given)))


def test_maps_are_learned_pixel_by_pixel_and_shapes_must_agree(worker, tmp_path):
    given = keras.Input((8, 8, 1), name="image")
    classes = keras.layers.Conv2D(3, 1, activation="softmax", name="level")
    teacher = keras.Model(given, classes(given))
    # Dark below a third, light above two thirds: 9 x - 3 beats 0 there, and 18 x - 9 that.
    classes.set_weights([np.array([[[[0.0, 9.0, 18.0]]]]), np.array([0.0, -3.0, -9.0])])
    teacher.save(tmp_path / "teacher.keras")
    images = ROWS.inputs[IMAGE][:400]
    levels = teacher(images).numpy().argmax(axis=-1)
    rows = Rows(inputs={"image": images}, labels=levels)
    tuning = FineTuningSettings(epochs=12, learning_rate=0.03, batch_size=16)
    chosen = settings(student_fn=f"{__name__}.map_student", alpha=0.5, fine_tuning=tuning)
    result = distill(tmp_path / "teacher.keras", rows, chosen, worker, tmp_path / "out")
    student = keras.models.load_model(result.child.keras)
    assert result.predicts == "one of several classes"
    assert (student(images).numpy().argmax(axis=-1) == levels).mean() > 0.9
    chosen = settings(student_fn=f"{__name__}.flat_student", fine_tuning=tuning)
    with pytest.raises(DataError, match=r"one label a row|8 x 8 x 3 outputs"):
        distill(tmp_path / "teacher.keras", rows, chosen, worker, tmp_path / "none")


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"student": "absent"}, ConfigError, "Expected a function 'absent'"),
        ({"student": "no_student"}, ConfigError, "received dict"),
        ({"student": "student_of_one_number"}, DataError, "class numbers|one label|predicts"),
        ({"augment_fn": "digit_networks.cut"}, DataError, "return arrays like its own"),
        (
            {"features": (FeaturePair(teacher="no", student="student_features"),)},
            ConfigError,
            "layer of the teacher among",
        ),
        (
            {"features": (FeaturePair(teacher="second", student="student_features"),)},
            ConfigError,
            "same size",
        ),
    ],
)
def test_what_does_not_fit_is_a_one_line_error(worker, tmp_path, changes, kind, said):
    with pytest.raises(kind, match=said) as error:
        distill(trained(), ROWS, settings(**{"epochs": 1, **changes}), worker, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").rglob("*"))


def test_layers_of_a_saved_model_cannot_be_matched(worker, tmp_path):
    save_saved_model(keras.models.load_model(trained()), str(tmp_path / "teacher"))
    pair = FeaturePair(teacher="first_relu", student="student_features")
    with pytest.raises(ModelError, match="leave features out"):
        distill(tmp_path / "teacher", ROWS, settings(features=(pair,)), worker, tmp_path / "out")


LOGITS = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32) * 3
TEACHER = np.random.default_rng(2).normal(size=(6, 5)).astype(np.float32) * 3


@pytest.mark.parametrize(
    ("kind", "probability"), [(PredictionKind.CLASSES, softmax), (PredictionKind.BINARY, sigmoid)]
)
def test_the_soft_loss_is_the_divergence_times_the_squared_temperature(kind, probability):
    temperature = 3.0
    expected, found = probability(TEACHER / temperature), probability(LOGITS / temperature)
    divergence = expected * np.log(expected / found)
    if kind is PredictionKind.BINARY:
        divergence += (1 - expected) * np.log((1 - expected) / (1 - found))
    by_row = divergence.sum(axis=1) if kind is PredictionKind.CLASSES else divergence.mean(axis=1)
    from_logits = soft_loss(Scoring(kind=kind, from_logits=True), temperature)
    assert np.allclose(from_logits(TEACHER, LOGITS), 9 * by_row, atol=1e-4)
    from_probabilities = soft_loss(Scoring(kind=kind), temperature)
    answers = probability(LOGITS).astype(np.float32)
    assert np.allclose(from_probabilities(TEACHER, answers), 9 * by_row, atol=1e-3)
    assert np.allclose(from_logits(TEACHER, TEACHER), 0, atol=1e-5)


def test_gradients_keep_their_size_when_the_temperature_rises():
    sizes = []
    for temperature in (20.0, 40.0):
        logits = tf.Variable(LOGITS)
        with tf.GradientTape() as tape:
            loss = soft_loss(Scoring(kind=PredictionKind.CLASSES, from_logits=True), temperature)
            value = tf.reduce_sum(loss(TEACHER, logits))
        sizes.append(float(tf.norm(tape.gradient(value, logits))))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_students_without_a_loss_get_the_usual_one():
    assert isinstance(
        label_loss(Scoring(kind=PredictionKind.NUMBER)), keras.losses.MeanSquaredError
    )
    classes = label_loss(Scoring(kind=PredictionKind.CLASSES, from_logits=True))
    assert classes(np.array([1]), np.array([[0.0, 50.0]])).numpy() == pytest.approx(0, abs=1e-6)
