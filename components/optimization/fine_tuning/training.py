"""Fit of a compiled model to rows; the same seed gives the same weights.

Runs where TensorFlow may be imported: in a child process.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.child_process.child import report_progress
from tfx_loop.core.errors import DataError
from tfx_loop.optimization.fine_tuning.keras_model import without_autograph
from tfx_loop.optimization.fine_tuning.rows_file import Array, TrainingRows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings

_LOG = logging.getLogger(__name__)
# Rows held back are only answered, so batches may be larger than in training.
_VALIDATION_BATCH = 1024
# With fewer rows held back, their loss says more about chance than about the epoch.
_MIN_VALIDATION_ROWS = 10


@dataclass(frozen=True)
class TrainingRecord:
    """What a fit came to.

    Attributes:
        epochs: Epochs that ran.
        kept_epoch: The epoch whose weights were kept, from 1.
        loss: Mean training loss of each epoch.
        validation_loss: Loss on the rows held back after each epoch; empty where none are.
        seconds: Wall time.
    """

    epochs: int
    kept_epoch: int
    loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    seconds: float


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow, and asks TensorFlow for deterministic kernels."""
    keras.utils.set_random_seed(seed)
    # Slower on a GPU, where sums of a batch are added in any order else; on a processor it costs
    # little.
    tf.config.experimental.enable_op_determinism()


def steps_per_epoch(rows: int, settings: FineTuningSettings) -> int:
    """Returns the training steps of one epoch of `fit`, the last and smaller batch included."""
    # Negated twice: a division that rounds up.
    return -(-(rows - _held_back(rows, settings)) // settings.batch_size)


def fit(
    model: keras.Model,
    rows: TrainingRows,
    settings: FineTuningSettings,
    callbacks: Sequence[Any] = (),
    *,
    first_kept_epoch: int = 1,
    copies: int = 1,
) -> TrainingRecord:
    """Trains the model in place and leaves it with the weights of its best epoch.

    Args:
        model: Compiled.
        rows: Inputs by name and labels.
        settings: Epochs, batch, rows held back, seed.
        callbacks: Keras callbacks, run before the best epoch is noted.
        first_kept_epoch: Epochs before this one (from 1) are never kept, as while sparsity grows.
        copies: The rows are this many blocks of the same rows, all but the first augmented. What is
            held back is held back of every block, and the first block alone judges the epochs.

    Raises:
        DataError: The rows lack an input, or the loss became NaN or infinite.
    """
    seed_everything(settings.seed)
    inputs = keras_inputs(model, rows.inputs)
    # Copies lie one after the other, each of all rows in the same order.
    block = len(rows) // copies
    # The rows of one block are drawn, and the same of every copy, so that no row that is held back
    # is trained on in another guise.
    order = np.random.default_rng(settings.seed).permutation(block)
    held, kept = np.split(order, [_held_back(block, settings)])
    kept = np.concatenate([kept + block * copy for copy in range(copies)])
    best = _BestEpoch(first_kept_epoch, settings.epochs)
    without_autograph(model)
    begin = time.perf_counter()
    history = model.fit(
        taken(inputs, kept),
        taken(rows.labels, kept),
        validation_data=(taken(inputs, held), taken(rows.labels, held)) if len(held) else None,
        batch_size=settings.batch_size,
        validation_batch_size=_VALIDATION_BATCH,
        epochs=settings.epochs,
        # `best` last: callbacks of pruning set weights at the end of an epoch, which it notes.
        callbacks=[keras.callbacks.TerminateOnNaN(), *callbacks, best],
        verbose=0,
    ).history
    losses = tuple(float(loss) for loss in history["loss"])
    if not np.isfinite(losses[-1]):
        raise DataError(
            f"Expected a finite loss, received {losses[-1]} in epoch {len(losses)}. "
            "Lower learning_rate, or look for NaN among the rows."
        )
    return TrainingRecord(
        epochs=len(losses),
        kept_epoch=best.epoch or len(losses),
        loss=losses,
        validation_loss=tuple(float(loss) for loss in history.get("val_loss", ())),
        seconds=time.perf_counter() - begin,
    )


def keras_inputs(model: keras.Model, inputs: dict[str, Array]) -> dict[str, Array]:
    """Returns the arrays under the names of the model's input layers.

    Raises:
        DataError: An input is missing. One array for a model of one input may have any name.
    """
    names = list(model.input_names)
    if len(names) == 1 and len(inputs) == 1:
        return {names[0]: next(iter(inputs.values()))}
    missing = sorted(set(names) - set(inputs))
    if missing:
        raise DataError(
            f"Expected rows with the model's inputs {names}, received {sorted(inputs)} without "
            f"{missing}. Name the columns as the Keras model names its inputs."
        )
    return {name: inputs[name] for name in names}


def taken(values: Array | dict[str, Array], places: Any) -> Any:
    """Returns the rows at `places`, of every array where there are several."""
    if isinstance(values, dict):
        return {name: array[places] for name, array in values.items()}
    return values[places]


def _held_back(rows: int, settings: FineTuningSettings) -> int:
    held = int(rows * settings.validation_fraction)
    return held if held >= _MIN_VALIDATION_ROWS else 0


class _BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest loss on the rows held back."""

    def __init__(self, first: int, epochs: int) -> None:
        super().__init__()
        self.epoch = 0
        self._first = first
        self._epochs = epochs
        self._loss = float("inf")
        self._weights: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the weights when they are the best so far; says how far training is."""
        logs = logs or {}
        losses = " ".join(f"{name}={value:.6g}" for name, value in sorted(logs.items()))
        said = f"epoch={epoch + 1}/{self._epochs} {losses}"
        _LOG.info("fine_tuning %s", said)
        report_progress(said)
        # Without rows held back the last epoch stays: the training loss falls whatever is learned.
        loss = logs.get("val_loss")
        if loss is not None and epoch + 1 >= self._first and loss < self._loss:
            self.epoch, self._loss, self._weights = epoch + 1, loss, _values(self.model)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Puts the best weights back."""
        for weight, value in self._weights or ():
            weight.assign(value)


def _values(model: keras.Model) -> list[tuple[Any, Array]]:
    """Returns every variable with its value; wrappers of TFMOT hide theirs from get_weights."""
    return [(weight, weight.numpy()) for weight in model.weights]
