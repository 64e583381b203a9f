"""Answers and losses of any task, row by row: one table by loss, used wherever answers are judged.

Probabilities are taken as such or, where they are none, as logits of classes. Sources: Koenker and
Bassett 1978, "Regression quantiles", for the quantile error; McCullagh and Nelder 1989, chapter 2,
for the Poisson deviance; Brier 1950 for the bounded error of probabilities.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.task import ModelTask, TaskKind, TaskLoss
from tfx_loop.core.errors import DataError
from tfx_loop.models.task_labels import held_labels

Floats = npt.NDArray[np.float64]
# A wrong answer given with certainty costs 9 nats, not infinitely many.
LOSS_FLOOR = 1e-4
# A count that was expected never costs without bound, too.
_LEAST_RATE = 1e-6
# Probabilities that were rounded to float16 (2**-11 of each) sum to 1 within 5e-4; logits do not.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _LossRule:
    """How one loss is computed.

    Attributes:
        losses: From labels [rows] and answers to the loss of each row.
        constant: The one answer that loses least on labels, of shape () or [outputs].
    """

    losses: Callable[[Floats, Floats, ModelTask], Floats]
    constant: Callable[[Floats, ModelTask], Floats]


def row_losses(labels: Floats, answers: Floats, task: ModelTask) -> Floats:
    """Returns the loss of each row.

    Args:
        labels: Encoded (task_labels.py), float64 [rows]; none missing.
        answers: Of shape [rows], or [rows, outputs] where the task has several outputs.
        task: The task.
    """
    assert task.loss is not None  # Set when the task was made.
    return np.asarray(_RULES[task.loss].losses(labels, answers, task))


def constant_answer(labels: Floats, task: ModelTask) -> Floats:
    """Returns the one answer that loses least on labels, of shape () or [outputs]."""
    assert task.loss is not None  # Set when the task was made.
    return np.asarray(_RULES[task.loss].constant(labels, task), dtype=np.float64)


def repeated(answer: Floats, rows: int) -> Floats:
    """Returns one answer for so many rows."""
    return np.asarray(np.broadcast_to(answer, (rows, *np.shape(answer))))


def shaped_answers(values: Any, rows: int, task: ModelTask) -> Floats:
    """Returns a model's raw answers in the task's shape; rows without a finite answer are NaN.

    Args:
        values: Array of shape [rows, …].
        rows: How many rows were asked.
        task: The task.

    Raises:
        DataError: The answers are of another shape.
    """
    answers = np.asarray(values, dtype=np.float64)
    wide = answers.reshape(rows, -1) if rows and answers.size % rows == 0 else answers
    if rows == 0:
        return np.zeros((0, task.outputs) if task.outputs else 0)
    if task.outputs and wide.shape[1:] == (task.outputs,):
        return _PROBABILITIES[task.kind](wide)
    if not task.outputs and wide.shape[1:] == (1,):
        return np.asarray(wide[:, 0])
    raise DataError(
        f"Expected {task.outputs or 'one'} number{'s' if task.outputs else ''} a row for the task "
        f"{task.told}, received shape {answers.shape} for {rows} rows. Name the output that has "
        "them, or correct the task."
    )


def may_judge(answers: Floats, task: ModelTask) -> bool:
    """Says whether answers can be judged by the task's loss: probabilities, or any number."""
    inside = (answers >= 0) & (answers <= 1)
    return bool(task.kind is TaskKind.REGRESSION or inside[np.isfinite(answers)].all())


def answered(answers: Floats) -> npt.NDArray[np.bool_]:
    """Says of each row whether it has a finite answer."""
    finite = np.isfinite(answers)
    return np.asarray(finite.all(axis=1) if finite.ndim == 2 else finite)


def bounded_errors(labels: Floats, answers: Floats, task: ModelTask, cap: float) -> Floats:
    """Returns errors in [0, 1]: Brier scores of probabilities, losses up to a cap else.

    Args:
        labels: Encoded, float64 [rows].
        answers: In the task's shape.
        task: The task.
        cap: Loss of a number that counts as 1, such as the 99th percentile on held-out rows.
    """
    if task.kind is TaskKind.REGRESSION:
        return np.minimum(row_losses(labels, answers, task) / cap, 1.0)
    if task.kind is TaskKind.BINARY:
        return np.asarray(np.square(answers - labels))
    if task.kind is TaskKind.LABELS:
        return np.asarray(np.square(answers - held_labels(labels, task)).mean(axis=1))
    chosen = np.eye(task.outputs)[labels.astype(np.int64)]
    # Brier's score over classes reaches 2 (sure of one class, another is true); halved, it is in
    # [0, 1] as that of a binary task is.
    return np.asarray(np.square(answers - chosen).sum(axis=1) / 2)


