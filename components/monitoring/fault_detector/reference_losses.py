"""The reference: what a cheap honest model learns of the same rows.

Boosting, a linear model, both pooled, and a small network where a feature holds many numbers, as
an image or an embedding does. Each is fitted out of fold on the training rows; the best there is
the reference, so that the held-out rows have no part in the choice.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.fault_detector.rows import Task
from tfx_loop.monitoring.reference_models.models import chances, pooled_chances, reference_models
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# Three folds of the training rows cost as much as three fits on two thirds of them.
_FOLDS = 3
# A feature of so many numbers a row is more than a table's column: a small image has 64.
_MANY_NUMBERS = 16


@dataclass(frozen=True)
class ReferenceLosses:
    """What the reference lost.

    Attributes:
        name: Of the family's member that was chosen.
        training: Row losses on the training rows, out of fold.
        held_out: Row losses on the held-out rows.
        half: Mean loss on the held-out rows, learnt from half the training rows; None without
            held-out rows of its own.
    """

    name: str
    training: FloatArray
    held_out: FloatArray
    half: float | None


def reference_losses(
    training: tuple[FloatArray, FloatArray],
    held_out: tuple[FloatArray, FloatArray] | None,
    task: Task,
    *,
    widest: int,
    seed: int,
) -> ReferenceLosses:
    """Returns what the reference lost on both sides' rows.

    Args:
        training: Features of shape (rows, columns) and labels.
        held_out: The same; None where the rows out of fold stand for them.
        task: What is predicted.
        widest: Most numbers a row that a feature holds.
        seed: Of folds and models.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    x, y = training
    # One thread: with several the order of sums, and so the last digits, differ between machines.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # A linear model that stops short of its optimum is as good for a comparison.
        warnings.simplefilter("ignore")
        learners = _learners(task, widest, seed)
        folds = _folds(y, task, seed)
        answers = [_no_answers(task, len(y)) for _ in learners]
        for fold in range(_FOLDS):
            learnt, asked = folds != fold, folds == fold
            for own, learner in zip(answers, learners, strict=True):
                own[asked] = _predicted(learner().fit(x[learnt], y[learnt]), x[asked], task)
        candidates = _pooled(answers, task)
        out_of_fold = {name: task.losses(own, y) for name, own in candidates.items()}
        name = min(out_of_fold, key=lambda known: float(out_of_fold[known].mean()))
        if held_out is None:
            return ReferenceLosses(name, out_of_fold[name], out_of_fold[name], None)
        # Not the folds' permutation, or the half would be one and a half of them.
        half = np.random.default_rng(seed + 1).permutation(len(y))[: len(y) // 2]
        asked_x, asked_y = held_out
        whole, part = (
            task.losses(
                _pooled(
                    [_predicted(m().fit(x[rows], y[rows]), asked_x, task) for m in learners], task
                )[name],
                asked_y,
            )
            for rows in (slice(None), half)
        )
    return ReferenceLosses(name, out_of_fold[name], whole, float(part.mean()))


def _folds(labels: FloatArray, task: Task, seed: int) -> npt.NDArray[np.intp]:
    """Returns the fold of each row; each has its share of every class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    if task.classes:
        # Sorted by class and dealt out in turn: each fold gets its share, also of a class of few
        # rows.
        order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), dtype=np.intp)
    folds[order] = np.arange(len(labels)) % _FOLDS
    return folds


def _learners(task: Task, widest: int, seed: int) -> list[Callable[[], Any]]:
    learners: list[Callable[[], Any]] = [
        lambda: reference_models(task.classes, seed)[0],
        lambda: reference_models(task.classes, seed)[1],
    ]
    if widest >= _MANY_NUMBERS:
        learners.append(lambda: _network(task, seed))
    return learners


def _network(task: Task, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if task.classes else MLPRegressor
    # Stops by a tenth of its own rows, so that it is honest, too.
    return kind((64,), early_stopping=True, max_iter=100, random_state=seed)


def _no_answers(task: Task, rows: int) -> FloatArray:
    return np.zeros((rows, task.classes) if task.classes else rows)


def _predicted(model: Any, features: FloatArray, task: Task) -> FloatArray:
    if task.classes:
        return chances(model, features, task.classes)
    return np.asarray(model.predict(features), dtype=np.float64)


def _pooled(answers: Sequence[FloatArray], task: Task) -> dict[str, FloatArray]:
    boosted, linear, *rest = answers
    # Two models that err differently are mostly better together, on small tables above all.
    both = pooled_chances([boosted, linear]) if task.classes else (boosted + linear) / 2
    known = {"boosting": boosted, "linear model": linear, "boosting and linear model": both}
    if rest:
        known["small network"] = rest[0]
    return known
