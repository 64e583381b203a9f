"""Loss of a metric from parent to child, with its interval.

Both are measured on the same rows, so the interval is of the paired difference. Three ways:
- accuracy: only rows on which the two disagree speak; Tango's score interval for paired proportions
  (Statistics in Medicine 17, 1998). With no disagreement among n rows it still reaches up to about
  z²/(n + z²), where a bootstrap would promise 0.
- precision, recall, F1, balanced accuracy: the rows fall into eight cells (label, decision of the
  parent, decision of the child); draws from the cells' Dirichlet posterior with Jeffreys' prior.
- all others: the standard error of the paired influences, with Student's t.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from tfx_loop.contracts.optimization_report import Interval
from tfx_loop.core.errors import DataError
from tfx_loop.optimization.metrics.decisions import of_counts
from tfx_loop.optimization.metrics.metrics import Metric, Outputs

Array = npt.NDArray[Any]
# The 2.5 % quantile of so many draws is known to 0.04 standard deviations of the drop.
_DRAWS = 4_000


@dataclass(frozen=True, kw_only=True)
class MetricDrop:
    """What the child lost, in the metric's unit; positive means that the child is worse.

    Attributes:
        value: Drop on these rows; NaN where the metric is not defined.
        low: Lower bound of the interval.
        high: Upper bound.
        rows: Rows it was measured on.
        disagreeing: Rows on which parent and child decided differently; None where the metric
            counts no decisions.
        by_probabilities: True where the parent's probabilities were used, False for labels alone.
    """

    value: float
    low: float
    high: float
    rows: int
    disagreeing: int | None = None
    by_probabilities: bool = False

    @property
    def interval(self) -> Interval:
        """The drop as the report has it; what is not finite becomes None."""
        return interval(self.value, self.low, self.high)


def drop(
    parent: Outputs,
    child: Outputs,
    labels: Array,
    metric: Metric,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> MetricDrop:
    """Returns what the child lost on these rows, with a two-sided interval.

    Args:
        parent: Outputs of the parent, by name or one array.
        child: Outputs of the child on the same rows.
        labels: Labels of these rows.
        metric: What is measured.
        confidence: Of the interval; 0.9 makes `high` a one-sided 95 % bound.
        seed: Of the draws for metrics that need them.

    Raises:
        DataError: No rows, or outputs and labels of different lengths.
    """
    before, after = metric.measure(labels, parent), metric.measure(labels, child)
    if len(before.influence) != len(after.influence):
        raise DataError("Expected the same rows for parent and child, received different ones.")
    sign = 1.0 if metric.higher_is_better else -1.0
    value, rows = sign * (before.value - after.value), len(before.influence)
    first, second = metric.cells(labels, parent), metric.cells(labels, child)
    if not np.isfinite(value):
        return MetricDrop(value=float("nan"), low=float("nan"), high=float("nan"), rows=rows)
    if first is None or second is None:
        low, high = _by_influence(value, before.influence - after.influence, confidence)
        return MetricDrop(value=value, low=low, high=high, rows=rows)
    truth, yes_before, yes_after = first[0], first[1], second[1]
    disagreeing = int((yes_before != yes_after).sum())
    if metric.is_accuracy:
        lost = int(((yes_before == truth) & (yes_after != truth)).sum())
        gained = int(((yes_before != truth) & (yes_after == truth)).sum())
        low, high = tango(lost, gained, rows, confidence)
    else:
        low, high = _by_cells(metric.name, truth, yes_before, yes_after, confidence, seed)
        low, high = min(low, value), max(high, value)
    return MetricDrop(value=value, low=low, high=high, rows=rows, disagreeing=disagreeing)


def tango(lost: int, gained: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the score interval of (lost - gained) / rows.

    Args:
        lost: Rows that the parent has right and the child wrong.
        gained: Rows that the child has right and the parent wrong.
        rows: All rows, at least 1.
        confidence: Two-sided.
    """
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    difference = (lost - gained) / rows

    def score(delta: float) -> float:
        # Restricted maximum likelihood of P(child right, parent wrong), Tango's equation 5.
        half = -lost - gained + (2 * rows - lost + gained) * delta
        under = max(half * half - 8 * rows * (-gained * delta * (1 - delta)), 0.0)
        restricted = (np.sqrt(under) - half) / (4 * rows)
        spread = rows * (2 * restricted + delta * (1 - delta))
        gap = lost - gained - rows * delta
        return float(gap / np.sqrt(spread)) if spread > 0 else float(np.sign(gap) * np.inf)

    # The ends are left out, for the spread may be 0 there; brentq needs finite scores, so they are
    # capped.
    edge = 1 - 1e-12
    low, high = -1.0, 1.0
    if score(-edge) > z:
        low = float(optimize.brentq(lambda d: min(score(d), 1e6) - z, -edge, difference - 1e-12))
    if score(edge) < -z:
        high = float(optimize.brentq(lambda d: max(score(d), -1e6) + z, difference + 1e-12, edge))
    return low, high


def own_interval(
    measured_value: float, influence: Array, metric: Metric, confidence: float = 0.95
) -> Interval:
    """Returns one model's metric with its interval: Wilson's for accuracy, else by influence."""
    rows = len(influence)
    if not np.isfinite(measured_value):
        return Interval(value=None)
    if metric.is_accuracy:
        low, high = wilson(measured_value, rows, confidence)
    else:
        low, high = _by_influence(measured_value, influence, confidence)
        # Rates and AUC lie in [0, 1]; R2 may be far below 0, and losses have no upper end.
        if metric.higher_is_better and metric.name != "R2Score":
            low, high = max(low, 0.0), min(high, 1.0)
    return interval(measured_value, low, high)


def wilson(share: float, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the score interval of a proportion (Wilson, JASA 22, 1927)."""
    z2 = float(stats.norm.ppf(0.5 + confidence / 2)) ** 2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = np.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows**2))) / (1 + z2 / rows)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def interval(value: float, low: float, high: float) -> Interval:
    """Returns an Interval; what is not finite becomes None."""
    known = [float(x) if np.isfinite(x) else None for x in (value, low, high)]
    return Interval(value=known[0], low=known[1], high=known[2])


def _by_influence(value: float, influence: Array, confidence: float) -> tuple[float, float]:
    rows = len(influence)
    if rows < 2:
        return float("nan"), float("nan")
    error = float(influence.std(ddof=1) / np.sqrt(rows))
    reach = float(stats.t.ppf(0.5 + confidence / 2, rows - 1)) * error
    return value - reach, value + reach


def _by_cells(
    name: str, truth: Array, before: Array, after: Array, confidence: float, seed: int
) -> tuple[float, float]:
    counts = np.bincount(truth * 4 + before * 2 + after, minlength=8).astype(float)
    # Gamma draws over their sum are Dirichlet; 0.5 a cell is Jeffreys' prior.
    masses = np.random.default_rng(seed).gamma(counts + 0.5, size=(_DRAWS, 8))
    by_cell = (masses / masses.sum(axis=1, keepdims=True)).reshape(-1, 2, 2, 2)
    drawn = []
    for axis in (3, 2):  # summing out the child leaves the parent, and the other way round
        sums = by_cell.sum(axis=axis)
        tn, fp, fn, tp = sums[:, 0, 0], sums[:, 0, 1], sums[:, 1, 0], sums[:, 1, 1]
        drawn.append(of_counts(name, tp, fp, fn, tn))
    low, high = np.quantile(drawn[0] - drawn[1], [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
