"""Checks for features that are broken, rather than drifted.

A sensor stuck at zero or a feature gone missing says nothing about the world: it holds retraining
back and goes to whoever owns the data. Each check takes what training had and what the window has,
and names a fault or returns None. A share must have risen by what matters, and beyond what chance
explains: a few odd rows in a small window are no flood.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from tfx_loop.monitoring.drift.data_faults.sample_statistics import FloatArray, SampleStatistics
from tfx_loop.monitoring.drift.data_faults.units import unit_change
from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile

# Faults that show in the columns, before anything is counted.
ABSENT_FEATURE = "absent_feature"
NOT_IN_REFERENCE = "not_in_reference"
TYPE_CHANGED = "type_changed"
SCHEMA_ANOMALY = "schema_anomaly"
# Faults that show in the counts.
INFINITE_VALUES = "infinite_values"
ALL_MISSING = "all_missing"
MISSING_FLOOD = "missing_flood"
CONSTANT_VALUE = "constant_value"
STUCK_VALUE = "stuck_value"
NEW_CATEGORY_FLOOD = "new_category_flood"
UNIT_CHANGED = "unit_changed"
OUT_OF_RANGE = "out_of_range"
# Faults of whole rows.
DUPLICATE_FLOOD = "duplicate_flood"
SILENT_SOURCE = "silent_source"
LATE_SOURCE = "late_source"

# Each feature gets several checks in each window: one false fault in ten thousand of them.
_CHANCE = 1e-4
# Of all values out of range, those that are one and the same code for "nobody knows".
_CODE_SHARE = 0.8


@dataclass(frozen=True)
class ObservedFeature:
    """One feature, as training had it and as the window has it.

    Attributes:
        profile: Training.
        counts: The window, on the profile's bins.
        sampled: Of the window's values, what counts do not tell.
    """

    profile: FeatureProfile
    counts: ColumnCounts
    sampled: SampleStatistics = field(default_factory=SampleStatistics)


@dataclass(frozen=True)
class Fault:
    """A fault and what more there is to say about it."""

    code: str
    note: str = ""


def surely_above(part: int, whole: int, baseline_part: int, baseline_whole: int) -> bool:
    """Says whether `part` of `whole` is more than the baseline's share can explain by chance.

    That share is taken at its upper 99.9 % bound (Clopper and Pearson 1934, "The use of confidence
    or fiducial limits illustrated in the case of the binomial").
    """
    if not part or not whole:
        return False
    rest = max(baseline_whole - baseline_part, 0)
    bound = float(special.betaincinv(baseline_part + 1, rest, 0.999)) if rest else 1.0
    return float(special.bdtrc(part - 1, whole, bound)) < _CHANCE


def infinite_values(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Infinities where training had none, or ten times as many."""
    trained, counts = seen.profile.counts, seen.counts
    baseline = trained.infinite / max(trained.rows, 1)
    if counts.infinite <= 10 * baseline * counts.rows:
        return None
    return Fault(INFINITE_VALUES, f"{counts.infinite:,} infinite values")


def all_missing(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """No value in the whole window, which training makes all but impossible."""
    if seen.counts.present:
        return None
    trained = seen.profile.counts
    # p^rows with the share of missing values that training had, as a logarithm.
    chance = seen.counts.rows * math.log(_share(trained.missing, trained.rows))
    return Fault(ALL_MISSING) if chance < math.log(settings.stuck_chance) else None


def missing_flood(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Many more missing values than in training."""
    trained, counts = seen.profile.counts, seen.counts
    now, before = counts.missing / counts.rows, trained.missing / trained.rows
    much = now - before > settings.missing_rise
    # A small rise is a fault as well where it makes something rare frequent.
    manifold = now - before > settings.missing_rise / 4 and now > 5 * before
    sure = surely_above(counts.missing, counts.rows, trained.missing, trained.rows)
    if not (much or manifold) or not sure:
        return None
    return Fault(MISSING_FLOOD, f"{now:.0%} missing, {before:.0%} in the reference")


def constant_value(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """One value all window long, where training had several."""
    profile, counts = seen.profile, seen.counts
    if isinstance(profile.bins, CategoryBins) and profile.type is not FeatureType.INTEGER:
        single = max(counts.bins) == counts.present and not counts.bins[-1]
    else:
        single = counts.minimum == counts.maximum and not counts.infinite
    if not counts.present or not single:
        return None
    place = int(np.argmax(counts.bins))
    # Rows are taken for independent: p^rows, as a logarithm, which does not underflow.
    baseline = _share(profile.counts.bins[place], profile.counts.present)
    chance = counts.present * math.log(baseline)
    return Fault(CONSTANT_VALUE) if chance < math.log(settings.stuck_chance) else None


def stuck_value(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """One value for a long run of rows, and far more often than training had values like it."""
    trained, sampled, run = seen.profile.counts, seen.sampled, seen.sampled.longest_run
    if sampled.run_bin is None or run < settings.stuck_share * sampled.rows:
        return None
    baseline = trained.bins[sampled.run_bin]
    # A value that training had as often, a zero say, may come in a row by itself.
    if run / sampled.present - baseline / trained.present < settings.stuck_share / 2:
        return None
    if not surely_above(run, sampled.present, baseline, trained.present):
        return None
    return Fault(STUCK_VALUE, f"one value in {run / sampled.rows:.0%} of the rows on end")


def new_category_flood(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Many values that training did not have, or hardly.

    Not of whole numbers: a year more of age is a neighbour of the others, and how far it lies from
    them is for out_of_range to say.
    """
    profile, counts = seen.profile, seen.counts
    if not isinstance(profile.bins, CategoryBins) or profile.type is FeatureType.INTEGER:
        return None
    if not counts.present:
        return None
    rare = _hardly_there(profile.counts)
    before, now = rare / max(profile.counts.present, 1), counts.bins[-1] / counts.present
    if now - before <= settings.new_category_rise:
        return None
    if not surely_above(counts.bins[-1], counts.present, rare, profile.counts.present):
        return None
    return Fault(NEW_CATEGORY_FLOOD, f"{now:.0%} are values that the reference hardly has")


def _hardly_there(trained: ColumnCounts) -> int:
    """Training rows whose value would have no bin, had that row not been there.

    Their share estimates that of values without a bin among new rows (Good 1953, "The population
    frequencies of species"): values seen once, and where values compete for bins those that only
    just got one.
    """
    # Where `other` has rows, values competed for bins: the last to get one had hardly more rows.
    alone = np.array(trained.bins[:-1], dtype=np.int64)
    if not len(alone):
        return trained.bins[-1]
    last = int(alone.min()) + 1 if trained.bins[-1] else 1
    return int(trained.bins[-1] + alone[alone <= last].sum())


def unit_changed(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """The values match training once they are scaled or shifted as another unit would be."""
    unit = unit_change(seen.profile, seen.counts, seen.sampled.values)
    return Fault(UNIT_CHANGED, unit) if unit else None


def out_of_range(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Numbers far beyond the training range, or one code beyond it again and again."""
    trained, counts = seen.profile.counts, seen.counts
    if not counts.present:
        return None
    beyond, rows = _far_beyond(seen)
    share = beyond / max(rows, 1)
    sure = surely_above(beyond, rows, trained.outside, trained.present)
    if share > settings.outside_share and sure:
        return Fault(OUT_OF_RANGE, f"{share:.0%} lie more than the reference's range beyond it")
    # Fewer than that may still be one code for "nobody knows", such as -999.
    value, rows = _code(seen)
    if rows <= settings.outside_share * max(len(seen.sampled.values), 1):
        return None
    if not surely_above(rows, len(seen.sampled.values), 0, trained.present):
        return None
    if rows < _CODE_SHARE * _beyond(seen).size:
        # Many values out there, and one of them often: a summer after a winter, not a code.
        return None
    return Fault(OUT_OF_RANGE, f"{value:g} again and again, outside of the reference's range")


def _far_beyond(seen: ObservedFeature) -> tuple[int, int]:
    """Values more than the training range beyond it, and of how many.

    Bins of whole numbers keep no count of them: they are looked for among the sampled values.
    """
    trained, counts = seen.profile.counts, seen.counts
    if not isinstance(seen.profile.bins, CategoryBins):
        return counts.outside, counts.present
    low, high = trained.minimum, trained.maximum
    if low is None or high is None or seen.profile.type is not FeatureType.INTEGER:
        return 0, counts.present
    width, values = high - low, seen.sampled.values
    far = (values < low - width) | (values > high + width)
    return int(np.count_nonzero(far)), len(values)


def _code(seen: ObservedFeature) -> tuple[float, int]:
    """The most frequent sampled value outside of the training range, and how often it is there."""
    found, times = np.unique(_beyond(seen), return_counts=True)
    if not len(found):
        return 0.0, 0
    place = int(np.argmax(times))
    return float(found[place]), int(times[place])


def _beyond(seen: ObservedFeature) -> FloatArray:
    """The sampled values outside of the training range.

    Of few whole numbers the next one, a sixth store after five, is no odder than the others.
    """
    low, high = seen.profile.counts.minimum, seen.profile.counts.maximum
    values, bins = seen.sampled.values, seen.profile.bins
    if low is None or high is None or seen.profile.type is FeatureType.BOOLEAN:
        return np.zeros(0)
    step = 0.0
    if isinstance(bins, CategoryBins):
        step = float(np.diff(np.sort(np.array(bins.categories, dtype=float))).max(initial=0))
    return values[(values < low - step) | (values > high + step)]


def _share(part: int, whole: int) -> float:
    """A share that is never 0, as the next row may be the first of its kind."""
    return (part + 1) / (whole + 1)


Check = Callable[[ObservedFeature, FaultSettings], Fault | None]
CHECKS: tuple[Check, ...] = (
    infinite_values,
    all_missing,
    constant_value,
    missing_flood,
    unit_changed,
    new_category_flood,
    out_of_range,
    stuck_value,
)


def find_fault(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Returns the first fault that a check names."""
    for check in CHECKS:
        if fault := check(seen, settings):
            return fault
    return None
