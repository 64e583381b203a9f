"""How far apart are two vectors of counts on the same bins, and can chance explain it?

Every function takes integer counts of shape (bins,): `reference` with n rows, `current` with m.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_LEAST_EXPECTED = 5.0


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


def psi(reference: IntArray, current: IntArray) -> float:
    """Returns the population stability index in nats, Σ (p - q) ln(p / q).

    Half a row is added to every bin that either side uses, so that an empty bin stays finite.
    """
    used = (reference + current) > 0
    if np.count_nonzero(used) < 2 or not reference.sum() or not current.sum():
        return 0.0
    p, q = _smoothed(reference[used]), _smoothed(current[used])
    return float(np.sum((p - q) * np.log(p / q)))


def _smoothed(counts: IntArray) -> FloatArray:
    padded = counts + 0.5
    shares: FloatArray = padded / padded.sum()
    return shares


def psi_noise(reference: IntArray, current: IntArray) -> tuple[float, int]:
    """Returns the scale and the degrees of PSI without drift: PSI ≈ scale · χ²(degrees).

    The scale is 1/n + 1/m and the degrees are the used bins less one (Yurdakul 2018, "Statistical
    properties of population stability index").
    """
    n, m = int(reference.sum()), int(current.sum())
    degrees = int(np.count_nonzero(reference + current)) - 1
    if not n or not m or degrees < 1:
        return 0.0, 0
    return 1 / n + 1 / m, degrees


def psi_corrected(reference: IntArray, current: IntArray) -> float:
    """Returns PSI less its mean without drift; about 0 then, and may be below it."""
    scale, degrees = psi_noise(reference, current)
    return psi(reference, current) - scale * degrees


def psi_p_value(reference: IntArray, current: IntArray) -> float:
    """Returns the chance of a PSI as large without drift."""
    scale, degrees = psi_noise(reference, current)
    if not degrees:
        return 1.0
    return float(special.chdtrc(degrees, psi(reference, current) / scale))


def jensen_shannon(reference: IntArray, current: IntArray) -> float:
    """Returns the Jensen-Shannon divergence in nats, in [0, ln 2]; not its root."""
    if not reference.sum() or not current.sum():
        return 0.0
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    return max(0.0, float(np.sum(special.rel_entr(p, middle) + special.rel_entr(q, middle)) / 2))


def jensen_shannon_p_value(reference: IntArray, current: IntArray) -> float:
    """Returns the chance of a divergence as large without drift: JS ≈ PSI's noise / 8."""
    scale, degrees = psi_noise(reference, current)
    if not degrees:
        return 1.0
    return float(special.chdtrc(degrees, 8 * jensen_shannon(reference, current) / scale))


def kolmogorov_smirnov(reference: IntArray, current: IntArray) -> float:
    """Returns the largest distance of the two cumulative shares; the bins must be in order."""
    if not reference.sum() or not current.sum():
        return 0.0
    gaps = np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()
    return float(np.max(np.abs(gaps)))


def kolmogorov_smirnov_p_value(reference: IntArray, current: IntArray) -> float:
    """Returns the asymptotic p-value of the two-sample test; on bins it errs to the safe side."""
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return 1.0
    rows = n * m / (n + m)
    return float(special.kolmogorov(np.sqrt(rows) * kolmogorov_smirnov(reference, current)))


def chi_square(reference: IntArray, current: IntArray) -> ChiSquare:
    """Returns the two-sample chi-square test, rare bins pooled.

    Bins where the smaller sample expects fewer than five rows are pooled into one (Cochran 1954),
    as the test raises false alarms on them.
    """
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return ChiSquare(0.0, 0, 1.0)
    r, c = _pooled(reference, current, min(n, m) / (n + m))
    degrees = len(r) - 1
    if degrees < 1:
        return ChiSquare(0.0, 0, 1.0)
    statistic = float(np.sum((np.sqrt(m / n) * r - np.sqrt(n / m) * c) ** 2 / (r + c)))
    return ChiSquare(statistic, degrees, float(special.chdtrc(degrees, statistic)))


def _pooled(reference: IntArray, current: IntArray, share: float) -> tuple[IntArray, IntArray]:
    total = reference + current
    order = np.argsort(total, kind="stable")
    order = order[total[order] > 0]
    expected = np.cumsum(total[order]) * share
    rare = total[order] * share < _LEAST_EXPECTED
    if not rare.any():
        return reference[order], current[order]
    # The pool takes the rare bins, and further ones until it is not rare itself.
    last = max(int(np.count_nonzero(rare)), 1 + int(np.searchsorted(expected, _LEAST_EXPECTED)))
    pool, rest = order[:last], order[last:]
    return (
        np.concatenate([[reference[pool].sum()], reference[rest]]),
        np.concatenate([[current[pool].sum()], current[rest]]),
    )


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


def coarsened(reference: IntArray, current: IntArray, groups: int) -> tuple[IntArray, IntArray]:
    """Joins neighbouring bins into at most `groups` of about equal reference mass."""
    if len(reference) <= groups or not reference.sum():
        return reference, current
    before = np.cumsum(reference) - reference / 2
    place = np.minimum((before * groups / reference.sum()).astype(np.int64), groups - 1)
    starts = np.concatenate([[0], 1 + np.flatnonzero(np.diff(place))])
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)
