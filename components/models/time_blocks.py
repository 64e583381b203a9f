"""Errors of means over rows that depend on each other, with blocks of time as independent units."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Fewer blocks tell no error of a mean: the quantile of Student's t grows without bound.
_FEWEST_BLOCKS = 4
# Two-sided, as the documents and the page say "95 % interval".
_CONFIDENCE = 0.95
# Rows of one day share weather, prices and users, so that the day is what repeats independently.
_DAY_MS = 86_400_000
# Days are the units where there are enough of them; else equal runs of rows, as in RetrainDecider.
_LEAST_DAYS, _RUNS = 8, 32


def time_blocks(times_ms: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Returns the independent unit of each row: its day, or a run of rows near in time.

    Args:
        times_ms: When rows happened, milliseconds UTC; NaN where nobody knows: then rows next to
            each other are a run.
    """
    places = np.arange(len(times_ms))
    if np.isfinite(times_ms).all():
        # Days of UTC: the log has no time zone, and a block may begin at any hour so long as all do
        # alike.
        days = np.asarray(times_ms // _DAY_MS, dtype=np.int64)
        if len(np.unique(days)) >= _LEAST_DAYS:
            return days
        # The argsort of an argsort is each row's rank in time; stable, so that ties keep the file's
        # order.
        places = np.argsort(np.argsort(times_ms, kind="stable"), kind="stable")
    return np.asarray(places * min(_RUNS, len(places)) // max(1, len(places)))


def blocked_standard_error(values: Floats, block: npt.NDArray[np.int64]) -> float:
    """Standard error of the mean, blocks of rows being the independent units (cluster-robust)."""
    # Liang and Zeger 1986: residuals are summed within a block, so whatever its rows share counts
    # in full; G / (G - 1) for the mean that was estimated.
    residual = values - values.mean()
    sums = np.bincount(np.unique(block, return_inverse=True)[1].ravel(), weights=residual)
    count = len(sums)
    if count < 2:
        return 0.0
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / len(values))


def half_width(values: Floats, block: npt.NDArray[np.int64]) -> float | None:
    """Returns half the 95 % interval of a mean; None with too few blocks to tell.

    Args:
        values: Of shape (rows,): what a row adds to the mean.
        block: The independent unit that each row belongs to.
    """
    # Imported late: commands that read a comparison start without SciPy.
    from scipy import stats

    count = len(np.unique(block))
    if count < _FEWEST_BLOCKS:
        return None
    # Student's t with the blocks' degrees of freedom: the error is estimated from few of them.
    quantile = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, count - 1))
    return quantile * blocked_standard_error(values, block)