def _log(labels: Floats, answers: Floats, task: ModelTask) -> Floats:
    safe = np.clip(answers, LOSS_FLOOR, 1.0 - LOSS_FLOOR)
    return np.asarray(-np.where(labels > 0.5, np.log(safe), np.log1p(-safe)))


def _cross_entropy(labels: Floats, answers: Floats, task: ModelTask) -> Floats:
    chosen = answers[np.arange(len(labels)), labels.astype(np.int64)]
    return np.asarray(-np.log(np.clip(chosen, LOSS_FLOOR, 1.0)))


def _mean_log(labels: Floats, answers: Floats, task: ModelTask) -> Floats:
    return np.asarray(_log(held_labels(labels, task), answers, task).mean(axis=1))


def _pinball(labels: Floats, answers: Floats, task: ModelTask) -> Floats:
    above = labels - answers
    return np.maximum(task.quantile * above, (task.quantile - 1) * above)


def _deviance(labels: Floats, answers: Floats, task: ModelTask) -> Floats:
    if len(labels) and labels.min() < 0:
        raise DataError(
            f"Expected counts of 0 and more for the task {task.told}, received labels from "
            f"{labels.min():g}. Use 'regression' where labels may be negative."
        )
    # Twice the log-likelihood ratio to a model that expects each count exactly.
    rate = np.maximum(answers, _LEAST_RATE)
    # y log(y / rate) is 0 where nothing was counted.
    part = np.where(labels > 0, labels * np.log(np.maximum(labels, _LEAST_RATE) / rate), 0.0)
    return np.asarray(2 * (part - labels + rate))


def _class_shares(labels: Floats, task: ModelTask) -> Floats:
    # Half a row more of each class: none that is rare here would cost without bound.
    counts = np.bincount(labels.astype(np.int64), minlength=task.outputs) + 0.5
    return np.asarray(counts / counts.sum())


def _share(labels: Floats, task: ModelTask) -> Floats:
    # Jeffreys' estimate of a share, never 0 or 1, where the log loss has no bound.
    return np.asarray((labels.sum(axis=0) + 0.5) / (len(labels) + 1))


def _mean(labels: Floats, task: ModelTask) -> Floats:
    return np.asarray(labels.mean())


_RULES: Mapping[TaskLoss, _LossRule] = {
    TaskLoss.LOG: _LossRule(_log, _share),
    TaskLoss.CROSS_ENTROPY: _LossRule(_cross_entropy, _class_shares),
    TaskLoss.MEAN_LOG: _LossRule(
        _mean_log, lambda labels, task: _share(held_labels(labels, task), task)
    ),
    TaskLoss.SQUARED: _LossRule(lambda y, p, task: np.square(y - p), _mean),
    TaskLoss.ABSOLUTE: _LossRule(
        lambda y, p, task: np.abs(y - p), lambda labels, task: np.asarray(np.median(labels))
    ),
    TaskLoss.QUANTILE: _LossRule(
        _pinball, lambda labels, task: np.asarray(np.quantile(labels, task.quantile))
    ),
    TaskLoss.POISSON: _LossRule(_deviance, _mean),
}


def _softened(answers: Floats) -> Floats:
    """Returns probabilities of classes; numbers that are none are taken for logits."""
    known = answered(answers)
    told = answers[known]
    if len(told) and (told.min() < 0 or np.abs(told.sum(axis=1) - 1).max() > _SUM_TOLERANCE):
        # Less the row's largest logit: the softmax stays the same and exp cannot overflow.
        raised = np.exp(told - told.max(axis=1, keepdims=True))
        answers = answers.copy()
        answers[known] = raised / raised.sum(axis=1, keepdims=True)
    return answers


def _squashed(answers: Floats) -> Floats:
    """Returns probabilities of labels; numbers that are none are taken for logits."""
    told = answers[np.isfinite(answers)]
    if len(told) and (told.min() < 0 or told.max() > 1):
        # Clipped where exp would overflow; there the loss is as large as it can be.
        return np.asarray(1 / (1 + np.exp(-np.clip(answers, -500, 500))))
    return answers


_PROBABILITIES: Mapping[TaskKind, Callable[[Floats], Floats]] = {
    TaskKind.CLASSES: _softened,
    TaskKind.LABELS: _squashed,
}
