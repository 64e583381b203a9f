"""Effect sizes of two vectors of counts on the same bins.

Every function takes integer counts of shape (bins,): `reference` with n rows, `current` with m.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]


def psi(reference: Counts, current: Counts) -> float:
    """Returns the population stability index in nats, Σ (p - q) ln(p / q).

    Half a row is added to every bin that either side uses, so that an empty bin stays finite.
    """
    # A bin that neither side uses would add a smoothed 0.5 to both: an effect of nothing.
    used = (reference + current) > 0
    # All rows in one bin on both sides: the shares are equal whatever their numbers.
    if np.count_nonzero(used) < 2 or not reference.sum() or not current.sum():
        return 0.0
    p, q = _smoothed(reference[used]), _smoothed(current[used])
    return float(np.sum((p - q) * np.log(p / q)))


def _smoothed(counts: Counts) -> FloatArray:
    # Half a row: logarithms of such shares are nearly unbiased (Anscombe 1956).
    padded = counts + 0.5
    shares: FloatArray = padded / padded.sum()
    return shares


def psi_noise(reference: Counts, current: Counts) -> tuple[float, int]:
    """Returns the scale and the degrees of PSI without drift: PSI ≈ scale · χ²(degrees).

    The scale is 1/n + 1/m and the degrees are the used bins less one (Yurdakul 2018, "Statistical
    properties of population stability index").
    """
    n, m = int(reference.sum()), int(current.sum())
    degrees = int(np.count_nonzero(reference + current)) - 1
    if not n or not m or degrees < 1:
        return 0.0, 0
    # Bins that neither side uses have no degree of freedom, and count in no sum.
    return 1 / n + 1 / m, degrees


def psi_corrected(reference: Counts, current: Counts) -> float:
    """Returns PSI less its mean without drift; about 0 then, and may be below it."""
    scale, degrees = psi_noise(reference, current)
    # The mean of scale · χ²(degrees). Without it PSI of small windows is mostly noise: with 15
    # degrees and 150 rows a side its mean is 0.2, and 0.25 is what is called a large shift.
    return psi(reference, current) - scale * degrees


def psi_bound(reference: Counts, current: Counts, deviations: float) -> float:
    """Returns the largest PSI that the counts allow, `deviations` standard errors up.

    PSI ≈ scale · χ²(degrees, PSI / scale), a noncentral chi-square, so its variance is
    scale² · 2 degrees + 4 scale · PSI.
    """
    scale, degrees = psi_noise(reference, current)
    corrected = psi(reference, current) - scale * degrees
    # Of a noncentral χ², 2 (degrees + 2 λ), times scale², with λ = corrected / scale.
    variance = 2 * degrees * scale**2 + 4 * scale * max(corrected, 0.0)
    return float(corrected + deviations * np.sqrt(variance))


def psi_p_value(reference: Counts, current: Counts) -> float:
    """Returns the chance of a PSI as large without drift."""
    scale, degrees = psi_noise(reference, current)
    if not degrees:
        return 1.0
    return float(special.chdtrc(degrees, psi(reference, current) / scale))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Returns the Jensen-Shannon divergence in nats, in [0, ln 2]; not its root."""
    if not reference.sum() or not current.sum():
        return 0.0
    # rel_entr takes 0 ln 0 as 0; rounding may leave a trace below 0.
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    return max(0.0, float(np.sum(special.rel_entr(p, middle) + special.rel_entr(q, middle)) / 2))


def jensen_shannon_p_value(reference: Counts, current: Counts) -> float:
    """Returns the chance of a divergence as large without drift: JS ≈ PSI's noise / 8."""
    scale, degrees = psi_noise(reference, current)
    if not degrees:
        return 1.0
    # To second order PSI is Σ (p - q)² / m and Jensen-Shannon an eighth of it.
    return float(special.chdtrc(degrees, 8 * jensen_shannon(reference, current) / scale))


def kolmogorov_smirnov(reference: Counts, current: Counts) -> float:
    """Returns the largest distance of the two cumulative shares; the bins must be in order."""
    if not reference.sum() or not current.sum():
        return 0.0
    # Between edges the distance is unknown: on bins it is a lower bound of that on rows.
    gaps = np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()
    return float(np.max(np.abs(gaps)))


def hellinger(reference: Counts, current: Counts) -> float:
    """Returns the Hellinger distance, in [0, 1]."""
    if not reference.sum() or not current.sum():
        return 0.0
    p, q = reference / reference.sum(), current / current.sum()
    # 1 less Bhattacharyya's coefficient, which rounding may put above 1 for equal shares.
    return float(np.sqrt(max(0.0, 1 - np.sum(np.sqrt(p * q)))))


def l_infinity(reference: Counts, current: Counts) -> float:
    """Returns the largest difference of a bin's share, in [0, 1]; TFDV's L-infinity norm."""
    if not reference.sum() or not current.sum():
        return 0.0
    gaps = reference / reference.sum() - current / current.sum()
    return float(np.max(np.abs(gaps)))


def wasserstein(reference: Counts, current: Counts, edges: FloatArray) -> float:
    """Returns the earth mover's distance in the feature's unit, from counts between edges.

    Args:
        reference: Counts of shape (bins,).
        current: Counts of shape (bins,).
        edges: Inner edges of shape (bins - 1,). The outer bins are open: what lies in them counts
            as on their edge, so a change beyond the outermost edges is not seen.
    """
    if not reference.sum() or not current.sum() or len(edges) < 2:
        return 0.0
    gaps = np.abs(np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum())
    # ∫ |F - G| dx by the trapezoidal rule: each gap holds from one bin's middle to the next's.
    middles = np.concatenate([[edges[0]], (edges[:-1] + edges[1:]) / 2, [edges[-1]]])
    return float(np.sum(gaps[:-1] * np.diff(middles)))


def coarsened(reference: Counts, current: Counts, groups: int) -> tuple[Counts, Counts]:
    """Joins neighbouring bins into at most `groups` of about equal reference mass."""
    if len(reference) <= groups or not reference.sum():
        return reference, current
    # By the middle of each bin's mass: one heavy bin then takes a group and leaves others empty,
    # which are dropped.
    before = np.cumsum(reference) - reference / 2
    place = np.minimum((before * groups / reference.sum()).astype(np.int64), groups - 1)
    starts = np.concatenate([[0], 1 + np.flatnonzero(np.diff(place))])
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)
