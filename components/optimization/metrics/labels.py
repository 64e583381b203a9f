"""Labels of a file as the numbers that a model's outputs are compared with.

Numbers stay what they are, also as text. Class names are numbered by the list that the user gives,
else by one that the model holds, else in sorted order or as the model's answers have them; these
two only where the answers leave no doubt (`class_order`), for a model that is judged by classes in
the wrong order may seem to lose nothing. What was assumed is said.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import is_number, listed
from tfx_loop.optimization.metrics.class_order import Answers, most_likely, runner_up
from tfx_loop.optimization.metrics.scoring import class_numbers

Array = npt.NDArray[Any]
# Classes that a message names; more would not fit into a line.
_SHOWN = 10
# Most trainings sort their names, so of the sorted order less is asked for than of any other.
_SURE_OF_SORTED, _SURE = 0.05, 0.01
# Eighteen digits fit into int64; longer ones are keys.
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?")
_REMEDY = (
    "Give the names in the order of the model's outputs, a line each, with --classes FILE "
    "(classes of Quantizer)"
)


@dataclass(frozen=True, kw_only=True)
class ClassNames:
    """Names of a model's classes in the order of its outputs.

    Attributes:
        given: What the user says; it is taken at their word.
        of_model: Returns the lists that the model holds of so many names; the one that has the
            labels is taken. It is asked about text alone.
    """

    given: Sequence[str] = ()
    of_model: Callable[[int], Sequence[Sequence[str]]] = lambda _: ()


def classes_of(scores: Array) -> int:
    """Returns how many classes an output tells apart: one column is yes or no."""
    width = int(scores.shape[-1]) if scores.ndim > 1 else 1
    return max(width, 2)


def encode_labels(
    labels: Array, scores: Array, label: str, names: ClassNames | None = None
) -> tuple[Array, str | None]:
    """Returns labels as numbers, and a sentence when classes were numbered.

    Args:
        labels: (rows,) of any type, or one-hot rows, or numbers of the outputs' shape.
        scores: The parent's output on the same rows, (rows, …).
        label: The column's name, for messages.
        names: Of the classes, where they are known.

    Raises:
        DataError: Classes that the names lack, more classes than outputs, fewer names than outputs,
            one class alone, or an order that the model's answers leave open.
    """
    names = names or ClassNames()
    width = int(scores.shape[-1]) if scores.ndim > 1 else 1
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.dtype == bool:
        labels = labels.astype(np.int64)
    labels = _texts_of_bytes(labels, label)
    if names.given:
        return _by_given(labels, names.given, classes_of(scores), label)
    labels = _numbers_of_text(labels)
    text = not np.issubdtype(labels.dtype, np.number)
    if labels.ndim > 1 and not text:
        return labels, None
    # One class alone tells neither an order nor a loss.
    values = np.unique(labels)
    if len(values) < 2:
        raise DataError(
            f"Expected at least two different labels in {label!r}, received only {values[0]}. "
            "Give rows of all classes."
        )
    if text and (found := _by_model(labels, values, scores, names, label)):
        return found
    if width == 1:
        return _one_output(labels, values, text, scores, label)
    return _classes(labels, values, width, text, scores, label)


def _texts_of_bytes(labels: Array, label: str) -> Array:
    """Returns bytes as texts; numbers and texts stay what they are."""
    if labels.dtype.kind not in "OS":
        return labels
    values = labels.reshape(-1).tolist()
    try:
        read = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        raise DataError(
            f"Expected numbers or names of classes in the label {label!r}, received bytes that are "
            "no text, as an image's. Let parse_fn make numbers of them under another name, and "
            "name that one as label_key."
        ) from error
    return np.array(read, dtype=object).reshape(labels.shape)


def _numbers_of_text(labels: Array) -> Array:
    """Returns texts that are all numbers as numbers: "10" comes after "9"."""
    if np.issubdtype(labels.dtype, np.number):
        return labels
    values, positions = np.unique(labels.astype(str), return_inverse=True)
    texts = [value.strip() for value in values.tolist()]
    if all(_WHOLE.fullmatch(text) for text in texts):
        return np.array([int(text.split(".")[0]) for text in texts])[positions].reshape(
            labels.shape
        )
    if all(is_number(text) and np.isfinite(float(text)) for text in texts):
        return np.array([float(text) for text in texts])[positions].reshape(labels.shape)
    return labels


def _by_given(
    labels: Array, given: Sequence[str], classes: int, label: str
) -> tuple[Array, str | None]:
    if len(given) != classes or len(set(given)) < len(given):
        raise DataError(
            f"Expected {classes} different class names, one for each output, received "
            f"{len(given)}: {listed(list(given), _SHOWN)}. {_REMEDY}."
        )
    values, positions = np.unique(labels, return_inverse=True)
    texts = [str(value) for value in values.tolist()]
    if unknown := [text for text in texts if text not in given]:
        raise DataError(
            f"Expected labels of {label!r} among {listed(list(given), _SHOWN)}, received "
            f"{listed(unknown, _SHOWN)}. {_REMEDY}."
        )
    numbers = np.array([list(given).index(text) for text in texts])[positions]
    return numbers.reshape(labels.shape), _mapping(label, given, "as given")


def _by_model(
    labels: Array, values: Array, scores: Array, names: ClassNames, label: str
) -> tuple[Array, str | None] | None:
    """Returns the numbering by a list of the model; None where none has the labels for certain.

    A list may be of a feature that shares its words with the label, in another order: one that the
    answers speak against is left.
    """
    wanted, classes = set(values.tolist()), classes_of(scores)
    # A list that lacks a label of the file is of another feature.
    fitting = [found for found in names.of_model(classes) if wanted <= set(found)]
    orders = [np.array([list(f).index(v) for v in values.tolist()]) for f in fitting]
    positions = np.searchsorted(values, labels)
    answers = _answers(positions, scores, classes)
    if not fitting or answers is None:
        return None
    table = answers.table()
    likely = max(orders, key=lambda order: float(table[np.arange(len(order)), order].sum()))
    others = [order for order in orders if (order != likely).any()]
    if any(answers.doubt(likely, other) > _SURE_OF_SORTED for other in others):
        return None
    # Some numbering is surely likelier than the model's own list: the list is of another feature.
    if len(values) == classes and answers.doubt(most_likely(table), likely) <= _SURE:
        return None
    taken = next(f for f, order in zip(fitting, orders, strict=True) if (order == likely).all())
    return likely[positions], _mapping(label, taken, "as the model names them")


def _one_output(
    labels: Array, values: Array, text: bool, scores: Array, label: str
) -> tuple[Array, str | None]:
    if len(values) == 2:
        if not text and tuple(values) == (0, 1):
            return labels, None
        return _numbered(labels, values, text, scores, label)
    if text:
        raise DataError(
            f"Expected two classes in {label!r} for a model with one output, received "
            f"{len(values)}: {listed(list(values), _SHOWN)}. Name the column that this model "
            "predicts."
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
            f"{len(values)}: {listed(list(values), _SHOWN)}. Name the column that this model "
            "predicts."
        )
    whole = text or bool((labels == np.rint(labels)).all())
    if len(values) == width and whole:
        return _numbered(labels, values, text, scores, label)
    raise DataError(
        f"Expected class numbers 0 to {width - 1} or {width} class names in {label!r}, received "
        f"{len(values)} values: {listed(list(values), _SHOWN)}. Number the classes as the "
        f"training did. {_REMEDY}."
    )


def _numbered(
    labels: Array, values: Array, text: bool, scores: Array, label: str
) -> tuple[Array, str | None]:
    """Returns class numbers in sorted order, or in the order of the model's answers.

    Raises:
        DataError: The answers leave the order of names open, or that of numbers is not their own
            and no other is clear.
    """
    numbers = np.searchsorted(values, labels)
    in_order = np.arange(len(values))
    answers = _answers(numbers, scores, len(values))
    if answers is None:
        return numbers, _mapping(label, values, "sorted")
    table = answers.table()
    best = most_likely(table)
    # Of equally likely ones the sorted order is it.
    if table[in_order, best].sum() <= table[in_order, in_order].sum() + 1e-9:
        best = in_order
    if (best == in_order).all() or answers.doubt(best, in_order) > _SURE:
        if not text or _sorted_is_clear(answers, table, best):
            return numbers, _mapping(label, values, "sorted")
    elif answers.doubt(best, runner_up(table, best)) <= _SURE:
        return best[numbers], _mapping(label, values[np.argsort(best)], "as the model answers")
    raise DataError(
        f"Expected class names in {label!r} whose order is clear, received {len(values)} "
        f"({listed(list(values), _SHOWN)}), and the model's answers leave open which output stands "
        f"for which. {_REMEDY}."
    )


def _sorted_is_clear(answers: Answers, table: Array, best: Array) -> bool:
    """Says whether names may be numbered in sorted order.

    Either no other numbering is nearly as likely, or it is the sorted order that so many names
    confirm one by one that another one would agree with them by accident alone: of four names in
    random order three stand in their places in one case of 24, and most trainings sort.
    """
    in_order = np.arange(len(best))
    if (best == in_order).all() and answers.doubt(best, runner_up(table, best)) <= _SURE_OF_SORTED:
        return True
    confirmed = int((table.argmax(axis=1) == in_order).sum())
    # Three at least: of fewer, chance agreement is common.
    return confirmed >= max(3, (len(best) + 1) // 2)


def _answers(numbers: Array, scores: Array, classes: int) -> Answers | None:
    """Returns the answers by row; None where outputs and labels do not stand side by side."""
    if scores.ndim == 1 or scores.shape[-1] == 1:
        scores = _two_columns(scores)
    flat = scores.reshape(-1, scores.shape[-1])
    if len(flat) != numbers.size or flat.shape[1] != classes or not np.isfinite(flat).all():
        return None
    return Answers.of(numbers.ravel(), flat)


def _two_columns(scores: Array) -> Array:
    """Returns probabilities of no and yes; what leaves [0, 1] are logits."""
    one = scores.reshape(-1).astype(np.float64)
    if one.min() < 0 or one.max() > 1:
        # The sigmoid, which does not overflow in this form.
        one = 0.5 * (1 + np.tanh(one / 2))
    return np.stack([1 - one, one], axis=1)


def _mapping(label: str, values: Sequence[Any] | Array, how: str) -> str:
    shown = ", ".join(f"{value} is {i}" for i, value in enumerate(values[:_SHOWN]))
    more = f" and {len(values) - _SHOWN} more in this order" if len(values) > _SHOWN else ""
    return f"Classes of {label}, {how}: {shown}{more}."
