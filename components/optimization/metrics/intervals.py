"""Confidence intervals of proportions, paired differences, means and sums of rare events."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from tfx_loop.contracts.optimization_report import Interval
from tfx_loop.optimization.metrics.metrics import Metric

Array = npt.NDArray[Any]
# The one level of all that is shown and decided: intervals in reports are two-sided, a variant is
# taken by a one-sided bound, which lets one choice in twenty be wrong.
CONFIDENCE = 0.95


def tango(lost: int, gained: int, rows: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns the score interval of (lost - gained) / rows.

    Args:
        lost: Rows that the parent has right and the child wrong.
        gained: Rows that the child has right and the parent wrong.
        rows: All rows, at least 1.
        confidence: Two-sided.
    """
    # Two-sided: half of what is left lies beyond either end.
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    difference = (lost - gained) / rows

    def score(delta: float) -> float:
        # Restricted maximum likelihood of P(child right, parent wrong), Tango's equation 5.
        half = -lost - gained + (2 * rows - lost + gained) * delta
        under = max(half * half - 8 * rows * (-gained * delta * (1 - delta)), 0.0)
        restricted = (np.sqrt(under) - half) / (4 * rows)
        # Variance of lost - gained under the hypothesis that their shares differ by delta.
        spread = rows * (2 * restricted + delta * (1 - delta))
        gap = lost - gained - rows * delta
        return float(gap / np.sqrt(spread)) if spread > 0 else float(np.sign(gap) * np.inf)

    # The ends are left out, for the spread may be 0 there; brentq needs finite scores, so they are
    # capped.
    edge = 1 - 1e-12
    # A difference of two shares cannot be further out; an end that no score excludes stays there.
    low, high = -1.0, 1.0
    if score(-edge) > z:
        # The score falls as delta rises and is 0 at the difference itself: one root lies on either
        # side.
        low = float(optimize.brentq(lambda d: min(score(d), 1e6) - z, -edge, difference - 1e-12))
    if score(edge) < -z:
        high = float(optimize.brentq(lambda d: max(score(d), -1e6) + z, difference + 1e-12, edge))
    return low, high


def own_interval(
    measured_value: float, influence: Array, metric: Metric, confidence: float = CONFIDENCE
) -> Interval:
    """Returns one model's metric with its interval: Wilson's for accuracy, else by influence."""
    rows = len(influence)
    if not np.isfinite(measured_value):
        return Interval(value=None)
    # Of a proportion the score interval stays inside [0, 1] and is right for few rows and shares
    # near its ends, where the normal interval is not.
    if metric.is_accuracy:
        low, high = wilson(measured_value, rows, confidence)
    else:
        low, high = by_influence(measured_value, influence, confidence)
        # Rates and AUC lie in [0, 1]; R2 may be far below 0, and losses have no upper end.
        if metric.is_share:
            low, high = max(low, 0.0), min(high, 1.0)
    return interval(measured_value, low, high)


def wilson(share: float, rows: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns the score interval of a proportion (Wilson, JASA 22, 1927)."""
    z2 = float(stats.norm.ppf(0.5 + confidence / 2)) ** 2
    # As if z² further rows had been seen, half of them right.
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = np.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows**2))) / (1 + z2 / rows)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def by_influence(value: float, influence: Array, confidence: float) -> tuple[float, float]:
    """Returns the interval of a mean by Student's t; NaN for fewer than two rows.

    Args:
        value: The mean.
        influence: (rows,) what each row adds to it, around it.
        confidence: Two-sided.
    """
    rows = len(influence)
    if rows < 2:
        return float("nan"), float("nan")
    error = float(influence.std(ddof=1) / np.sqrt(rows))
    # The deviation is estimated from the same rows: Student's t with one degree less.
    reach = float(stats.t.ppf(0.5 + confidence / 2, rows - 1)) * error
    return value - reach, value + reach


def weighted_poisson_interval(
    weights: Array, unseen_weight: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Returns the interval of an expected sum of weights, one a rare event.

    Fay and Feuer 1997 (Statistics in Medicine 16), equations of section 3: gamma quantiles; for the
    upper bound one event of `unseen_weight` is added to mean and variance.

    Args:
        weights: (events,) weights of the events that happened, above 0.
        unseen_weight: The largest weight that an event may have.
        confidence: Two-sided.
    """
    # Half of what the interval leaves out, on either side.
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


def unseen_reach(costs: Array, confidence: float) -> float:
    """Returns what rows that were not seen may add to a mean, each as costly as the costliest.

    Of n rows none showed an event that happens at most -log(tail) / n times a row, to that
    confidence (the rule of three).

    Args:
        costs: (rows,) what each row adds; what is below 0 is none.
        confidence: Two-sided.
    """
    largest = float(costs.max(initial=0.0))
    return float(-np.log((1 - confidence) / 2)) * max(largest, 0.0) / max(len(costs), 1)


def interval(value: float, low: float, high: float) -> Interval:
    """Returns an Interval; what is not finite becomes None."""
    known = [float(x) if np.isfinite(x) else None for x in (value, low, high)]
    return Interval(value=known[0], low=known[1], high=known[2])
