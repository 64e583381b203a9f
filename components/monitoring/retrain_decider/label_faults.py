"""Labels that are broken rather than of another world: range, classes, flips. Pure.

A fault of labels looks like a changed concept to every measurement, and a model trained on it would
learn it. Only what no world brings about by itself is called a fault: labels that training never
had, one class alone, shares that turned over, and answers that are as wrong as they were right.
"""

import numpy as np

from tfx_loop.contracts.task import BINARY, ModelTask, TaskKind
from tfx_loop.models.task_labels import held_labels
from tfx_loop.models.time_blocks import Floats
from tfx_loop.monitoring.drift.statistics.rank_area import error_of_area, ordered_pairs

# Below these, one class or a wrong ranking is common by chance.
LEAST_ROWS = 200
# Odds of a class against those in training: months of delays differ by a factor of 2 to 3.
_FAR_ODDS = 10.0
# Rows of a class that a window should have for its share to be judged, of more classes than two.
_LEAST_OF_CLASS = 20.0
# Share of labels beyond the range of training, widened by itself on both sides.
_BEYOND_SHARE = 0.01
# By how much the share of the most frequent number may rise: a join that fills gaps with 0.
_STUCK_RISE = 0.25
# Standard errors below chance, and the part of the promised ranking that has to be turned over.
_FLIPPED_Z, _FLIPPED_PART = 4.0, 0.5


def label_faults(
    labels: Floats,
    trained: Floats,
    scores: Floats | None = None,
    promised_auc: float | None = None,
    *,
    task: ModelTask | None = None,
    unknown_share: float = 0.0,
) -> tuple[str, ...]:
    """Returns what is broken about the labels of a window, as codes.

    Args:
        labels: Of the window, encoded (models/task_labels.py), float64 [rows].
        trained: Of the champion's training sample.
        scores: What the champion answered, NaN where it did not; None where unknown.
        promised_auc: Its AUC on rows held out of its training; None where unknown.
        task: What the labels are; None for labels of 0 and 1, and for amounts.
        unknown_share: Share of the window's labels that the task does not know.

    Returns:
        `infinite`, `beyond_training_range`, `unknown_class`, `one_class`, `class_share`, `stuck`,
        `flipped`.
    """
    if task is None:
        task = BINARY if np.isin(trained, (0.0, 1.0)).all() else ModelTask(kind=TaskKind.REGRESSION)
    if unknown_share > _BEYOND_SHARE:
        # Of labels 0 and 1 without names it is a number out of range, as where labels are amounts.
        told = task.kind is TaskKind.BINARY and not task.classes
        return ("beyond_training_range" if told else "unknown_class",)
    if not len(labels):
        return ()
    if not np.isfinite(labels).all():
        return ("infinite",)
    if task.kind is TaskKind.REGRESSION:
        return _number_faults(labels, trained)
    if task.kind is TaskKind.BINARY and not np.isin(labels, (0.0, 1.0)).all():
        return ("beyond_training_range",)
    if len(labels) < LEAST_ROWS:
        return ()
    if task.kind is TaskKind.BINARY:
        return _binary_faults(labels, trained, scores, promised_auc)
    if labels.min() == labels.max() and trained.min() != trained.max():
        return ("one_class",)
    far = (_odds_moved(*sides) for sides in _by_class(labels, trained, task))
    return ("class_share",) if any(far) else ()


def _binary_faults(
    labels: Floats, trained: Floats, scores: Floats | None, promised_auc: float | None
) -> tuple[str, ...]:
    if labels.min() == labels.max() and trained.min() != trained.max():
        return ("one_class",)
    found = ["class_share"] if _odds_moved(labels, trained) else []
    if scores is not None and promised_auc is not None and _flipped(labels, scores, promised_auc):
        found.append("flipped")
    return tuple(found)


def _by_class(labels: Floats, trained: Floats, task: ModelTask) -> list[tuple[Floats, Floats]]:
    """Returns zeros and ones of each class that training had often enough to tell its share."""
    if task.kind is TaskKind.LABELS:
        sides = [held_labels(side, task).T for side in (labels, trained)]
    else:
        classes = np.arange(task.outputs)[:, None]
        sides = [(classes == side).astype(np.float64) for side in (labels, trained)]
    # The share of a class of a few rows moves by chance alone.
    often = [ones.mean() * len(labels) >= _LEAST_OF_CLASS for ones in sides[1]]
    pairs = zip(*sides, strict=True)
    return [pair for pair, counts in zip(pairs, often, strict=True) if counts]


def _odds_moved(labels: Floats, trained: Floats) -> bool:
    # Odds and not shares: from 1 % to 10 % is as far as from 90 % to 99 %.
    return not 1 / _FAR_ODDS < _odds(labels) / _odds(trained) < _FAR_ODDS


def _number_faults(labels: Floats, trained: Floats) -> tuple[str, ...]:
    found = []
    low, high = float(trained.min()), float(trained.max())
    # As far again as training reached, on either side: amounts of a season or a larger customer
    # pass.
    reach = high - low
    beyond = (labels < low - reach) | (labels > high + reach)
    if beyond.mean() > _BEYOND_SHARE:
        found.append("beyond_training_range")
    values, counts = np.unique(labels, return_counts=True)
    usual = float(np.mean(trained == values[counts.argmax()]))
    if len(labels) >= LEAST_ROWS and counts.max() / len(labels) - usual > _STUCK_RISE:
        found.append("stuck")
    return tuple(found)


def _odds(labels: Floats) -> float:
    # Half a row more of each class: no share is 0 or 1.
    return float((labels.sum() + 0.5) / (len(labels) - labels.sum() + 0.5))


def _flipped(labels: Floats, scores: Floats, promised_auc: float) -> bool:
    known = np.isfinite(scores)
    ones, zeros = scores[known & (labels > 0.5)], scores[known & (labels < 0.5)]
    if min(len(ones), len(zeros)) < 2 or len(ones) + len(zeros) < LEAST_ROWS:
        return False
    # The mirrored ranking: an area as far above a half as the scores are wrong.
    turned = ordered_pairs(zeros, ones)
    error = error_of_area(turned, len(ones), len(zeros))
    enough = 0.5 + _FLIPPED_PART * (promised_auc - 0.5)
    # Both: surely below chance, and about as wrong as the answers were to be right. A model that
    # the world has overtaken is wrong a little.
    return promised_auc > 0.5 and turned > max(0.5 + _FLIPPED_Z * error, enough)
