"""Loss of a metric from parent to child, with its interval.

Both are measured on the same rows, so the interval is of the paired difference. Three ways:
- accuracy: only rows on which the two disagree speak; Tango's score interval for paired proportions
  (Statistics in Medicine 17, 1998). With no disagreement among n rows it still reaches up to about
  z²/(n + z²), where a bootstrap would promise 0.
- precision, recall, F1, balanced accuracy: the rows fall into eight cells (label, decision of the
  parent, decision of the child); draws from the cells' Dirichlet posterior with Jeffreys' prior.
- all others: the standard error of the paired influences, with Student's t, and what a row that was
  not seen may hold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import Interval
from tfx_loop.core.errors import DataError
from tfx_loop.optimization.metrics.decisions import of_counts
from tfx_loop.optimization.metrics.intervals import (
    CONFIDENCE,
    by_influence,
    interval,
    tango,
    unseen_reach,
)
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
    confidence: float = CONFIDENCE,
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
        # The difference by row: what both get wrong of a row drops out, so paired intervals are far
        # narrower than two own ones.
        costs = sign * (before.influence - after.influence)
        low, high = by_influence(value, costs, confidence)
        # Student's t knows the rows it has seen: a rare row that costs as much as the costliest of
        # them may be missing among them (added in quadrature; MOVER, Zou and Donner 2008).
        high = value + float(np.hypot(high - value, unseen_reach(costs, confidence)))
        low = value - float(np.hypot(value - low, unseen_reach(-costs, confidence)))
        return MetricDrop(value=value, low=low, high=high, rows=rows)
    truth, yes_before, yes_after = first[0], first[1], second[1]
    disagreeing = int((yes_before != yes_after).sum())
    if metric.is_accuracy:
        lost = int(((yes_before == truth) & (yes_after != truth)).sum())
        gained = int(((yes_before != truth) & (yes_after == truth)).sum())
        low, high = tango(lost, gained, rows, confidence)
    else:
        low, high = _by_cells(metric.name, truth, yes_before, yes_after, confidence, seed)
        # The draws lie around the posterior mean, which Jeffreys' prior moves a little off the
        # value.
        low, high = min(low, value), max(high, value)
    return MetricDrop(value=value, low=low, high=high, rows=rows, disagreeing=disagreeing)


def _by_cells(
    name: str, truth: Array, before: Array, after: Array, confidence: float, seed: int
) -> tuple[float, float]:
    # One cell for each of label, decision of the parent and decision of the child: three bits.
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
