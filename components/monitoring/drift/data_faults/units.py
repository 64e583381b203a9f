"""Changes of unit: values that match training after a known conversion, and not before.

A drift is rarely a thousandfold, and never exactly 1.8 times plus 32. Growth by 1.7 times happens:
a small factor counts only where it is known to a fraction of a per cent and is that of a unit, or
where the values lie on the grid of training's decimals once they are converted back.
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


# Exact where a unit is defined by another (international yard and pound, 1959), else to seven
# digits: rows are put back on the old bins by it, and ties would move over the edges.
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
    "x33.86 (inches of mercury to hPa)": 33.8639,
}
# The first that fits is named: the more common one where two are nearly the same.
CONVERSIONS = (
    *(Conversion(name, factor) for name, factor in _FACTORS.items()),
    *(Conversion(f"the inverse of {name}", 1 / factor) for name, factor in _FACTORS.items()),
    Conversion("x2.237 (m/s to mph)", 2.236936),
    Conversion("the inverse of x2.237 (m/s to mph)", 1 / 2.236936),
    Conversion("x1.8 + 32 (Celsius to Fahrenheit)", 1.8, 32.0),
    Conversion("the inverse of x1.8 + 32 (Fahrenheit to Celsius)", 1 / 1.8, -32 / 1.8),
    Conversion("+273.15 (Celsius to Kelvin)", 1.0, 273.15),
    Conversion("-273.15 (Kelvin to Celsius)", 1.0, -273.15),
    Conversion("x-1 (the sign)", -1.0),
)
# Kolmogorov-Smirnov distances: from where on a window does not look like training any more, and
# down to where a conversion fits though the rows are too many for a test to agree.
_GROSS, _LITTLE = 0.2, 0.05
# A factor beyond it, or below its inverse, is no growth that a window sees.
_LARGE = 8.0
# Such a factor must fit better than those a quarter off: of a wide spread a test tells little.
_NEAR_LARGE = 1.25
# Likewise 273.15 must fit better than 285 and 262.
_NEAR_OFFSET = 1.04
# Growth by any factor up to 8 is as likely as by any other (in its logarithm, 4.2 wide from 1/8),
# and 12 small factors belong to units: intervals of 0.75 % around them are 4 % of that.
_NEAR = 0.0075
# Standard errors of the factor within which it must lie, and the largest from which that says
# something: at 1.5 % two in five true conversions are still within _NEAR.
_DEVIATIONS, _MOST_ERROR = 3.0, 0.015
# Factors, as logarithms around a conversion, among which the one that fits best is looked for.
_AROUND = 0.06
# Decimals that a grid of values has at most, and how wide the tolerance may be for it to tell.
_DECIMALS, _MOST_TOLERANCE = 3, 0.15
_ON_GRID = 0.95
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
    window = _ConvertedWindow(reference, edges, values, profile.type, _has_one_sign(profile))
    found = (c for c in CONVERSIONS if window.fits(c) and window.told_apart(c))
    return next((conversion.name for conversion in found), None)


def _has_one_sign(profile: FeatureProfile) -> bool:
    low, high = profile.counts.minimum, profile.counts.maximum
    return low is not None and high is not None and (low >= 0 or high <= 0)


def _ordered(profile: FeatureProfile) -> tuple[FloatArray, IntArray] | None:
    counts = np.array(profile.counts.bins)
    # On fewer bins several conversions fit the same window.
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


@dataclass(frozen=True)
class _ConvertedWindow:
    """A window's values beside training, asked whether a conversion explains them.

    Attributes:
        reference: Training rows in each bin.
        edges: Of the bins.
        values: The window's finite numbers.
        kind: The feature's type.
        one_sign: Whether training had no number above 0, or none below.
    """

    reference: IntArray
    edges: FloatArray
    values: FloatArray
    kind: FeatureType
    one_sign: bool

    def match(self, conversion: Conversion) -> tuple[float, float]:
        """Returns the p-value of the values converted back, and their distance."""
        # Chance of 1 in 100: a rival that is this bad is worse than the unit, and two tests of one
        # window are not independent.
        back = (self.values - conversion.offset) / conversion.factor
        current = _counted(back, self.edges, self.kind)
        distance = effects.kolmogorov_smirnov(self.reference, current)
        if distance > 2 * _GROSS:
            # Far off: most conversions end here, without the test.
            return 0.0, distance
        fine = effects.coarsened(self.reference, current, 32)
        return two_sample.anderson_darling(*fine), distance

    def fits(self, conversion: Conversion) -> bool:
        """Says whether the values look like training once they are converted back."""
        # At 0.001 a true conversion is missed once in a thousand.
        chance, distance = self.match(conversion)
        return chance > 0.001 or distance < _LITTLE

    def told_apart(self, unit: Conversion) -> bool:
        """Says whether nothing that a drift does explains the values as well."""
        if unit.factor < 0:
            # Amounts of which none was negative do not become so by drifting; what had both signs
            # may wander from one side to the other.
            return self.one_sign
        if unit.factor == 1:
            near = (unit.offset * _NEAR_OFFSET, unit.offset / _NEAR_OFFSET)
            return not any(self._as_good(Conversion("", 1.0, offset), unit) for offset in near)
        if unit.offset:
            middle = float(np.interp(0.5, self._shares(), self.edges))
            factor = float(np.median(self.values)) / middle if middle else 0.0
            return factor <= 0 or not self._as_good(Conversion("", factor), unit)
        if not 1 / _LARGE < unit.factor < _LARGE:
            near = (unit.factor * _NEAR_LARGE, unit.factor / _NEAR_LARGE)
            return not any(self._as_good(Conversion("", factor), unit) for factor in near)
        on_grid = self._on_grid(unit.factor)
        return self._is_precise(unit.factor) if on_grid is None else on_grid

    def _as_good(self, rival: Conversion, unit: Conversion) -> bool:
        chance, distance = self.match(rival)
        # A rival is as good where a test at 1 % takes it for training, too, or where it lies no
        # further off than the unit does.
        return chance > 0.01 or distance <= self.match(unit)[1]

    def _shares(self) -> FloatArray:
        return np.asarray(np.cumsum(self.reference)[:-1] / self.reference.sum())

    def _on_grid(self, factor: float) -> bool | None:
        """Says whether values converted back have training's decimals; None where none tell."""
        step = _grid_of(self.edges)
        if step is None:
            return None
        # Rounded after the conversion, a value is off by half of its own last decimal.
        rounding = (_grid_of(self.values) or 0.0) / 2 / factor
        # Floats are float32, whose last bit is 2**-24 of them.
        back = self.values / factor
        # Three such errors add up to less than 2**-22: of the value before and after the
        # conversion, and of the factor's seven digits.
        tolerance = rounding + np.abs(back) * 2.0**-22
        if float(np.median(tolerance)) > _MOST_TOLERANCE * step:
            return None
        off = np.abs(back / step - np.rint(back / step)) * step
        return bool(np.mean(off <= tolerance) >= _ON_GRID)

    def _is_precise(self, factor: float) -> bool:
        """Says whether the factor that fits best is known well, and is this one."""
        width, ordered = _AROUND, np.sort(self.values)
        # Once around the conversion, and once as far around as the first fit left in doubt.
        for _ in range(2):
            # 41 factors: a step is a third of a standard error at worst, and a parabola is fitted,
            # not a minimum read off.
            steps = np.linspace(-width, width, 41)
            lacks = [self._lack_of_fit(ordered, factor * np.exp(step)) for step in steps]
            curve, slope, _ = np.polyfit(steps, lacks, 2)
            if curve <= 0:
                return False
            # Pearson's statistic rises by (log f - log best)² / error² around the best factor.
            best, error = -slope / (2 * curve), 1 / np.sqrt(curve)
            width = float(np.clip(4 * error, 0.01, _AROUND))
        near = error <= _MOST_ERROR and abs(best) <= min(_DEVIATIONS * error, _NEAR)
        return bool(near and self._is_curved(ordered, factor))

    def _is_curved(self, ordered: FloatArray, factor: float) -> bool:
        """Says whether factors further off fit worse, as a parabola alone does not show.

        Of few whole numbers many factors make the same counts: the statistic is flat there.
        """
        here = self._lack_of_fit(ordered, factor)
        off = _DEVIATIONS * _MOST_ERROR
        worse = (self._lack_of_fit(ordered, factor * np.exp(step)) for step in (-off, off))
        return bool(min(worse) - here >= _DEVIATIONS**2)

    def _lack_of_fit(self, ordered: FloatArray, factor: float) -> float:
        # A value on an edge is in the bin below, whatever the last bits of the product are.
        half = 0.5 if self.kind is FeatureType.INTEGER else np.abs(self.edges) * 2.0**-22
        below = np.searchsorted(ordered, (self.edges + half) * factor, side="right")
        current = np.diff(np.concatenate([[0], below, [len(ordered)]]))
        return two_sample.chi_square(self.reference, current).statistic


def _grid_of(values: FloatArray) -> float | None:
    """Returns the step of the values' last decimal, as 0.01; None where they have too many."""
    some = np.unique(values[np.isfinite(values)].astype(np.float32))
    # Some 200 show how many decimals there are; each is formatted in Python.
    some = some[:: max(len(some) // 200, 1)]
    texts = [np.format_float_positional(value, trim="-") for value in some]
    decimals = [len(text.partition(".")[2]) for text in texts]
    # An edge or two lie beside a value of training (bins.py), and have all decimals.
    most = int(np.quantile(decimals, 0.9, method="lower")) if decimals else _DECIMALS + 1
    return 10.0**-most if most <= _DECIMALS else None
