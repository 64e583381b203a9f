"""Reading of a model's outputs for given labels: as probabilities, logits or numbers.

It is read off the parent's outputs once and then holds for all its children.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
Outputs: TypeAlias = Mapping[str, Array] | Array


class PredictionKind(str, Enum):
    """What is predicted."""

    BINARY = "binary"
    CLASSES = "classes"
    NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How outputs are read.

    Attributes:
        kind: What is predicted.
        output: Name of the output, None when there is one.
        from_logits: Whether the outputs are logits.
    """

    kind: PredictionKind = PredictionKind.BINARY
    output: str | None = None
    from_logits: bool = False

    def read(self, labels: Array, outputs: Outputs) -> tuple[Array, Array]:
        """Returns labels and scores in the metrics' form.

        Returns:
            For BINARY truth (rows,) of 0/1 and the probability of yes (rows,); for CLASSES class
            numbers (rows, …) and scores (rows, …, classes); for NUMBER two arrays of one shape.

        Raises:
            DataError: They do not fit each other.
        """
        scores = np.asarray(pick(outputs, self.output))
        truth = np.asarray(labels)
        if len(truth) != len(scores):
            raise DataError(
                f"Expected an output for each of {len(truth)} labels, received {len(scores)}."
            )
        scores = scores.astype(np.float64, copy=False)
        if self.kind is PredictionKind.BINARY:
            return self._binary(truth, scores)
        if self.kind is PredictionKind.CLASSES:
            return class_numbers(truth, scores), softmax(scores) if self.from_logits else scores
        if scores.ndim == truth.ndim + 1 and scores.shape[-1] == 1:
            scores = scores[..., 0]
        elif truth.ndim == scores.ndim + 1 and truth.shape[-1] == 1:
            truth = truth[..., 0]
        _check_same_shape(truth, scores)
        return truth.astype(np.float64), scores

    def _binary(self, truth: Array, scores: Array) -> tuple[Array, Array]:
        # Two columns are the probabilities of no and yes.
        if scores.ndim > 1 and scores.shape[-1] == 2 and truth.shape != scores.shape:
            scores = (softmax(scores) if self.from_logits else scores)[..., 1]
        elif self.from_logits:
            scores = sigmoid(scores)
        if scores.ndim > 1 and scores.shape[-1] == 1:
            scores = scores[..., 0]
        if truth.ndim == scores.ndim + 1 and truth.shape[-1] == 1:
            truth = truth[..., 0]
        _check_same_shape(truth, scores)
        return truth, scores

    def describe(self) -> str:
        """Returns what is predicted, for people."""
        return {
            PredictionKind.BINARY: "yes or no",
            PredictionKind.CLASSES: "one of several classes",
            PredictionKind.NUMBER: "numbers",
        }[self.kind] + (", from logits" if self.from_logits else "")


def pick(outputs: Outputs, name: str | None) -> Array:
    """Returns one output.

    Raises:
        DataError: There are several and none was named, or the name is not there.
    """
    if not isinstance(outputs, Mapping):
        return np.asarray(outputs)
    if name is None and len(outputs) == 1:
        return next(iter(outputs.values()))
    if name is None or name not in outputs:
        raise DataError(
            f"Expected one output, or the name of one of {', '.join(outputs)}; "
            f"received {name or 'no name'}. Name the output that the label belongs to."
        )
    return outputs[name]


def infer_scoring(labels: Array, outputs: Outputs, output: str | None = None) -> Scoring:
    """Returns how the parent's outputs are to be read for these labels.

    A width of 1 with labels of 0 and 1 is yes or no; several columns and integer labels (or one-hot
    rows) are classes; all else are numbers. Outputs are logits where they are no probabilities:
    outside [0, 1], or for classes not adding up to 1.

    Raises:
        DataError: Labels and outputs do not fit each other.
    """
    if output is None and isinstance(outputs, Mapping) and len(outputs) == 1:
        output = next(iter(outputs))
    scores, truth = np.asarray(pick(outputs, output)), np.asarray(labels)
    if not np.isfinite(scores).all():
        raise DataError(
            f"Expected finite outputs of the model, received {int((~np.isfinite(scores)).sum())} "
            "that are not. Look for NaN in the rows and in the weights."
        )
    # Children may call their one output otherwise: TFLite names it after an operator.
    name = output if isinstance(outputs, Mapping) and len(outputs) > 1 else None
    width = scores.shape[-1] if scores.ndim > 1 else 1
    # Labels of the outputs' shape that are not one-hot are maps, or several labels a row.
    if width == 1 or (truth.shape == scores.shape and not _one_hot(truth)):
        two = np.isin(truth, (0, 1)).all()
        kind = PredictionKind.BINARY if two else PredictionKind.NUMBER
        return Scoring(kind=kind, output=name, from_logits=bool(two and _outside(scores)))
    # Raises where the labels are no classes of these outputs.
    class_numbers(truth, scores)
    sums = scores.sum(axis=-1)
    # int8 models answer in steps of 1/256, so their probabilities add up to 1 but for hundredths.
    logits = _outside(scores) or not np.allclose(sums, 1.0, atol=0.05)
    return Scoring(kind=PredictionKind.CLASSES, output=name, from_logits=bool(logits))


def class_numbers(labels: Array, scores: Array) -> Array:
    """Returns labels as class numbers.

    Args:
        labels: (rows,), (rows, 1) or one-hot (rows, classes); for maps with more axes.
        scores: (rows, …, classes).

    Raises:
        DataError: They are no class numbers, or there are more classes than outputs.
    """
    classes = scores.shape[-1]
    if labels.shape == scores.shape:
        return np.asarray(labels.argmax(axis=-1))
    if labels.ndim == scores.ndim and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.shape != scores.shape[:-1]:
        raise DataError(
            f"Expected one label a row or one-hot rows of {classes}, received labels of shape "
            f"{labels.shape} for outputs of shape {scores.shape}."
        )
    if not np.issubdtype(labels.dtype, np.number) and labels.dtype != bool:
        raise DataError(f"Expected class numbers 0 to {classes - 1}, received {labels.dtype}.")
    whole = labels.astype(np.int64)
    if (whole != labels).any() or whole.min(initial=0) < 0 or whole.max(initial=0) >= classes:
        raise DataError(
            f"Expected class numbers 0 to {classes - 1} for {classes} outputs, received labels "
            f"from {labels.min()} to {labels.max()}. Number the classes as the training did."
        )
    return whole


def softmax(logits: Array) -> Array:
    """Returns probabilities over the last axis."""
    # The largest is taken off first: exp would overflow, and the ratio stays.
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: Array) -> Array:
    """Returns the probability of yes; no overflow for large negative logits."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(logits, dtype=np.float64) / 2)))


def _check_same_shape(truth: Array, scores: Array) -> None:
    if truth.shape != scores.shape:
        raise DataError(
            f"Expected labels of the outputs' shape {scores.shape}, received {truth.shape}. "
            "Name the output that the label belongs to."
        )


def _outside(scores: Array) -> bool:
    """Says whether scores leave [0, 1] by more than the rounding of float32."""
    # Softmax and sigmoid in float32 leave [0, 1] by their last bits at most; logits leave it by
    # far.
    return bool(scores.min(initial=0) < -1e-6 or scores.max(initial=0) > 1 + 1e-6)


def _one_hot(labels: Array) -> bool:
    if labels.ndim < 2 or labels.shape[-1] < 2:
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=-1) == 1).all())
