"""Losses of single rows, from a model's answers and the labels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError

FloatArray = npt.NDArray[np.float64]
# Keras' epsilon: a probability of exactly 0 costs 16 nats and not infinitely many.
_NEARLY = 1e-7
# Outputs of float16 sum to 1 within it, and logits do not.
_SUM_TOLERANCE = 1e-3


def row_losses(
    outputs: Sequence[FloatArray], labels: Sequence[FloatArray]
) -> tuple[list[FloatArray], int]:
    """Returns the losses of each side's rows, and the number of classes; 0 for numbers.

    Labels of 0 and 1 and whole numbers with one output a class cost log loss, others the squared
    error. Outputs that are no probabilities are taken for logits.

    Args:
        outputs: Of each side, of shape (rows,), (rows, 1) or (rows, classes).
        labels: Of each side, of shape (rows,).

    Raises:
        DataError: An output or label is not finite, or a label is no class of the outputs.
    """
    flat = [side[:, 0] if side.ndim == 2 and side.shape[1] == 1 else side for side in outputs]
    every, known = np.concatenate(flat), np.concatenate(labels)
    if not (np.isfinite(every).all() and np.isfinite(known).all()):
        raise DataError("Expected finite outputs and labels, received NaN or infinity.")
    if every.ndim == 1:
        if not np.isin(known, (0.0, 1.0)).all():
            _refuse_other_pairs(every, known)
            return [(side - given) ** 2 for side, given in zip(flat, labels, strict=True)], 0
        if every.min() < 0 or every.max() > 1:
            # Clipped where exp would overflow; there the loss is as large as it can be.
            flat = [1 / (1 + np.exp(-np.clip(side, -500, 500))) for side in flat]
        flat = [np.stack([1 - side, side], axis=1) for side in flat]
    classes = flat[0].shape[1]
    if known.min() < 0 or known.max() >= classes or (known != np.floor(known)).any():
        raise DataError(
            f"Expected labels from 0 to {classes - 1}, one of each output, received "
            f"{known.min():g} to {known.max():g}. Number the classes as the model does."
        )
    chances = [_probabilities(side, every) for side in flat]
    return [log_losses(side, given) for side, given in zip(chances, labels, strict=True)], classes


def _refuse_other_pairs(outputs: FloatArray, labels: FloatArray) -> None:
    """Refuses two classes that are not numbered 0 and 1, which would be taken for numbers."""
    pair = np.unique(labels)
    if len(pair) == 2 and outputs.min() >= 0 and outputs.max() <= 1 and (pair % 1 == 0).all():
        raise DataError(
            f"Expected labels 0 and 1 beside outputs from 0 to 1, received {pair[0]:g} and "
            f"{pair[1]:g}. Number the classes as the model does."
        )


def log_losses(probabilities: FloatArray, labels: FloatArray) -> FloatArray:
    """Returns the log loss of each row, in nats.

    Args:
        probabilities: Of shape (rows, classes).
        labels: Classes from 0, of shape (rows,).
    """
    clipped = np.clip(probabilities, _NEARLY, 1 - _NEARLY)
    chosen: FloatArray = clipped[np.arange(len(labels)), labels.astype(np.int64)]
    return np.asarray(-np.log(chosen))


def softmax(scores: FloatArray) -> FloatArray:
    """Returns probabilities of shape (rows, classes)."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _probabilities(side: FloatArray, every: FloatArray) -> FloatArray:
    if every.ndim == 1:
        return side
    sums = every.sum(axis=1)
    if every.min() >= 0 and np.abs(sums - 1).max() < _SUM_TOLERANCE:
        return side
    return softmax(side)
