"""Training of a student on its teacher's answers. Runs in a child process."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from tfx_loop.core import json_codec
from tfx_loop.core.child_process.child import report_progress
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.import_path import user_function
from tfx_loop.models.keras.model import KerasPredictor, keras_specs
from tfx_loop.models.rows.fitting import rows_from_arrays
from tfx_loop.optimization.distiller import losses, teacher
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.distiller.teacher import Lesson
from tfx_loop.optimization.fine_tuning import keras_model
from tfx_loop.optimization.fine_tuning.child_export import write_child
from tfx_loop.optimization.fine_tuning.job import from_payload
from tfx_loop.optimization.fine_tuning.rows_file import Array, TrainingRows, read_rows
from tfx_loop.optimization.fine_tuning.training import (
    TrainingRecord,
    fit,
    keras_inputs,
    seed_everything,
    taken,
)
from tfx_loop.optimization.metrics.scoring import (
    PredictionKind,
    Scoring,
    class_numbers,
    infer_scoring,
)

_LOG = logging.getLogger(__name__)
# Keras logs them as from_teacher_loss, and so on.
_SOFT, _LABEL, _FEATURE = "from_teacher", "from_labels", "from_layer_{}"


def student_inputs(payload: dict[str, Any]) -> Any:
    """Returns the inputs of the student that a function builds, as JSON of TensorSpecs.

    Args:
        payload: `settings`.
    """
    student = _student(json_codec.from_json(DistillationSettings, payload["settings"], "settings"))
    inputs, _ = keras_specs(student)
    return json_codec.to_json(inputs)


def distill(payload: dict[str, Any]) -> dict[str, Any]:
    """Teaches a student and writes it.

    Args:
        payload: `teacher` (any model), `rows` and `teacher_rows` (.npz, the same rows as student
            and teacher take them), `settings`, and `child` and `export_sources` as
            `job.to_payload` has them.

    Returns:
        `training`, `predicts`, `signatures`, `teacher_seconds`, `seconds`.
    """
    begin = time.perf_counter()
    settings = json_codec.from_json(DistillationSettings, payload["settings"], "settings")
    student = _student(settings)
    rows, asked = _augmented(payload, settings)
    labels = _labels(rows)
    lesson = teacher.ask(payload["teacher"], asked, labels, settings)
    teacher_seconds = time.perf_counter() - begin
    report_progress(f"teacher rows={len(rows)} seconds={teacher_seconds:.1f}")
    inputs = _student_inputs(student, rows.inputs)
    scoring = _student_scoring(student, inputs, labels, lesson)
    training = _train_student(student, TrainingRows(inputs, labels), lesson, scoring, settings)
    signatures = write_child(student, *from_payload(payload), inputs)
    return {
        "training": json_codec.to_json(training),
        "predicts": scoring.describe(),
        "signatures": signatures.value,
        "teacher_seconds": teacher_seconds,
        "seconds": time.perf_counter() - begin,
    }


def _student(settings: DistillationSettings) -> keras.Model:
    tuning = settings.fine_tuning
    seed_everything(tuning.seed)
    # An input without a name is called by Keras' count of those before it: the same each time.
    keras.backend.reset_uids()
    student = user_function(settings.student_fn, "student_fn")()
    if not isinstance(student, keras.Model):
        raise ConfigError(
            f"Expected a tf_keras model from {settings.student_fn}, received "
            f"{type(student).__name__}. Build it with tf_keras (TF_USE_LEGACY_KERAS=1)."
        )
    keras_model.require_graph(student, settings.student_fn)
    if len(student.outputs) != 1:
        raise ConfigError(
            f"Expected a student with one output, received {student.output_names}. Let "
            f"{settings.student_fn} return the one that is learned."
        )
    if tuning.compile_fn:
        user_function(tuning.compile_fn, "compile_fn")(student)
    return student


def _augmented(
    payload: Mapping[str, Any], settings: DistillationSettings
) -> tuple[TrainingRows, dict[str, Array]]:
    """Returns the student's rows and the teacher's inputs, followed by their augmented copies."""
    rows, asked = read_rows(payload["rows"]), read_rows(payload["teacher_rows"]).inputs
    if not settings.augment_fn:
        return rows, asked
    augment = user_function(settings.augment_fn, "augment_fn")
    seen, told = [rows.inputs], [asked]
    for copy in range(1, settings.augmented_copies + 1):
        # The same draws for both: they see the same row.
        for inputs, all_inputs in ((rows.inputs, seen), (asked, told)):
            # The copy's number is part of the seed: with one seed every copy would be the same.
            rng = np.random.default_rng([settings.fine_tuning.seed, copy])
            all_inputs.append(
                _of_same_shapes(augment(dict(inputs), rng), inputs, settings.augment_fn)
            )
    labels = np.concatenate([_labels(rows)] * len(seen))
    return TrainingRows(_concatenated(seen), labels), _concatenated(told)


def _train_student(
    student: keras.Model,
    rows: TrainingRows,
    lesson: Lesson,
    scoring: Scoring,
    settings: DistillationSettings,
) -> TrainingRecord:
    """Trains the student with one loss a lesson, each on an output of its own."""
    labels = _labels(rows)
    if not keras_model.is_compiled(student):
        student.compile(
            keras.optimizers.Adam(keras_model.LEARNING_RATE), keras_model.label_loss(scoring)
        )
        # The standard loss takes class numbers, and labels may be one-hot rows.
        if scoring.kind is PredictionKind.CLASSES:
            labels = class_numbers(labels, lesson.logits)
    outputs = {name: _output_named(name)(student.output) for name in (_SOFT, _LABEL)}
    wanted = {_SOFT: lesson.logits, _LABEL: labels}
    asked = {_SOFT: losses.soft_loss(scoring, settings.temperature), _LABEL: _own_loss(student)}
    # A weighted mean of both losses (Hinton et al. 2015, section 2).
    weights = {_SOFT: settings.alpha, _LABEL: 1 - settings.alpha}
    for place, (pair, values) in enumerate(zip(settings.features, lesson.features, strict=True)):
        name = _FEATURE.format(place)
        made = teacher.layer_output(student, pair.student, "student")
        outputs[name] = _matched(made, values, name, pair.student)
        wanted[name], asked[name] = values, losses.feature_loss
        weights[name] = settings.feature_weight
    # Each lesson has an output of its own, for Keras gives every output one loss and one weight.
    taught = keras.Model(student.inputs, outputs)
    taught.compile(
        keras_model.fresh_optimizer(student, settings.fine_tuning.learning_rate),
        loss=asked,
        loss_weights=weights,
    )
    copies = 1 + settings.augmented_copies * bool(settings.augment_fn)
    return fit(taught, TrainingRows(rows.inputs, wanted), settings.fine_tuning, copies=copies)


def _matched(made: Any, values: Array, name: str, layer: str) -> Any:
    """Returns the student's layer brought to the teacher's channels (FitNets' regressor)."""
    if tuple(made.shape[1:-1]) != values.shape[1:-1]:
        raise ConfigError(
            f"Expected a layer of the student whose output is of shape {values.shape[1:-1]} "
            f"but for its channels, received {layer!r} with {tuple(made.shape[1:-1])}. "
            "Choose layers where both have the same size."
        )
    return keras.layers.Dense(values.shape[-1], name=name)(made)


def _student_scoring(
    student: keras.Model, inputs: dict[str, Array], labels: Array, lesson: Lesson
) -> Scoring:
    """Returns how the student's outputs are to be read; untrained ones show it as well."""
    some = slice(0, keras_model.SCORED_ROWS)
    (outputs,) = KerasPredictor.of(student).predict(taken(inputs, some)).values()
    scoring = infer_scoring(labels[some], outputs)
    # One number a row may lack the axis of its outputs.
    answered = outputs.shape[1:] or (1,)
    teacher.require_fit(lesson.scoring, scoring, lesson.logits.shape[1:], answered)
    return scoring


def _student_inputs(student: keras.Model, inputs: dict[str, Array]) -> dict[str, Array]:
    specs, _ = keras_specs(student)
    named = keras_inputs(student, inputs)
    return dict(rows_from_arrays(named, specs).inputs)


def _own_loss(student: keras.Model) -> Any:
    # Keras keeps it in the form that compile() was given: one, or a list or a dict of one.
    loss = student.loss
    if isinstance(loss, dict | list):
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    return loss


# One tensor is learned from twice, and Keras names an output after its layer: each gets an identity
# of its own.
def _output_named(name: str) -> keras.layers.Layer:
    return keras.layers.Activation("linear", name=name)


def _labels(rows: TrainingRows) -> Array:
    assert not isinstance(rows.labels, dict)
    return rows.labels


def _of_same_shapes(made: Any, inputs: Mapping[str, Array], name: str) -> dict[str, Array]:
    shapes = {key: np.shape(values) for key, values in inputs.items()}
    found = {key: np.shape(values) for key, values in dict(made).items()}
    if found != shapes:
        raise DataError(
            f"Expected {name} to return arrays like its own, {shapes}, received {found}. "
            "Augment rows, and keep their number and shape."
        )
    return {key: np.asarray(values) for key, values in made.items()}


def _concatenated(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
