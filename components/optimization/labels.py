"""How do the labels of a file become what the model's outputs are compared with?

Class names and numbers that do not start at 0 are numbered in sorted order, and only where that is
the one reading: as many classes as outputs. What was assumed is said.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import DataError
from components.optimization.scoring import class_numbers

Array = npt.NDArray[Any]
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
        return _one_output(labels, values, text, label)
    return _classes(labels, values, width, text, scores, label)


def _one_output(labels: Array, values: Array, text: bool, label: str) -> tuple[Array, str | None]:
    if len(values) == 2:
        if not text and tuple(values) == (0, 1):
            return labels, None
        return (labels == values[1]).astype(np.int64), _mapping(label, values)
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
        return np.searchsorted(values, labels), _mapping(label, values)
    raise DataError(
        f"Expected class numbers 0 to {width - 1} or {width} class names in {label!r}, received "
        f"{len(values)} values: {_listed(values)}. Number the classes as the training did."
    )


def _mapping(label: str, values: Array) -> str:
    shown = ", ".join(f"{value} is {i}" for i, value in enumerate(values[:_SHOWN]))
    more = f" and {len(values) - _SHOWN} more in this order" if len(values) > _SHOWN else ""
    return f"Classes of {label}, sorted: {shown}{more}."


def _listed(values: Array) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(str(value) for value in values[:_SHOWN]) + more
