"""tf_keras models read from their files and compiled with the user's own loss.

Runs where TensorFlow may be imported: in a child process.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.core.import_path import user_function
from tfx_loop.models.keras.model import KerasPredictor, load_keras
from tfx_loop.models.weights import check_finite, keras_weights
from tfx_loop.optimization.fine_tuning.rows_file import Array, TrainingRows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.scoring import (
    PredictionKind,
    Scoring,
    infer_scoring,
    pick,
)

Model: TypeAlias = keras.Model
# Rows from whose answers it is read what a model predicts: probabilities, logits and numbers are
# told apart by their range, which shows in some hundreds.
SCORED_ROWS = 512
# Adam's default, for a model that brings no optimizer.
LEARNING_RATE = 1e-3


def load(
    path: Path | str,
    settings: FineTuningSettings,
    rows: TrainingRows | None = None,
    output: str = "",
) -> Model:
    """Returns the model in a `.keras` or `.h5` file, compiled.

    Args:
        path: The file.
        settings: Its `compile_fn` and `custom_objects` are asked.
        rows: Where the file has no loss, their labels and the model's answers show one; None asks
            for it.
        output: The one that the labels belong to, where it has several.

    Raises:
        ModelError: The file holds no functional or Sequential tf_keras model, or NaN weights.
        ConfigError: The model is not compiled, and no `compile_fn` is given.
    """
    compiles = user_function(settings.compile_fn, "compile_fn") if settings.compile_fn else None
    model = read(path, compiled=compiles is None, custom_objects=settings.custom_objects)
    check_finite(keras_weights(model), Path(path))
    if compiles is not None:
        compiles(model)
    if not is_compiled(model) and rows is not None and not isinstance(rows.labels, dict):
        _compile_for(model, rows.inputs, rows.labels, output, settings)
    if not is_compiled(model):
        raise ConfigError(
            f"Expected a compiled model in {path}, received one without a loss. Save it after "
            "compile(), or name a function that compiles it: compile_fn='package.module.function'."
        )
    return model


def read(path: Path | str, *, compiled: bool = False, custom_objects: Sequence[str] = ()) -> Model:
    """Returns the model in a `.keras` or `.h5` file.

    Raises:
        ModelError: The file holds no functional or Sequential tf_keras model.
    """
    model = load_keras(path, compiled=compiled, custom_objects=custom_objects)
    require_graph(model, str(path))
    return model


def require_graph(model: Any, name: str) -> None:
    """Raises ModelError unless the model is functional or Sequential, and built."""
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ModelError(
                f"Expected a built model in {name}, received a Sequential without input shape. "
                "Call build(input_shape) before saving it."
            )
    elif not (isinstance(model, keras.Model) and model._is_graph_network):
        raise ModelError(
            f"Expected a functional or Sequential model in {name}, received the subclassed "
            f"{type(model).__name__}. Techniques at training time rebuild the model layer by "
            "layer: write it with the functional API."
        )


def label_loss(scoring: Scoring) -> Any:
    """Returns the standard loss for what is predicted, for a model that brings none."""
    if scoring.kind is PredictionKind.NUMBER:
        return keras.losses.MeanSquaredError()
    if scoring.kind is PredictionKind.BINARY:
        return keras.losses.BinaryCrossentropy(from_logits=scoring.from_logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=scoring.from_logits)


def _compile_for(
    model: Model,
    inputs: Mapping[str, Array],
    labels: Array,
    output: str,
    settings: FineTuningSettings,
) -> None:
    """Compiles a model with the loss that its answers to some rows suggest."""
    some = slice(0, SCORED_ROWS)
    answers = KerasPredictor.of(model).predict({name: v[some] for name, v in inputs.items()})
    chosen = output if len(answers) > 1 else None
    scoring = infer_scoring(labels[some], pick(answers, chosen))
    loss = label_loss(scoring)
    model.compile(
        keras.optimizers.Adam(settings.learning_rate or LEARNING_RATE),
        loss if chosen is None else {chosen: loss},
    )


def with_held_outputs(
    model: Model, rows: TrainingRows, output: str
) -> tuple[TrainingRows, list[str]]:
    """Returns rows with a target for each output: the labels for one, and for others the answers.

    Compiles the model so, where it has several outputs and the rows have one label. A head that
    nobody has labels for learns to answer as it did.

    Args:
        model: Compiled.
        rows: With labels of one output.
        output: Which one.

    Returns:
        The rows, and the names of the outputs that are held.

    Raises:
        ConfigError: No such output is named.
    """
    names = list(model.output_names)
    if len(names) == 1 or isinstance(rows.labels, dict):
        return rows, []
    if output not in names:
        raise ConfigError(
            f"Expected output among {', '.join(names)}, received {output or 'none'!r}. Name the "
            "output that the label belongs to; the others are trained to answer as they do."
        )
    answers = KerasPredictor.of(model).predict(rows.inputs)
    own = model.loss
    if isinstance(own, list | tuple):
        # Keras takes losses by position as well as by name.
        own = dict(zip(names, own, strict=True))
    # To answer as before is a regression on the old answers, whatever these are.
    losses = {name: keras.losses.MeanSquaredError() for name in names}
    losses[output] = own[output] if isinstance(own, dict) else own
    model.compile(fresh_optimizer(model), loss=losses)
    targets = {name: rows.labels if name == output else answers[name] for name in names}
    return TrainingRows(rows.inputs, targets), [name for name in names if name != output]


def is_compiled(model: Model) -> bool:
    """Says whether the model has an optimizer and a loss."""
    return getattr(model, "optimizer", None) is not None and bool(getattr(model, "loss", None))


def compile_like(target: Model, source: Model, learning_rate: float | None = None) -> None:
    """Compiles `target` with the loss of `source` and a fresh optimizer of the same kind.

    TFMOT's wrappers rename layers, and thereby outputs (`probability` becomes
    `prune_low_magnitude_probability`): losses given by output name move along by position.

    Args:
        target: A model with the outputs of `source`, in their order.
        source: A compiled model.
        learning_rate: None takes that of `source`, its schedule included.
    """
    renamed = dict(zip(source.output_names, target.output_names, strict=True))
    target.compile(
        fresh_optimizer(source, learning_rate),
        loss=_renamed(source.loss, renamed),
        # Keras 2 keeps what compile() was given nowhere public.
        loss_weights=_renamed(source.compiled_loss._user_loss_weights, renamed),
    )
    without_autograph(target)


def fresh_optimizer(source: Model, learning_rate: float | None = None) -> Any:
    """Returns an optimizer like the model's own, without what it remembers."""
    config = source.optimizer.get_config()
    if learning_rate is not None:
        config["learning_rate"] = learning_rate
    return type(source.optimizer).from_config(config)


def without_autograph(model: Model) -> None:
    """Spares AutoGraph: it would rewrite all of Keras to find no loop in it, 20 s a process."""
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    model.test_step = tf.autograph.experimental.do_not_convert(model.test_step)
    model.predict_step = tf.autograph.experimental.do_not_convert(model.predict_step)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(name, name): entry for name, entry in value.items()}
    return value
