"""Like rows of a window counted together, for TFMA, which walks through rows in Python.

Half a millisecond each: twenty thousand rows would take ten seconds. What a metric of the task
reads of a row is the same, or nearly so, for all rows of a group; the group's row has their mean
and their number as its weight. Of two labels and of sets of labels counts, calibration and what a
threshold of 0.5 gives stay exact, and AUC moves by what ties within a thousandth are worth. Of
several classes accuracy stays exact and cross-entropy within a hundredth of itself. Of numbers the
mean absolute error stays exact and the mean squared one within a thousandth of itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.models.task_labels import held_labels, label_named
from tfx_loop.models.task_losses import Floats

# Slice of a set of labels: each label of a row is a row for TFMA.
LABEL_SLICE = "label"
_SCORE_BINS = 1000
# Relative widths of bins: of a residual, and of the probability of the true class.
_RESIDUAL_WIDTH, _CHANCE_WIDTH = 0.05, 0.02
# Keras' epsilon: below it TFMA's cross-entropy is the same, and the logarithm stays finite.
_LEAST_CHANCE = 1e-7
# Bins of equal mass of a number that was answered, so that its mean by group says where it was.
_ANSWER_BINS = 8

Keys = list[npt.NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class JudgedGroups:
    """Groups of rows.

    Attributes:
        labels: Mean label of each group, float64 [groups].
        answers: Mean answer, [groups] or [groups, outputs].
        rows: How many rows each stands for.
        first: Place of a row of each group among the rows given, for its slices.
        names: Label that each group is about; empty where the task has no sets of labels.
    """

    labels: Floats
    answers: Floats
    rows: Floats
    first: npt.NDArray[np.int64]
    names: tuple[str, ...] = ()


def grouped(
    labels: Floats, answers: Floats, slices: Sequence[npt.NDArray[np.int64]], task: ModelTask
) -> JudgedGroups:
    """Groups rows that metrics cannot tell apart.

    Args:
        labels: Encoded (models/task_labels.py), float64 [rows].
        answers: In the task's shape.
        slices: Codes of the slices that each row is in.
        task: What the model answers.
    """
    if task.kind is TaskKind.LABELS:
        return _by_label(labels, answers, slices, task)
    return _merged(labels, answers, [*_KEYS[task.kind](labels, answers), *slices])


def _by_label(
    labels: Floats, answers: Floats, slices: Sequence[npt.NDArray[np.int64]], task: ModelTask
) -> JudgedGroups:
    held, width = held_labels(labels, task), task.outputs
    place = np.tile(np.arange(width), len(labels))
    repeated = [np.repeat(codes, width) for codes in slices]
    flat = (held.reshape(-1), answers.reshape(-1))
    found = _merged(*flat, [*_of_chances(*flat), place, *repeated])
    return JudgedGroups(
        labels=found.labels,
        answers=found.answers,
        rows=found.rows,
        first=found.first // width,
        names=tuple(label_named(float(1 << place[row]), task) for row in found.first),
    )


def _merged(labels: Floats, answers: Floats, keys: Keys) -> JudgedGroups:
    _, first, group, rows = np.unique(
        np.stack(keys, axis=1), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    group = group.reshape(-1)
    wide = answers if answers.ndim == 2 else answers[:, None]
    sums = np.stack([np.bincount(group, weights=column) for column in wide.T], axis=1)
    means: Floats = sums.astype(np.float64) / rows[:, None]
    return JudgedGroups(
        labels=np.bincount(group, weights=labels) / rows,
        answers=means if answers.ndim == 2 else means[:, 0],
        rows=rows.astype(np.float64),
        first=first,
    )


def _of_chances(labels: Floats, answers: Floats) -> Keys:
    # In single precision, as answers are logged: 0.3 is to fall where 300 thousandths do.
    bins = np.floor(answers.astype(np.float64) * _SCORE_BINS)
    return [labels.astype(np.int64), bins.astype(np.int64)]


def _of_classes(labels: Floats, answers: Floats) -> Keys:
    true = labels.astype(np.int64)
    chance = np.maximum(answers[np.arange(len(true)), true], _LEAST_CHANCE)
    return [true, answers.argmax(axis=1), np.floor(np.log(chance) / _CHANCE_WIDTH).astype(np.int64)]


def _of_numbers(labels: Floats, answers: Floats) -> Keys:
    residual = labels - answers
    size = np.abs(residual)
    # Below a millionth of the usual error a residual is none.
    least = max(1e-6 * float(size.mean() if len(size) else 0.0), 1e-300)
    bins = np.floor(np.log(np.maximum(size, least)) / _RESIDUAL_WIDTH).astype(np.int64)
    shares = np.linspace(0, 1, _ANSWER_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(answers, shares)) if len(answers) else answers
    return [np.sign(residual).astype(np.int64), bins, np.searchsorted(edges, answers)]


_KEYS: Mapping[TaskKind, Callable[[Floats, Floats], Keys]] = {
    TaskKind.BINARY: _of_chances,
    TaskKind.CLASSES: _of_classes,
    TaskKind.REGRESSION: _of_numbers,
}
