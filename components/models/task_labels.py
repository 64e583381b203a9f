"""Labels of any task as one number a row, from columns as data and label files have them.

A class is its number, from 0 in the order of the model's outputs; a set of labels is a whole number
with a bit a label; a missing label and one that the task does not know is NaN. So tables of
labelled rows have a plain column of numbers whatever the task.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.task import BINARY, ModelTask, TaskKind
from tfx_loop.core.errors import DataError

Floats = npt.NDArray[np.float64]
# As many whole numbers with no gaps are ids of classes more often than amounts.
_MOST_IDS = 100
_REMEDY = (
    "Say which it is: ReferenceProfiler(task='classes:3'), 'classes:red,green', 'regression', "
    "'regression:poisson' or another task."
)


def encoded_labels(column: Any, task: ModelTask) -> Floats:
    """Returns the labels of a pyarrow column as numbers, float64 [rows].

    Args:
        column: Numbers, booleans, texts, or lists of them: one-hot rows of classes, names or
            numbers 0 and 1 of a set of labels.
        task: What they are labels of.

    Raises:
        DataError: The column is of a kind that no label of this task has.
    """
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_list(column.type):
        return _of_lists(column, task)
    return _of_values(column, task)


def label_named(number: float, task: ModelTask) -> str:
    """Returns what people call an encoded label."""
    if np.isnan(number):
        return "unknown"
    if task.kind is TaskKind.LABELS:
        held = [place for place in range(task.outputs) if int(number) >> place & 1]
        return ",".join(task.classes[place] if task.classes else str(place) for place in held)
    return task.classes[int(number)] if task.classes else f"{number:g}"


def held_labels(labels: Floats, task: ModelTask) -> Floats:
    """Returns encoded sets of labels as zeros and ones, float64 [rows, labels]."""
    bits = np.nan_to_num(labels).astype(np.int64)[:, None] >> np.arange(task.outputs)
    return np.asarray(bits & 1, dtype=np.float64)


def inferred_task(labels: Floats, answers: Floats | None = None) -> ModelTask:
    """Returns the task that labels and answers show, where nobody named it.

    Args:
        labels: Numbers as they are, float64 [rows].
        answers: What the model answers to such rows, float64 [rows] or [rows, classes]; None where
            that is unknown.

    Raises:
        DataError: They may be ids of classes or amounts: taken for the other, every loss is wrong.
    """
    known = labels[np.isfinite(labels)]
    if answers is not None and answers.ndim == 2 and answers.shape[1] > 1:
        if len(known) and (known.min() < 0 or (known % 1 != 0).any()):
            raise DataError(
                f"Expected labels from 0 to {answers.shape[1] - 1} beside {answers.shape[1]} "
                f"numbers a row, received {known.min():g} to {known.max():g}. {_REMEDY}"
            )
        return ModelTask(kind=TaskKind.CLASSES, outputs=answers.shape[1])
    if np.isin(known, (0.0, 1.0)).all():
        return BINARY
    if _may_be_ids(known) and not _are_amounts(answers):
        values = np.unique(known)
        raise DataError(
            f"Expected labels of 0 and 1, or amounts, received {len(values)} whole numbers from "
            f"{values[0]:g} to {values[-1]:g}, which may be ids of classes. {_REMEDY}"
        )
    return ModelTask(kind=TaskKind.REGRESSION)


def _may_be_ids(known: Floats) -> bool:
    values = np.unique(known)
    whole = (values % 1 == 0).all() and values[0] >= 0
    # Ids have few gaps; amounts such as prices in cents have many.
    return bool(whole and len(values) <= _MOST_IDS and values[-1] - values[0] < 2 * len(values))


def _are_amounts(answers: Floats | None) -> bool:
    """Says whether answers cannot be of a class: fractions beyond probabilities."""
    if answers is None:
        return False
    known = answers[np.isfinite(answers)]
    outside = known[(known < 0) | (known > 1)]
    return bool(len(outside) and (outside % 1 != 0).any())


def _of_values(column: Any, task: ModelTask) -> Floats:
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    names = _by_name(task)
    if number and not any(name.lstrip("-").isdigit() for name in names):
        return _checked(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), task)
    if number:
        # Classes that are numbers by name, such as 1 to 5: the names count, not their places.
        texts = [None if v is None or v % 1 else str(int(v)) for v in column.to_pylist()]
        return _of_texts(texts, names)
    if not names:
        raise DataError(
            f"Expected labels that are numbers for the task {task.told}, received {column.type}. "
            f"Name the classes in the order of the model's outputs: '{task.kind.value}:red,green'."
        )
    return _of_texts([_text(value) for value in column.to_pylist()], names)


def _of_texts(texts: Sequence[str | None], names: Mapping[str, int]) -> Floats:
    return np.array(
        [np.nan if text is None else names.get(text, np.nan) for text in texts], dtype=np.float64
    )


def _of_lists(column: Any, task: ModelTask) -> Floats:
    rows = column.to_pylist()
    if all(row is None or len(row) <= 1 for row in rows) and task.kind is not TaskKind.LABELS:
        # tf.Examples have a list for each value, also where there is one.
        singles = [row[0] if row else None for row in rows]
        return _of_values(pa.array(singles, column.type.value_type), task)
    read = _LISTS.get(task.kind)
    if read is None:
        raise DataError(
            f"Expected one label a row for the task {task.told}, received lists. {_REMEDY}"
        )
    names = _by_name(task)
    return np.array([np.nan if row is None else read(row, task, names) for row in rows])


def _one_hot(row: Sequence[Any], task: ModelTask, names: Mapping[str, int]) -> float:
    if len(row) != task.outputs or sorted(row) != [0] * (task.outputs - 1) + [1]:
        return float("nan")
    return float(row.index(1))


def _label_set(row: Sequence[Any], task: ModelTask, names: Mapping[str, int]) -> float:
    if all(isinstance(value, (str, bytes)) for value in row):
        places = [names.get(_text(value) or "", -1) for value in row]
    elif len(row) == task.outputs and all(value in (0, 1) for value in row):
        places = [place for place, value in enumerate(row) if value]
    else:
        return float("nan")
    # A bit a label (contracts/task.py); a name that the task does not have leaves the set unknown.
    return float(sum(1 << place for place in places)) if min(places, default=0) >= 0 else np.nan


_LISTS: Mapping[TaskKind, Callable[[Sequence[Any], ModelTask, Mapping[str, int]], float]] = {
    TaskKind.CLASSES: _one_hot,
    TaskKind.LABELS: _label_set,
}
_LIMITS: Mapping[TaskKind, Callable[[ModelTask], float]] = {
    TaskKind.BINARY: lambda task: 2,
    TaskKind.CLASSES: lambda task: task.outputs,
    TaskKind.LABELS: lambda task: 2**task.outputs,
}


def _checked(values: Floats, task: ModelTask) -> Floats:
    """Returns numbers with NaN for those that are no class of the task."""
    values = np.asarray(values, dtype=np.float64)
    if task.kind not in _LIMITS:
        return values
    with np.errstate(invalid="ignore"):
        known = (values >= 0) & (values < _LIMITS[task.kind](task)) & (values % 1 == 0)
    return np.where(known, values, np.nan)


def _by_name(task: ModelTask) -> dict[str, int]:
    return {name: place for place, name in enumerate(task.classes)}


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _is_list(kind: Any) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)
