"""Offset of estimates from scores, as labels of earlier windows tell it.

Scores alone cannot see that labels came to mean something else. Labels can, late: where the
estimates of earlier windows were off, this one is off by about as much. The offset between estimate
and label is a local level model: a random walk from 0 at training time, and scatter of windows that
share their luck (a storm, a campaign), both of unknown size. A Kalman filter follows it for every
pair of sizes on a grid; each pair counts as much as it foresaw the labels that came. Where none
have come yet, the interval is as wide as the sizes that are likely beforehand make it, and wider
with every window.

Sources: A. C. Harvey, "Forecasting, structural time series models and the Kalman filter", Cambridge
1989, chapter 2, for the model; A. E. Raftery et al., "Online prediction under model uncertainty via
dynamic model averaging", Technometrics 52 (2010), for weighing filters by what they foresaw. Grid
and prior were chosen on generated streams (tests/benchmarks/drift/estimated_development.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Array = npt.NDArray[np.float64]

# Standard deviations, in the units of metrics between 0 and 1; each twice the one before.
_SIZES = np.array([0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08])
# The larger the less likely.
_PRIOR = 0.65 ** np.arange(len(_SIZES))
# A window whose metric cannot vary would weigh without bound.
_LEAST_CHANCE = 1e-4
_TAIL = 0.025
# 18 standard deviations halved 50 times: to the last bit.
_HALVINGS = 50


@dataclass(frozen=True, kw_only=True)
class WindowEstimate:
    """A metric of one window.

    Attributes:
        estimated: From its scores alone.
        chance: Standard deviation by which its labels miss their expectation.
        realised: What labels gave; None where they have not come.
    """

    estimated: float
    chance: float
    realised: float | None = None


@dataclass(frozen=True, kw_only=True)
class CorrectedEstimate:
    """Where labels would put the metric of a window.

    Attributes:
        value: Expected value.
        low: 2.5th percentile.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float


def corrected(
    past: Sequence[WindowEstimate],
    now: WindowEstimate,
    map_error: float = 0.0,
    most: float = 1.0,
) -> CorrectedEstimate:
    """Returns the estimate of a window, corrected by what labels of earlier ones said.

    Args:
        past: Windows of the same model, the oldest first, with and without labels.
        now: The window to estimate; its labels are not looked at.
        map_error: Standard deviation of all estimates together, as the map that they rest on was
            learned from few rows.
        most: Largest value of the metric.
    """
    walk, scatter = (size.ravel() ** 2 for size in np.meshgrid(_SIZES, _SIZES))
    log_weight = np.log(np.outer(_PRIOR, _PRIOR)).ravel()
    # One filter for each pair of sizes, all as arrays of shape (pairs,).
    level, variance = np.zeros_like(walk), np.full_like(walk, map_error**2)
    for window in past:
        variance = variance + walk
        if window.realised is None:
            continue
        spread = variance + scatter + max(window.chance, _LEAST_CHANCE) ** 2
        missed = window.realised - window.estimated - level
        # Log density of the label that came, up to a constant: how well the filter foresaw it.
        log_weight = log_weight - (np.log(spread) + missed**2 / spread) / 2
        gain = variance / spread
        level, variance = level + gain * missed, (1 - gain) * variance
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    spread = np.sqrt(variance + walk + scatter + max(now.chance, _LEAST_CHANCE) ** 2)
    value = min(most, max(0.0, now.estimated + float(weight @ level)))
    low, high = (
        now.estimated + _quantile(weight, level, spread, tail) for tail in (_TAIL, 1 - _TAIL)
    )
    return CorrectedEstimate(
        value=value, low=max(0.0, min(low, value)), high=min(most, max(high, value))
    )


def _quantile(weight: Array, mean: Array, spread: Array, share: float) -> float:
    """Returns the quantile of a mixture of normal distributions, by halving."""
    # Nine deviations hold all but 1e-19 of any part of the mixture.
    low, high = float((mean - 9 * spread).min()), float((mean + 9 * spread).max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if weight @ ndtr((middle - mean) / spread) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
