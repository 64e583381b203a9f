"""Accuracy that a variant is expected to lose on rows that nobody has seen, with its interval.

Only rows on which parent and child decide differently can lose anything, and a small child differs
on few: labels alone, one of them a row, leave a 95 % interval of ±0.006 on 650 rows even where
nothing changed. But a child that differs only a little from its parent flips rows on which the
parent itself was undecided, and the parent says how undecided: where it gives its own answer the
probability p and the child's answer the probability q, the flip is expected to cost p - q. So the
labels are used twice: all of them calibrate the parent's probabilities (one temperature; Guo et
al., ICML 2017), and those of the flipped rows check the result.

- The estimate is the sum of p - q over the flipped rows, divided by the rows: the expectation given
  the inputs (Rao-Blackwell), in place of one draw from it. It is never negative: a flip that was
  lucky on these rows promises nothing.
- Flips are rare events of unequal weight: the interval is Fay and Feuer's for weighted Poisson sums
  (Statistics in Medicine 16, 1997). The weight of the flip that was not seen is bounded: a row
  flips only where its margin is smaller than what quantising changed, so the largest change of a
  margin on any row stands for it. A float16 child that moves margins by 0.001 is thus known to lose
  next to nothing, however few the rows.
- Probabilities that are right on the whole may be wrong on the rows that flip. What a flip costs
  beyond p - q is unknown with a standard deviation of 0.1 (measured on 48 quantised models, each
  on 40,000 rows: root mean square 0.07), and the flipped rows' labels correct it: the estimate
  is moved by their mean surprise, shrunk as a normal prior of that width asks for. The two
  uncertainties are added in quadrature (MOVER; Zou and Donner, Statistics in Medicine 27, 2008).
- When the labels of the flipped rows show a larger loss than the probabilities (z > 2), the
  probabilities are not believed and the labels decide alone, as they do for AUC and rates
  (`tfx_loop.optimization.metrics.drops`).

Errors of numbers and log loss have upper ends of their own, for the loss may sit in rows that are
rare (`tfx_loop.optimization.metrics.rare_losses`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from tfx_loop.optimization.metrics.drops import MetricDrop, drop
from tfx_loop.optimization.metrics.intervals import (
    CONFIDENCE,
    unseen_reach,
    weighted_poisson_interval,
)
from tfx_loop.optimization.metrics.metrics import Metric, Outputs
from tfx_loop.optimization.metrics.own_metric import OwnMetric
from tfx_loop.optimization.metrics.ranking import rank_costs
from tfx_loop.optimization.metrics.rare_losses import error_reach, log_loss_bound
from tfx_loop.optimization.metrics.scoring import PredictionKind, pick

Array = npt.NDArray[Any]

# Errors of numbers, and the power of an error that they are means of.
_POWERS = {
    "R2Score": 2,
    "MeanSquaredError": 2,
    "RootMeanSquaredError": 2,
    "MeanAbsoluteError": 1,
}
# float32 probabilities underflow to 0; their logarithm stays finite from here on.
_TINY = 1e-7
# Standard deviations by which the labels may show more loss than the probabilities: by chance alone
# one child in 44 is beyond.
_DISBELIEF = 2.0
# Standard deviation of what a flip costs beyond p - q (see above for its measurement).
_BIAS = 0.1
# With fewer labels one confident mistake moves the temperature further than it helps.
_MIN_ROWS_FOR_TEMPERATURE = 50
# Logarithms of the temperatures looked through: from a quarter to ten.
_LOG_TEMPERATURES = (-1.4, 2.3)


def expected_drop(
    parent: Outputs,
    child: Outputs,
    labels: Array,
    metric: Metric,
    *,
    confidence: float = CONFIDENCE,
    clips: bool = True,
) -> MetricDrop:
    """Returns what the child is expected to lose on rows like these.

    Args:
        parent: Outputs of the parent, by name or one array.
        child: Outputs of the child on the same rows.
        labels: Labels of these rows.
        metric: What is measured.
        confidence: Of the two-sided interval.
        clips: Whether the child has ranges that calibration fixed, beyond which it stands still.

    Raises:
        DataError: No rows, or outputs and labels of different lengths.
    """
    by_labels = drop(parent, child, labels, metric, confidence=confidence)
    if not np.isfinite(by_labels.value):
        return by_labels
    if np.array_equal(pick(parent, _name(parent, metric)), pick(child, _name(child, metric))):
        # Bit for bit the same answers lose nothing of any metric, whatever its interval.
        return replace(by_labels, value=0.0, low=0.0, high=0.0)
    if isinstance(metric, OwnMetric):
        # Of n rows none showed an event that happens at most -log(tail) / n times a row.
        events = float(-np.log((1 - confidence) / 2))
        return _with_rare(by_labels, events * metric.largest_row_cost(labels, parent))
    if metric.name in _POWERS:
        return _of_numbers(parent, child, labels, metric, by_labels, confidence, clips)
    if metric.name == "AUC":
        return _of_ranks(parent, child, labels, metric, by_labels, confidence)
    if metric.is_log_loss:
        return _of_log_loss(parent, child, labels, metric, by_labels, confidence)
    before = _class_probabilities(metric, labels, parent)
    after = _class_probabilities(metric, labels, child)
    if before is None or after is None:
        return by_labels
    truth = _truth(metric, labels, parent)
    temperature = fitted_temperature(before, truth)
    before, after = tempered(before, temperature), tempered(after, temperature)
    flips = _flips(before, after, truth)
    # A calibrated parent is surprised by less than this; here its probabilities claim too little.
    if flips.surprise > _DISBELIEF * flips.spread > 0:
        return by_labels
    value, low, high = _estimate(flips, confidence)
    rows = len(truth)
    return MetricDrop(
        value=value / rows, low=low / rows, high=high / rows, rows=rows, by_probabilities=True
    )


def _name(outputs: Outputs, metric: Metric) -> str | None:
    """Returns which output is measured; children may call their one output otherwise."""
    several = isinstance(outputs, Mapping) and len(outputs) > 1
    return metric.scoring.output if several else None


def _of_numbers(
    parent: Outputs,
    child: Outputs,
    labels: Array,
    metric: Metric,
    by_labels: MetricDrop,
    confidence: float,
    clips: bool,
) -> MetricDrop:
    truth, before = metric.scoring.read(labels, parent)
    _, after = metric.scoring.read(labels, child)
    truth, before, after = (x.reshape(len(x), -1) for x in (truth, before, after))
    power = _POWERS[metric.name]
    rare = error_reach(before, after, power=power, confidence=confidence, clips=clips)
    # R2 is one minus the error over the labels' spread.
    if metric.name == "R2Score":
        rare /= float(((truth - truth.mean(axis=0)) ** 2).mean())
    if metric.name == "RootMeanSquaredError":
        mean = float(((truth - after) ** 2).mean())
        # A root grows less than its square: the reach is taken at the child's own error.
        rare = float(np.sqrt(mean + rare) - np.sqrt(mean))
    return _with_rare(by_labels, rare)


def _of_ranks(
    parent: Outputs,
    child: Outputs,
    labels: Array,
    metric: Metric,
    by_labels: MetricDrop,
    confidence: float,
) -> MetricDrop:
    truth, before = metric.scoring.read(labels, parent)
    _, after = metric.scoring.read(labels, child)
    costs = rank_costs(truth.ravel(), before.ravel(), after.ravel(), metric.num_thresholds)
    return _with_rare(by_labels, unseen_reach(costs, confidence))


def _with_rare(by_labels: MetricDrop, rare: float) -> MetricDrop:
    # Independent errors: what the labels show, and which rare rows were among these.
    reach = float(np.hypot(by_labels.high - by_labels.value, rare))
    return replace(by_labels, high=by_labels.value + reach)


def _of_log_loss(
    parent: Outputs,
    child: Outputs,
    labels: Array,
    metric: Metric,
    by_labels: MetricDrop,
    confidence: float,
) -> MetricDrop:
    numbers, before = metric.class_probabilities(labels, parent)
    _, after = metric.class_probabilities(labels, child)
    flat = before.reshape(-1, before.shape[-1])
    # Below 1 it would take what rare classes have on the word of rows that have none of them.
    temperature = max(fitted_temperature(flat, numbers.ravel()), 1.0)
    calibrated = tempered(flat, temperature).reshape(before.shape)
    bound = log_loss_bound(before, after, numbers, calibrated, confidence)
    return replace(by_labels, high=max(bound, by_labels.value))


def fitted_temperature(probabilities: Array, truth: Array) -> float:
    """Returns the temperature at which the probabilities fit the labels best; 1 for few rows.

    Args:
        probabilities: (rows, classes).
        truth: (rows,) class numbers.
    """
    if len(truth) < _MIN_ROWS_FOR_TEMPERATURE:
        return 1.0
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        right = tempered(probabilities, float(np.exp(log_temperature)))[rows, truth]
        return float(-np.log(np.maximum(right, _TINY)).mean())

    # The log loss is convex in 1 / temperature, so the one minimum is found; the bounds are for
    # labels that the model gets all right, whose best temperature is 0.
    found = optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: Array, temperature: float) -> Array:
    """Returns probabilities raised to 1/temperature and normalised over the last axis."""
    logs = np.log(np.maximum(probabilities, _TINY)) / temperature
    # Less the largest, so that the largest power is 1 and nothing overflows.
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _class_probabilities(metric: Metric, labels: Array, outputs: Outputs) -> Array | None:
    """Returns (rows, classes); None where the metric is not the share of rows decided rightly."""
    if not metric.is_accuracy:
        return None
    _, scores = metric.scoring.read(labels, outputs)
    if metric.scoring.kind is PredictionKind.BINARY:
        # At another threshold p - q is not what a flip costs.
        if scores.ndim != 1 or metric.threshold != 0.5:
            return None
        # A score of exactly 0.5 means no, and argmax takes the first of equals.
        return np.asarray(np.stack([1 - scores, scores], axis=-1))
    return np.asarray(scores) if scores.ndim == 2 else None


def _truth(metric: Metric, labels: Array, outputs: Outputs) -> Array:
    truth, _ = metric.scoring.read(labels, outputs)
    return truth.astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class _Flips:
    """Rows on which the two decide differently.

    Attributes:
        costs: (flips,) what each is expected to cost.
        surprise: What the labels say that they cost, less what is expected, summed.
        spread: Standard deviation of that sum, were the probabilities right.
        largest_change: Of a margin, on any row.
    """

    costs: Array
    surprise: float
    spread: float
    largest_change: float


def _flips(before: Array, after: Array, truth: Array) -> _Flips:
    rows = np.arange(len(before))
    answer, changed = before.argmax(axis=1), after.argmax(axis=1)
    flipped = answer != changed
    # The rival of a row is the class it flipped to; where it did not flip, the runner-up.
    rivals = before.copy()
    # Below any probability, so that the runner-up is found.
    rivals[rows, answer] = -1
    rival = np.where(flipped, changed, rivals.argmax(axis=1))
    # p - q: what a flip from the answer to its rival is expected to cost.
    margin = before[rows, answer] - before[rows, rival]
    # How far quantisation moved a margin at most: no flip that nobody has seen can cost more.
    moved = np.abs(margin - (after[rows, answer] - after[rows, rival]))
    costs = margin[flipped]
    lost = (answer == truth)[flipped].astype(float) - (changed == truth)[flipped]
    # A flip loses 1 with probability p, gains 1 with q, else nothing: variance p + q - (p - q)².
    variance = (before[rows, answer] + before[rows, rival])[flipped] - costs**2
    return _Flips(
        costs=costs,
        surprise=float((lost - costs).sum()),
        spread=float(np.sqrt(variance.sum())),
        largest_change=float(moved.max()),
    )


def _estimate(flips: _Flips, confidence: float) -> tuple[float, float, float]:
    """Returns value and bounds of the sum of what flips cost."""
    expected, count = float(flips.costs.sum()), len(flips.costs)
    low, high = weighted_poisson_interval(flips.costs, flips.largest_change, confidence)
    # Variance of the sum of the unknown extra costs, before the labels are looked at.
    prior, noise = (count * _BIAS) ** 2, flips.spread**2
    # Normal prior and normal noise: the posterior mean is the surprise shrunk by this weight, its
    # variance what the prior leaves.
    weight = prior / (prior + noise) if prior else 0.0
    extra = weight * flips.surprise
    # Of the posterior variance, prior (1 - weight): labels of many flips leave little of the prior.
    reach = float(stats.norm.ppf(0.5 + confidence / 2)) * float(np.sqrt(prior * (1 - weight)))
    # A parent that gives its answer the larger probability expects no gain from a flip.
    value = max(expected + extra, 0.0)
    return (
        value,
        max(value - float(np.hypot(expected - low, reach)), 0.0),
        # Both errors are independent: the spread of which rows flip, and of what a flip costs.
        value + float(np.hypot(high - expected, reach)),
    )
