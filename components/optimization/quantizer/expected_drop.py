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
  probabilities are not believed and the labels decide alone, as they do for all metrics that are
  no accuracy (`tfx_loop.optimization.metrics.drops`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from tfx_loop.optimization.metrics.drops import MetricDrop, drop
from tfx_loop.optimization.metrics.metrics import Metric, Outputs
from tfx_loop.optimization.metrics.scoring import PredictionKind

Array = npt.NDArray[Any]

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
    parent: Outputs, child: Outputs, labels: Array, metric: Metric, *, confidence: float = 0.95
) -> MetricDrop:
    """Returns what the child is expected to lose on rows like these.

    Args:
        parent: Outputs of the parent, by name or one array.
        child: Outputs of the child on the same rows.
        labels: Labels of these rows.
        metric: What is measured.
        confidence: Of the two-sided interval.

    Raises:
        DataError: No rows, or outputs and labels of different lengths.
    """
    by_labels = drop(parent, child, labels, metric, confidence=confidence)
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


def weighted_poisson_interval(
    weights: Array, unseen_weight: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of an expected sum of weights, one a rare event.

    Fay and Feuer 1997, equations of section 3: gamma quantiles; for the upper bound one event of
    `unseen_weight` is added to mean and variance.

    Args:
        weights: (events,) weights of the events that happened, above 0.
        unseen_weight: The largest weight that an event may have.
        confidence: Two-sided.
    """
    tail = (1 - confidence) / 2
    total, variance = float(weights.sum()), float((weights**2).sum())
    low = 0.0
    # A gamma quantile with mean m and variance v is v / 2m times the chi-square quantile of 2m²/v.
    if variance > 0:
        low = variance / (2 * total) * float(stats.chi2.ppf(tail, 2 * total**2 / variance))
    total, variance = total + unseen_weight, variance + unseen_weight**2
    if not variance > 0:  # No events, and none can be: or weights too small to be squared.
        return 0.0, total
    high = variance / (2 * total) * float(stats.chi2.ppf(1 - tail, 2 * total**2 / variance))
    return low, high


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

    found = optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: Array, temperature: float) -> Array:
    """Returns probabilities raised to 1/temperature and normalised over the last axis."""
    logs = np.log(np.maximum(probabilities, _TINY)) / temperature
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _class_probabilities(metric: Metric, labels: Array, outputs: Outputs) -> Array | None:
    """Returns (rows, classes); None where the metric is not the share of rows decided rightly."""
    if not metric.is_accuracy:
        return None
    _, scores = metric.scoring.read(labels, outputs)
    if metric.scoring.kind is PredictionKind.BINARY:
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
    rivals[rows, answer] = -1
    rival = np.where(flipped, changed, rivals.argmax(axis=1))
    margin = before[rows, answer] - before[rows, rival]
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
    reach = float(stats.norm.ppf(0.5 + confidence / 2)) * float(np.sqrt(prior * (1 - weight)))
    # A parent that gives its answer the larger probability expects no gain from a flip.
    value = max(expected + extra, 0.0)
    return (
        value,
        max(value - float(np.hypot(expected - low, reach)), 0.0),
        value + float(np.hypot(high - expected, reach)),
    )
