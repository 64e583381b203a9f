"""Metrics that count right and wrong decisions: accuracy, precision, recall, F1.

Scores above the threshold mean yes, as in TFMA; of several classes the highest score is the answer.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

Array = npt.NDArray[Any]
ACCURACIES = ("BinaryAccuracy", "SparseCategoricalAccuracy")


class DecisionMetric(Protocol):
    """What is read of a metric here."""

    @property
    def name(self) -> str:
        """Class name."""

    @property
    def threshold(self) -> float:
        """Above it a binary score means yes."""

    @property
    def scoring(self) -> Scoring:
        """How outputs are read."""


def cells(metric: DecisionMetric, truth: Array, scores: Array) -> tuple[Array, Array] | None:
    """Returns truth and decision, (rows,) of 0 and 1; None when a row holds several decisions."""
    if metric.scoring.kind is PredictionKind.BINARY:
        if truth.ndim > 1:
            return None
        yes = (scores > metric.threshold).astype(np.int8)
        return truth.astype(np.int8), yes
    # Of several classes only right or wrong counts: the truth is 1 in every row.
    right = scores.argmax(axis=-1) == truth
    return None if right.ndim > 1 else (np.ones(len(right), np.int8), right.astype(np.int8))


def measure(metric: DecisionMetric, truth: Array, scores: Array) -> tuple[float, Array]:
    """Returns the metric's value and its influence, (rows,)."""
    if metric.name in ACCURACIES:
        if metric.scoring.kind is PredictionKind.BINARY:
            # Strictly above, as Keras decides; labels may be smoothed, or floats of 0 and 1.
            right = (scores > metric.threshold) == (truth > 0.5)
        else:
            right = scores.argmax(axis=-1) == truth
        # A row of several decisions (a map, several labels) counts as the share that is right.
        rows = right.reshape(len(right), -1).mean(axis=1)
        return float(rows.mean()), rows - rows.mean()
    yes = (scores > metric.threshold).astype(float)
    return _RATES[metric.name](truth.astype(float), yes)


def of_counts(name: str, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
    """Returns the metric of confusion counts (or masses), elementwise; NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "Precision":
            return np.asarray(tp / (tp + fp))
        if name == "Recall":
            return np.asarray(tp / (tp + fn))
        if name == "F1Score":
            return np.asarray(2 * tp / (2 * tp + fp + fn))
        if name == "BalancedAccuracy":
            return np.asarray((tp / (tp + fn) + tn / (tn + fp)) / 2)
        return np.asarray((tp + tn) / (tp + fp + fn + tn))


def _ratio(above: Array, below: Array) -> tuple[float, Array]:
    """A ratio of two means; its influence by the delta method.

    d(a/b) = (da - (a/b) db) / b, row by row.
    """
    rows = len(above)
    # Rows are the independent units: a row's several decisions are averaged first.
    above, below = above.reshape(rows, -1).mean(axis=1), below.reshape(rows, -1).mean(axis=1)
    if below.mean() == 0:
        return float("nan"), np.zeros(rows)
    value = above.mean() / below.mean()
    # d(a / b) = (da - a / b · db) / b; the mean of influences is 0, so their variance is the
    # ratio's times the rows.
    return float(value), (above - value * below) / below.mean()


def _precision(truth: Array, yes: Array) -> tuple[float, Array]:
    return _ratio(truth * yes, yes)


def _recall(truth: Array, yes: Array) -> tuple[float, Array]:
    return _ratio(truth * yes, truth)


def _f1(truth: Array, yes: Array) -> tuple[float, Array]:
    # 2 tp / (2 tp + fp + fn): truth + yes counts each tp twice, each fp and fn once.
    return _ratio(2 * truth * yes, truth + yes)


def _balanced(truth: Array, yes: Array) -> tuple[float, Array]:
    sensitivity, first = _ratio(truth * yes, truth)
    specificity, second = _ratio((1 - truth) * (1 - yes), 1 - truth)
    return (sensitivity + specificity) / 2, (first + second) / 2


_RATES = {
    "Precision": _precision,
    "Recall": _recall,
    "F1Score": _f1,
    "BalancedAccuracy": _balanced,
}
