"""Covariance of a feature's counts where rows depend on each other, and their effective number.

Rows of a group, or of a stretch of time, rise and fall together. Counts of such blocks (profile/
row_blocks.py) say by how much: of groups the blocks' squared residuals add up (cluster-robust
variance; Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models"), of
stretches of time their lowest frequencies do (Lazarus, Lewis, Stock and Watson 2018, "HAR
inference: recommendations for practice"), as many as the estimated correlation of blocks allows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.profile.window_profile import WindowProfile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
# With fewer blocks a variance says nothing.
_LEAST_BLOCKS = 4
# Frequencies are taken for as long as their mean spectrum is at least this share of that at 0,
# which is what a mean's variance is.
_LEAST_SPECTRUM = 0.9
# An estimated correlation of blocks is taken half a standard error, 1 / sqrt(blocks), higher: with
# too few frequencies tests lose some power, with too many they raise false alarms.
_CAUTION = 0.5
# Beyond it the blocks are one trend, of which the two lowest frequencies (the fewest taken) tell
# what can be told.
_MOST_CORRELATION = 0.98


@dataclass(frozen=True)
class RowDependence:
    """How the rows of one side depend on each other in one feature.

    Attributes:
        cells: Coarse cell of each bin, `missing` last, of shape (bins + 1,).
        covariance: Of the cells' rows, divided by the rows, of shape (cells, cells). Independent
            rows have diag(p) - p p'.
        freedom: Degrees of freedom that the covariance is known with.
        design_effect: Rows that one independent row stands for, at least 1: the mean over the cells
            (Rao and Scott 1981, "The analysis of categorical data from complex sample surveys").
        missing_share: Share of rows without a value.
    """

    cells: IntArray
    covariance: FloatArray
    freedom: float
    design_effect: float
    missing_share: float = 0.0

    @property
    def missing_effect(self) -> float:
        """The design effect of the share of missing values, at least that of the feature."""
        rows = np.diag(self.covariance)[-1]
        share = self.missing_share * (1 - self.missing_share)
        return float(max(rows / share if share else 1.0, self.design_effect))

    def joined(self, rows: Any) -> FloatArray:
        """Returns the rows of each cell from those of each bin, `missing` last."""
        return np.asarray(np.bincount(self.cells, weights=rows, minlength=len(self.covariance)))


def dependence_of(window: WindowProfile, feature: str) -> RowDependence | None:
    """Returns how rows depend on each other in a feature; None where nobody named by what.

    Where both a group and the order of time are named, what either adds to independent rows counts
    (Cameron, Gelbach and Miller 2011, "Robust inference with multiway clustering").
    """
    parts = [
        (estimate(blocks.counts[feature]), blocks.cells[feature])
        for blocks, estimate in ((window.groups, _of_groups), (window.times, _of_times))
        if feature in blocks.counts and len(blocks.keys) >= _LEAST_BLOCKS
    ]
    if not parts:
        return None
    cells = parts[0][1]
    blocks = next(b for b in (window.groups, window.times) if feature in b.counts)
    rows = blocks.counts[feature].sum(axis=0).astype(np.float64)
    shares: FloatArray = rows / rows.sum()
    # The covariance of one multinomial row, which each of the parts holds once: of two, one is
    # taken off.
    independent = np.diag(shares) - np.outer(shares, shares)
    # Dependence within groups and that over time add up (Cameron, Gelbach and Miller 2011, two-way
    # clustering, with independent rows as the intersection).
    summed = np.sum([part[0] for part, _ in parts], axis=0)
    covariance: FloatArray = summed - (len(parts) - 1) * independent
    return RowDependence(
        cells,
        covariance,
        min(part[1] for part, _ in parts),
        _design_effect(covariance, shares),
        float(shares[-1]),
    )


def _design_effect(covariance: FloatArray, shares: FloatArray) -> float:
    used = shares > 0
    if np.count_nonzero(used) < 2:
        return 1.0
    # Σ Var_i / p_i over the cells less one is 1 of independent rows.
    ratio = np.diag(covariance)[used] / shares[used]
    return float(max(ratio.sum() / (np.count_nonzero(used) - 1), 1.0))


def _residuals(counts: IntArray) -> tuple[FloatArray, float]:
    """What each block has beyond its share of all rows, and how many rows there are."""
    held = counts.astype(np.float64)
    rows = held.sum(axis=1)
    residuals: FloatArray = held - np.outer(rows, held.sum(axis=0) / rows.sum())
    return residuals, float(rows.sum())


def _of_groups(counts: IntArray) -> tuple[FloatArray, float]:
    residuals, rows = _residuals(counts)
    blocks = len(residuals)
    # The cluster-robust (sandwich) estimator: products between rows of one block are kept, all
    # others are 0; blocks / (blocks - 1) for the mean that was taken from them.
    covariance: FloatArray = residuals.T @ residuals * (blocks / (blocks - 1) / rows)
    # Few large blocks are known as badly as few blocks (Carter, Schnepel and Steigerwald 2017,
    # "Asymptotic behavior of a t-test robust to cluster heterogeneity").
    squares = counts.sum(axis=1, dtype=np.float64) ** 2
    return covariance, float(max(squares.sum() ** 2 / np.sum(squares**2) - 1, 1.0))


def _of_times(counts: IntArray) -> tuple[FloatArray, float]:
    residuals, rows = _residuals(counts)
    blocks = len(residuals)
    used = _frequencies(residuals)
    middles = (np.arange(blocks) + 0.5) / blocks
    # The cosines of the type-II transform are orthonormal and each sums to 0 over the blocks, so
    # the mean itself adds nothing to their squares.
    waves = np.sqrt(2 / blocks) * np.cos(np.pi * np.outer(np.arange(1, used + 1), middles))
    amplitudes = waves @ residuals
    covariance: FloatArray = amplitudes.T @ amplitudes * (blocks / used / rows)
    return covariance, float(used)


def _frequencies(residuals: FloatArray) -> int:
    """How many of the lowest frequencies have nearly the spectrum of frequency 0.

    That of a series whose neighbours correlate by r is 1 / (1 + 2 r (1 - cos f) / (1 - r)²) of it
    at a frequency f (an autoregression; Andrews 1991, "Heteroskedasticity and autocorrelation
    consistent covariance matrix estimation", takes the same to choose how many).
    """
    blocks = len(residuals)
    size = np.sqrt(np.maximum(np.mean(residuals**2, axis=0), 1e-12))
    left, values, _ = np.linalg.svd(residuals / size, full_matrices=False)
    # By the squared variance of each direction: what varies most decides the tests.
    neighbours = np.sum(left[1:] * left[:-1], axis=0)
    correlation = float(np.sum(values**4 * neighbours) / max(np.sum(values**4), 1e-12))
    correlation = min(correlation + _CAUTION / np.sqrt(blocks), _MOST_CORRELATION)
    if correlation <= 0:
        return blocks - 1
    places = np.arange(1, blocks)
    # The spectrum of a first-order autoregression is (1 - r)² / (1 - 2 r cos w + r²) of that at
    # frequency 0, which is 1 / (1 + bent).
    bent = 2 * correlation * (1 - np.cos(np.pi * places / blocks)) / (1 - correlation) ** 2
    mean = np.cumsum(1 / (1 + bent)) / places
    return max(int(np.count_nonzero(mean >= _LEAST_SPECTRUM)), 2)
