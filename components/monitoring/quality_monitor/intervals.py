"""95 % intervals of a window's metrics, with blocks of time as the independent units.

Rows near in time share their causes, so an interval from rows alone would be too narrow. Each
metric is a mean, a ratio of means or a rank statistic: what a row adds to it (its influence) is
summed by block, and the sums' spread is the metric's error. Sources: Liang and Zeger 1986 for sums
by block; van der Vaart 1998, "Asymptotic statistics", chapter 20, for influence; DeLong, DeLong and
Clarke-Pearson 1988 for that of an AUC.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.quality_report import MetricInterval
from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.models.task_labels import held_labels
from tfx_loop.models.task_losses import Floats, row_losses
from tfx_loop.models.time_blocks import half_width, time_blocks

# TFMA's default for precision, recall and accuracy of two classes.
_THRESHOLD = 0.5

Block = npt.NDArray[np.int64]
# A metric's value and what each row adds to it.
Influence = tuple[float, Floats]


def metric_intervals(
    labels: Floats, answers: Floats, times_ms: npt.NDArray[np.int64], task: ModelTask
) -> dict[str, MetricInterval]:
    """Returns value and interval of each metric of the task, under the names that TFMA gives it.

    Args:
        labels: Encoded (models/task_labels.py), float64 [rows].
        answers: In the task's shape.
        times_ms: When each row happened.
        task: What the model answers.
    """
    if not len(labels):
        return {}
    assert task.loss is not None  # Set when the task was made.
    block = time_blocks(times_ms)
    losses = row_losses(labels, answers, task)
    found = {task.loss.value: _interval((float(losses.mean()), losses), block)}
    if task.kind is TaskKind.LABELS:
        # Every label of a row is a decision of its own; they share the row's block, and so its
        # error.
        labels = held_labels(labels, task).reshape(-1)
        answers, block = answers.reshape(-1), np.repeat(block, task.outputs)
    for name, influence in _METRICS[task.kind].items():
        if (seen := influence(labels, answers)) is not None:
            found[name] = _interval(seen, block)
    return found


def _interval(seen: Influence, block: Block) -> MetricInterval:
    value, influence = seen
    count, reach = len(np.unique(block)), half_width(influence, block)
    if reach is None:
        return MetricInterval(value=value, blocks=count)
    return MetricInterval(value=value, low=value - reach, high=value + reach, blocks=count)


def _mean(of_row: Callable[[Floats, Floats], Floats]) -> Callable[[Floats, Floats], Influence]:
    def influence(labels: Floats, answers: Floats) -> Influence:
        rows = np.asarray(of_row(labels, answers), dtype=np.float64)
        return float(rows.mean()), rows

    return influence


def _ratio(
    above: Callable[[Floats, Floats], Floats], below: Callable[[Floats, Floats], Floats]
) -> Callable[[Floats, Floats], Influence | None]:
    """Returns the influence of a ratio of means; None where the lower is 0."""

    def influence(labels: Floats, answers: Floats) -> Influence | None:
        upper, lower = above(labels, answers).astype(float), below(labels, answers).astype(float)
        mean = float(lower.mean())
        if not mean:
            return None
        value = float(upper.mean()) / mean
        # The delta method: the derivative of a / b by a and by b, at their means.
        return value, (upper - value * lower) / mean

    return influence


def _auc(labels: Floats, answers: Floats) -> Influence | None:
    ones, zeros = np.sort(answers[labels > 0.5]), np.sort(answers[labels < 0.5])
    if not len(ones) or not len(zeros):
        return None
    of_one, of_zero = _share_below(answers, zeros), 1 - _share_below(answers, ones)
    value = float(of_one[labels > 0.5].mean())
    share = len(ones) / len(labels)
    # DeLong's structural components, scaled so that a mean over all rows is the AUC's.
    return value, np.where(labels > 0.5, (of_one - value) / share, (of_zero - value) / (1 - share))


def _share_below(values: Floats, ordered: Floats) -> Floats:
    """Returns the share of ordered numbers below each value, ties as half."""
    places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(places / (2 * len(ordered)))


def _told(labels: Floats, answers: Floats) -> Floats:
    return np.asarray(answers > _THRESHOLD, dtype=np.float64)


def _hit(labels: Floats, answers: Floats) -> Floats:
    return _told(labels, answers) * labels


_CALIBRATION = _ratio(lambda y, p: p, lambda y, p: y)
_CHANCES: Mapping[str, Callable[[Floats, Floats], Influence | None]] = {
    "auc": _auc,
    "binary_accuracy": _mean(lambda y, p: np.asarray(_told(y, p) == y)),
    "precision": _ratio(_hit, _told),
    "recall": _ratio(_hit, lambda y, p: y),
    "f1_score": _ratio(lambda y, p: 2 * _hit(y, p), lambda y, p: _told(y, p) + y),
    "calibration": _CALIBRATION,
}
_METRICS: Mapping[TaskKind, Mapping[str, Callable[[Floats, Floats], Influence | None]]] = {
    TaskKind.BINARY: _CHANCES,
    TaskKind.LABELS: _CHANCES,
    TaskKind.CLASSES: {
        "sparse_categorical_accuracy": _mean(lambda y, p: np.asarray(p.argmax(axis=1) == y)),
    },
    TaskKind.REGRESSION: {
        "mean_squared_error": _mean(lambda y, p: np.square(y - p)),
        "mean_absolute_error": _mean(lambda y, p: np.abs(y - p)),
        "calibration": _CALIBRATION,
    },
}
