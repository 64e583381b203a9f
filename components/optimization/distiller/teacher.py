"""The teacher's answers and the outputs of its layers, asked once a row.

Runs where TensorFlow may be imported: in a child process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_keras as keras

from tfx_loop.core.errors import ConfigError, DataError, ModelError
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.keras.model import KerasPredictor, load_keras
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.fitting import rows_from_arrays
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.distiller.soft_targets import teacher_logits
from tfx_loop.optimization.fine_tuning.rows_file import Array
from tfx_loop.optimization.metrics.scoring import Scoring, infer_scoring, pick

# The teacher may be large: its activations, not its answers, limit the batch.
_BATCH_ROWS = 256


@dataclass(frozen=True)
class Lesson:
    """What there is to learn.

    Attributes:
        logits: The teacher's logits (numbers for a regression), float32 [rows, outputs]; of maps
            and sequences [rows, …, outputs].
        features: Outputs of the teacher's layers, in the order of the pairs.
        scoring: How the teacher's outputs are read.
    """

    logits: Array
    features: list[Array]
    scoring: Scoring


def ask(
    path: Path | str, inputs: Mapping[str, Array], labels: Array, settings: DistillationSettings
) -> Lesson:
    """Returns the teacher's answers for all rows.

    Args:
        path: Any model that takes numbers: SavedModel, Keras, TFLite, TFX Model.
        inputs: Arrays by input name; one array serves a single input.
        labels: Say whether the outputs are classes, yes or no, or numbers.
        settings: Which output and layers are learned from.

    Raises:
        ModelError: It is no such model, or has no such layers.
        DataError: Rows and model do not fit, or an answer is NaN.
    """
    file = detect(path)
    predictor = open_predictor(file, custom_objects=settings.fine_tuning.custom_objects)
    rows = rows_from_arrays(inputs, predictor.inputs)
    outputs = predictor.predict(rows.inputs, batch_size=_BATCH_ROWS)
    if len(outputs) > 1 and settings.teacher_output not in outputs:
        raise ConfigError(
            f"Expected teacher_output among {sorted(outputs)}, received "
            f"{settings.teacher_output!r}. Name the output that the student learns."
        )
    chosen = pick(outputs, settings.teacher_output if len(outputs) > 1 else None)
    scoring = infer_scoring(labels, chosen)
    features = _features(file, rows.inputs, settings) if settings.features else []
    return Lesson(teacher_logits(chosen, scoring), features, scoring)


def _features(
    file: ModelFile, inputs: Mapping[str, Array], settings: DistillationSettings
) -> list[Array]:
    if file.format not in (Format.KERAS, Format.H5):
        raise ModelError(
            f"Expected a .keras or .h5 file as teacher, for its layers are matched, received "
            f"{file.path} in the form {file.format.value}. Give the Keras model that it was "
            "exported from, or leave features out."
        )
    model = load_keras(file, custom_objects=settings.fine_tuning.custom_objects)
    layers = [layer_output(model, pair.teacher, "teacher") for pair in settings.features]
    found = []
    for output in layers:
        predictor = KerasPredictor.of(keras.Model(model.inputs, output))
        (values,) = predictor.predict(inputs, batch_size=_BATCH_ROWS).values()
        found.append(values)
    return found


def layer_output(model: Any, name: str, whose: str) -> Any:
    """Returns the output tensor of a layer.

    Raises:
        ConfigError: There is no such layer, or it has several outputs.
    """
    known = {layer.name: layer for layer in model.layers}
    if name not in known:
        raise ConfigError(
            f"Expected a layer of the {whose} among {list(known)}, received {name!r}. "
            "Correct features."
        )
    try:
        return known[name].output
    except AttributeError as error:
        raise ConfigError(
            f"Expected a layer used once, received {name!r} of the {whose}: {error}. "
            "Choose another layer."
        ) from error


def require_fit(
    teacher: Scoring, student: Scoring, taught: tuple[int, ...], answered: tuple[int, ...]
) -> None:
    """Checks that teacher and student predict the same thing.

    Args:
        teacher: How the teacher's outputs are read.
        student: How the student's are.
        taught: Shape of the teacher's answer to one row: of maps and sequences with their sizes.
        answered: Shape of the student's.

    Raises:
        DataError: They do not.
    """
    if teacher.kind is not student.kind or taught != answered:
        raise DataError(
            f"Expected a student that predicts what its teacher does ({teacher.describe()}, "
            f"{_shown(taught)}), received {student.describe()}, {_shown(answered)}. "
            "Give the student the same outputs."
        )


def _shown(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape))} outputs"
