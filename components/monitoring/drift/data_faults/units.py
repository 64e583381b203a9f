"""Changes of unit: values that match training after a known conversion, and not before.

A drift is rarely a thousandfold, and never exactly 1.8 times plus 32. Conversions by small factors
can look like a wider spread, so they count only where the rows are many enough to tell them from
the round factors that a drift might have.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.drift.statistics import effects, two_sample
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Conversion:
    """new = factor · old + offset, and what it is called."""

    name: str
    factor: float
    offset: float = 0.0


_FACTORS = {
    "x1000 (thousandths)": 1_000.0,
    "x1,000,000 (millionths)": 1e6,
    "x100 (per cent, cents)": 100.0,
    "x10": 10.0,
    "x60 (minutes to seconds)": 60.0,
    "x3600 (hours to seconds)": 3_600.0,
    "x24 (days to hours)": 24.0,
    "x1024": 1_024.0,
    "x2.54 (inches to centimetres)": 2.54,
    "x25.4 (inches to millimetres)": 25.4,
    "x12 (feet to inches)": 12.0,
    "x0.3048 (feet to metres)": 0.3048,
    "x1.609 (miles to kilometres)": 1.609344,
    "x0.4536 (pounds to kilograms)": 0.45359237,
    "x3.785 (gallons to litres)": 3.785412,
    "x57.3 (radians to degrees)": 57.29578,
    "x3.6 (m/s to km/h)": 3.6,
    "x2.237 (m/s to mph)": 2.236936,
    "x33.86 (inches of mercury to hPa)": 33.8639,
}
CONVERSIONS = (
    *(Conversion(name, factor) for name, factor in _FACTORS.items()),
    *(Conversion(f"the inverse of {name}", 1 / factor) for name, factor in _FACTORS.items()),
    Conversion("x1.8 + 32 (Celsius to Fahrenheit)", 1.8, 32.0),
    Conversion("the inverse of x1.8 + 32 (Fahrenheit to Celsius)", 1 / 1.8, -32 / 1.8),
    Conversion("+273.15 (Celsius to Kelvin)", 1.0, 273.15),
    Conversion("-273.15 (Kelvin to Celsius)", 1.0, -273.15),
)
# Round factors that growth may have: a small conversion has to fit where none of them does.
_RIVALS = (1.25, 1.5, 2.0, 3.0, 4.0, 5.0)
# Kolmogorov-Smirnov distances: from where on a window does not look like training any more, and
# down to where a conversion fits though the rows are too many for a test to agree.
_GROSS, _LITTLE = 0.2, 0.05
# A factor beyond it, or below its inverse, is no growth that a window sees.
_LARGE = 8.0
# Fewer rows fit several conversions; more cost time and tell no more.
_LEAST_ROWS = 100
_MOST_ROWS = 5_000


def unit_change(profile: FeatureProfile, counts: ColumnCounts, values: FloatArray) -> str | None:
    """Returns the conversion that explains a window, such as `x1.8 + 32 (…)`; None for none.

    Args:
        profile: What training had.
        counts: What the window has.
        values: A sample of the window's finite numbers, of shape (rows,).
    """
    trained = _ordered(profile)
    if trained is None or len(values) < _LEAST_ROWS or counts.infinite:
        return None
    edges, reference = trained
    values = values[:_MOST_ROWS]
    # Only what does not look like training is asked for a unit: a drift that small needs none.
    before = effects.kolmogorov_smirnov(reference, _counted(values, edges, profile.type))
    if before < _GROSS:
        return None
    fits = [(_match(c, reference, edges, values, profile.type), c) for c in CONVERSIONS]
    (chance, distance), best = max(fits, key=lambda fit: fit[0])
    # The best of some forty conversions: at 0.001 each a true one is missed once in a thousand.
    if chance > 0.001 or distance < _LITTLE:
        return best.name if _told_apart(best, reference, edges, values, profile.type) else None
    return _scaled(reference, edges, values, profile.type)


def _ordered(profile: FeatureProfile) -> tuple[FloatArray, IntArray] | None:
    counts = np.array(profile.counts.bins)
    if profile.type is FeatureType.CATEGORICAL or len(counts) < 6:
        return None
    if not isinstance(profile.bins, CategoryBins):
        return np.asarray(profile.bins.edges), counts
    points = np.asarray(profile.bins.categories, dtype=np.float64)
    order = np.argsort(points)
    return points[order][:-1], counts[:-1][order]


def _counted(values: FloatArray, edges: FloatArray, kind: FeatureType) -> IntArray:
    """Rounded as they were before the conversion, or the last bits put ties in the wrong bin."""
    values = np.round(values) if kind is FeatureType.INTEGER else values.astype(np.float32)
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def _match(
    conversion: Conversion,
    reference: IntArray,
    edges: FloatArray,
    values: FloatArray,
    kind: FeatureType,
) -> tuple[float, float]:
    back = (values - conversion.offset) / conversion.factor
    current = _counted(back, edges, kind)
    distance = effects.kolmogorov_smirnov(reference, current)
    if distance > 2 * _GROSS:
        # Far off: most conversions end here, without the test.
        return 0.0, distance
    fine = effects.coarsened(reference, current, 32)
    return two_sample.anderson_darling(*fine), distance


def _told_apart(
    best: Conversion,
    reference: IntArray,
    edges: FloatArray,
    values: FloatArray,
    kind: FeatureType,
) -> bool:
    """A small factor must fit where the round ones do not; a large one or a shift is plain."""
    if best.offset or not 1 / _LARGE < best.factor < _LARGE:
        return True
    for rival in (*_RIVALS, *(1 / factor for factor in _RIVALS)):
        chance, _ = _match(Conversion("", rival), reference, edges, values, kind)
        if chance > 0.01:
            return False
    return True


def _scaled(
    reference: IntArray, edges: FloatArray, values: FloatArray, kind: FeatureType
) -> str | None:
    """A large factor that no unit has, read from the spread of the middle half."""
    # A line through the quantiles of both sides; its slope is the factor.
    shares = np.cumsum(reference)[:-1] / reference.sum()
    inner = (shares > 0.1) & (shares < 0.9)
    if np.count_nonzero(inner) < 5:
        return None
    factor, offset = np.polyfit(edges[inner], np.quantile(values, shares[inner]), 1)
    if not (factor > _LARGE or 0 < factor < 1 / _LARGE):
        return None
    chance, distance = _match(Conversion("", factor, offset), reference, edges, values, kind)
    if chance < 0.001 and distance >= _LITTLE:
        return None
    plain, near = _match(Conversion("", factor), reference, edges, values, kind)
    return f"about x{factor:.3g}" if plain > 0.001 or near < _LITTLE else None
