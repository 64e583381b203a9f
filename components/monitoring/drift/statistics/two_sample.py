"""Two-sample tests on binned counts, and how their p-values combine.

Every test takes counts of shape (bins,): `reference` with n rows, `current` with m. Which tests a
feature gets was measured (tests/benchmarks/drift): Anderson-Darling on the bins finds shifts that
the exact Kolmogorov-Smirnov test misses, chi-square on coarse bins finds changes of shape; their
weighted Bonferroni combination costs less than either gains.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
# Cochran 1954, "Some methods for strengthening the common χ² tests".
LEAST_EXPECTED = 5.0
# Share of all rows below which a cell gets the exact binomial test, there as good as the
# hypergeometric one; larger cells are normal.
_FEW = 0.05
# Bisection alone takes as many to the last digit of a double.
_MOST_STEPS = 200


@dataclass(frozen=True)
class ChiSquare:
    """A two-sample chi-square test.

    Attributes:
        statistic: Pearson's statistic.
        degrees: Degrees of freedom, bins after pooling less one.
        p_value: Chance of a statistic as large without drift.
    """

    statistic: float
    degrees: int
    p_value: float


def kolmogorov_smirnov(reference: Counts, current: Counts) -> float:
    """Returns the asymptotic p-value; on bins and with ties it errs to the safe side."""
    n, m = reference.sum(), current.sum()
    if not n or not m:
        return 1.0
    gaps = np.cumsum(reference) / n - np.cumsum(current) / m
    return float(special.kolmogorov(np.sqrt(n * m / (n + m)) * np.max(np.abs(gaps))))


def anderson_darling(reference: Counts, current: Counts) -> float:
    """Returns the p-value of the two-sample Anderson-Darling test on bins in order.

    The squared distance of the cumulative shares, weighted by 1 / H(1 - H) (Scholz and Stephens
    1987, "K-sample Anderson-Darling tests", with ties). Without drift the distances at the edges
    are a Brownian bridge, so the statistic is a sum of squared normals with the eigenvalues of
    its covariance as weights: exact for any bins, as both samples grow.
    """
    n, m = float(reference.sum()), float(current.sum())
    # A bin that neither side uses would divide by 0, and says nothing.
    used = (reference + current) > 0
    if not n or not m or np.count_nonzero(used) < 2:
        return 1.0
    r, c = reference[used], current[used]
    shares = (r + c) / (n + m)
    below = np.cumsum(shares)[:-1]
    gaps = np.cumsum(r)[:-1] / n - np.cumsum(c)[:-1] / m
    # dH at an edge is half of both neighbours' mass: the sum is the integral by trapezoids.
    weights = (shares[:-1] + shares[1:]) / 2 / (below * (1 - below))
    statistic = float(np.sum(weights * gaps**2)) * n * m / (n + m)
    # Cov B(s), B(t) = min(s, t) - s t.
    bridge = np.minimum.outer(below, below) - np.outer(below, below)
    roots = np.sqrt(weights)
    return weighted_chi_square_tail(np.linalg.eigvalsh(bridge * np.outer(roots, roots)), statistic)


def weighted_chi_square_tail(weights: FloatArray, value: float, freedom: float = np.inf) -> float:
    """Returns the chance that the sum of weights[i] · χ²(1) exceeds `value`.

    The saddlepoint approximation holds far out in the tail, where Benjamini-Hochberg over many
    features looks (Kuonen 1999, "Saddlepoint approximations for distributions of quadratic forms
    in normal variables").

    Args:
        weights: Of shape (terms,); those that are 0 or below, but for rounding, add nothing.
        value: The statistic.
        freedom: Degrees of freedom that the weights were estimated with. `value` is then compared
            as value · χ²(freedom) / freedom, as the F distribution does for equal weights.
    """
    # Eigenvalues of rounding, which may be negative, are left out.
    used = weights[weights > 1e-9 * weights.max(initial=0.0)]
    if not len(used) or value <= 0:
        return 1.0
    largest, mean = float(used.max()), float(used.sum())
    if abs(value / mean - 1) < 1e-4:
        value = mean * (1 + 1e-4)  # The formula is 0/0 at the mean, and smooth around it.

    # The cumulant generating function of Σ w χ² less value · χ²(f) / f, whose tail beyond 0 is
    # wanted; the second part is -value · s where the weights are known.
    estimated = np.isfinite(freedom)
    # The saddlepoint K'(s) = value lies below 1 / (2 largest), where K ends; K' rises all the way.
    # Below the mean the saddlepoint is negative: at s = -terms / (2 value) K' is surely below
    # value.
    low = min(-len(used) / (2 * value), -1e-3 / largest) if value < mean else 0.0
    if estimated:
        # Just inside the poles of K at both ends, beyond which its logarithms do not exist.
        low = max(low, -(1 - 1e-12) * freedom / (2 * value))
    point = _saddlepoint(used, value, freedom, low, (1 - 1e-12) / (2 * largest))
    generating = -0.5 * float(np.sum(np.log1p(-2 * point * used)))
    curvature = 2 * float(np.sum((used / (1 - 2 * point * used)) ** 2))
    if estimated:
        generating -= freedom / 2 * float(np.log1p(2 * point * value / freedom))
        curvature += 2 * value**2 / freedom / (1 + 2 * point * value / freedom) ** 2
    else:
        generating -= point * value
    # Lugannani and Rice 1980 in the form of Barndorff-Nielsen: Φ(-(r + ln(v / r) / r)).
    root = np.sign(point) * np.sqrt(max(-2 * generating, 0.0))
    ratio = point * np.sqrt(curvature) / root
    return float(np.clip(special.ndtr(-(root + np.log(ratio) / root)), 0.0, 1.0))


def _saddlepoint(
    weights: FloatArray, value: float, freedom: float, low: float, high: float
) -> float:
    """Returns s between the bounds with Σ w / (1 - 2 s w) = value / (1 + 2 s value / freedom).

    Newton's steps, halved where they leave what is known to hold it: the difference of both sides
    rises. SciPy's root finders would do as well, and take 0.2 s to import, a tenth of a comparison
    of two files.
    """
    # A lower bound of 0 is the mean's own saddlepoint.
    point = low if low < 0 else 0.0
    for _ in range(_MOST_STEPS):
        scaled = weights / (1 - 2 * point * weights)
        right = value / (1 + 2 * point * value / freedom)
        off = float(scaled.sum()) - right
        low, high = (point, high) if off < 0 else (low, point)
        step = point - off / (2 * (float(np.square(scaled).sum()) + right**2 / freedom))
        found = step if low < step < high else (low + high) / 2
        if abs(found - point) <= 1e-15 * abs(point):
            break
        point = found
    return point


def chi_square(reference: Counts, current: Counts) -> ChiSquare:
    """Returns the two-sample chi-square test, rare bins pooled."""
    n, m = float(reference.sum()), float(current.sum())
    if not n or not m:
        return ChiSquare(0.0, 0, 1.0)
    r, c = pooled(reference, current)
    degrees = len(r) - 1
    if degrees < 1:
        return ChiSquare(0.0, 0, 1.0)
    # Pearson's statistic of the 2 by bins table in one sum, Σ (m r - n c)² / (n m (r + c)).
    statistic = float(np.sum((np.sqrt(m / n) * r - np.sqrt(n / m) * c) ** 2 / (r + c)))
    return ChiSquare(statistic, degrees, float(special.chdtrc(degrees, statistic)))


def pooled(
    reference: Counts, current: Counts, least: float = LEAST_EXPECTED
) -> tuple[Counts, Counts]:
    """Pools bins where the smaller sample expects fewer than `least` rows into one, put first.

    The tests raise false alarms on rare bins (Cochran 1954). Both samples together decide what is
    rare, so the choice says nothing about their difference.
    """
    n, m = reference.sum(), current.sum()
    share = min(n, m) / (n + m)
    total = reference + current
    order = np.argsort(total, kind="stable")
    order = order[total[order] > 0]
    expected = np.cumsum(total[order]) * share
    rare = total[order] * share < least
    if not rare.any():
        return reference[order], current[order]
    # The pool takes the rare bins, and further ones until it is not rare itself.
    last = max(int(np.count_nonzero(rare)), 1 + int(np.searchsorted(expected, least)))
    pool, rest = order[:last], order[last:]
    return (
        np.concatenate([[reference[pool].sum()], reference[rest]]),
        np.concatenate([[current[pool].sum()], current[rest]]),
    )


def settled(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Joins categories that the reference may have chosen by luck with the rest; the rest is last.

    Categories got bins of their own because the reference had many of them. Those that only just
    got one had luck, which the current rows do not repeat: a difference without drift. So only
    those stand alone that both samples together put clearly above the last one chosen.
    """
    n, m = reference.sum(), current.sum()
    if not n or not m or len(reference) < 2:
        return reference, current
    last = float(reference[:-1].min()) if reference[-1] else 0.0
    # Three Poisson deviations above the last one chosen, and 3 where that is next to nothing.
    sure = last + 3 * np.sqrt(last) + 3
    alone = np.append((reference + current)[:-1] >= max(sure, LEAST_EXPECTED) * (n + m) / n, False)
    return (
        np.append(reference[alone], reference[~alone].sum()),
        np.append(current[alone], current[~alone].sum()),
    )


def most_changed_cell(reference: Counts, current: Counts) -> float:
    """Returns the p-value of the bin that changed most, times the number of bins.

    One category among hundreds drowns in chi-square. Rare cells get the exact binomial test of
    their split over both samples, others the normal one.
    """
    n, m = float(reference.sum()), float(current.sum())
    if not n or not m:
        return 1.0
    r, c = pooled(reference, current)
    if len(r) < 2:
        return 1.0
    total, share = (r + c).astype(np.float64), m / (n + m)
    deviation = np.abs(c - total * share)
    # Hypergeometric: the cell's total and both sample sizes are given; with a correction of half a
    # row for continuity.
    spread = np.sqrt(total * share * (1 - share) * (1 - total / (n + m)))
    normal = 2 * special.ndtr(-np.maximum(deviation - 0.5, 0.0) / np.maximum(spread, 1e-12))
    below = special.bdtr(np.floor(c), np.ceil(total).astype(np.int64), share)
    above = special.bdtrc(np.floor(c) - 1, np.ceil(total).astype(np.int64), share)
    # bdtrc is not defined for -1, and any count is at least 0.
    above = np.where(c < 1, 1.0, above)
    exact = np.minimum(2 * np.minimum(below, above), 1.0)
    p_values = np.where(total < _FEW * (n + m), exact, normal)
    return float(min(1.0, len(p_values) * p_values.min()))


def combined(p_values: Iterable[tuple[float, float]]) -> float:
    """Returns one p-value of several tests of one feature, given as (p-value, weight).

    Bonferroni with weights that add up to at most 1: holds however the tests depend on each other
    (Holm 1979, "A simple sequentially rejective multiple test procedure", section 4).
    """
    return float(min([1.0, *(p_value / weight for p_value, weight in p_values)]))


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Returns the q-values of p-values: the least false discovery rate at which each is named.

    Benjamini and Hochberg 1995, "Controlling the false discovery rate".
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * count / np.arange(1, count + 1)
    q_values = np.empty(count)
    q_values[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_values
