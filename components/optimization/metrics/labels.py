"""Labels of a file as the numbers that a model's outputs are compared with.

Class names and numbers that do not start at 0 are numbered in sorted order, and only where there
are as many classes as outputs. Where the model, asked about the rows, does no better than one
answer for all of them in that order, names are numbered as the model's answers have them, if that
does. What was assumed is said.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from tfx_loop.core.errors import DataError
from tfx_loop.optimization.metrics.scoring import class_numbers

Array = npt.NDArray[Any]
# Classes that a message names; more would not fit into a line.
_SHOWN = 10


def encode_labels(labels: Array, scores: Array, label: str) -> tuple[Array, str | None]:
    """Returns labels as numbers, and a sentence when classes were numbered.

    Args:
        labels: (rows,) of any type, or one-hot rows, or numbers of the outputs' shape.
        scores: The parent's output on the same rows, (rows, …).
        label: The column's name, for messages.

    Raises:
        DataError: More classes than outputs, fewer names than outputs, or one class alone.
    """
    width = int(scores.shape[-1]) if scores.ndim > 1 else 1
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.dtype == bool:
        labels = labels.astype(np.int64)
    text = not np.issubdtype(labels.dtype, np.number)
    if labels.ndim > 1 and not text:
        return labels, None
    values = np.unique(labels)
    if len(values) < 2:
        raise DataError(
            f"Expected at least two different labels in {label!r}, received only {values[0]}. "
            "Give rows of all classes."
        )
    if width == 1:
        return _one_output(labels, values, text, scores, label)
    return _classes(labels, values, width, text, scores, label)


def _one_output(
    labels: Array, values: Array, text: bool, scores: Array, label: str
) -> tuple[Array, str | None]:
    if len(values) == 2:
        if not text and tuple(values) == (0, 1):
            return labels, None
        return _numbered(labels, values, text, _two_columns(scores), label)
    if text:
        raise DataError(
            f"Expected two classes in {label!r} for a model with one output, received "
            f"{len(values)}: {_listed(values)}. Name the column that this model predicts."
        )
    return labels, None


def _classes(
    labels: Array, values: Array, width: int, text: bool, scores: Array, label: str
) -> tuple[Array, str | None]:
    numbered = not text and set(values.tolist()) <= set(range(width))
    if numbered:
        return class_numbers(labels, scores), None
    if len(values) > width:
        raise DataError(
            f"Expected at most {width} classes in {label!r} for {width} outputs, received "
            f"{len(values)}: {_listed(values)}. Name the column that this model predicts."
        )
    whole = text or bool((labels == np.rint(labels)).all())
    if len(values) == width and whole:
        return _numbered(labels, values, text, scores, label)
    raise DataError(
        f"Expected class numbers 0 to {width - 1} or {width} class names in {label!r}, received "
        f"{len(values)} values: {_listed(values)}. Number the classes as the training did."
    )


def _numbered(
    labels: Array, values: Array, text: bool, scores: Array, label: str
) -> tuple[Array, str | None]:
    """Returns class numbers in sorted order, or for names in the order of the model's answers."""
    numbers = np.searchsorted(values, labels)
    if not text or scores.ndim != 2:
        return numbers, _mapping(label, values, "sorted")
    # Rows by label (sorted) and by the model's answer: the right numbering has a heavy diagonal.
    answers = np.zeros((len(values), len(values)), dtype=np.int64)
    np.add.at(answers, (numbers, scores.argmax(axis=1)), 1)
    one_answer = answers.sum(axis=1).max()
    if np.trace(answers) > one_answer:
        return numbers, _mapping(label, values, "sorted")
    # The one-to-one numbering under which most answers are right (the assignment problem).
    names, order = linear_sum_assignment(-answers)
    if answers[names, order].sum() <= one_answer:
        return numbers, _mapping(label, values, "sorted")
    return order[numbers], _mapping(label, values[np.argsort(order)], "as the model answers")


def _two_columns(scores: Array) -> Array:
    """Returns scores of no and yes; logits are decided at 0, probabilities at a half."""
    one = scores.reshape(len(scores), -1)[:, 0].astype(np.float64)
    middle = 0.5 if one.min() >= 0 and one.max() <= 1 else 0.0
    return np.stack([np.full(len(one), middle), one], axis=1)


def _mapping(label: str, values: Array, how: str) -> str:
    shown = ", ".join(f"{value} is {i}" for i, value in enumerate(values[:_SHOWN]))
    more = f" and {len(values) - _SHOWN} more in this order" if len(values) > _SHOWN else ""
    return f"Classes of {label}, {how}: {shown}{more}."


def _listed(values: Array) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(str(value) for value in values[:_SHOWN]) + more
