"""Is a feature of this window broken, rather than drifted?

A sensor stuck at zero or a feature gone missing says nothing about the world: it holds retraining
back and goes to whoever owns the data. Each check takes a feature's profile and the window's
counts on the profile's bins, and names a fault or returns None.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.errors import ConfigError
from components.profile.bins import CategoryBins
from components.profile.columns import FeatureType
from components.profile.counts import ColumnCounts
from components.profile.reference import FeatureProfile

# Faults that show in the columns, before anything is counted.
ABSENT_FEATURE = "absent_feature"
NOT_IN_REFERENCE = "not_in_reference"
TYPE_CHANGED = "type_changed"
# Faults that show in the counts.
INFINITE_VALUES = "infinite_values"
ALL_MISSING = "all_missing"
MISSING_FLOOD = "missing_flood"
STUCK_VALUE = "stuck_value"
NEW_CATEGORY_FLOOD = "new_category_flood"
OUT_OF_RANGE = "out_of_range"


@dataclass(frozen=True, kw_only=True)
class FaultSettings:
    """From where on an odd feature is a broken one.

    Attributes:
        missing_rise: Rise of the share of missing values since training, in [0, 1].
        new_category_rise: Rise of the share of values without a bin of their own, in [0, 1].
        outside_share: Share of numbers more than a whole training range beyond that range.
        stuck_chance: A single value all window long is a fault when training makes it less
            likely than this.
    """

    missing_rise: float = 0.2
    new_category_rise: float = 0.2
    outside_share: float = 0.05
    stuck_chance: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("missing_rise", "new_category_rise", "outside_share", "stuck_chance"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ConfigError(f"{name} must be above 0 and at most 1, got {value}.")


def infinite_values(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """Infinities where training had none, or ten times as many."""
    usual = profile.counts.infinite / max(profile.counts.rows, 1)
    return INFINITE_VALUES if counts.infinite > 10 * usual * counts.rows else None


def all_missing(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """No value in the whole window, which training makes all but impossible."""
    if counts.present:
        return None
    usual = _share(profile.counts.missing, profile.counts.rows)
    return ALL_MISSING if counts.rows * math.log(usual) < math.log(settings.stuck_chance) else None


def missing_flood(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """Many more missing values than in training."""
    rise = counts.missing / counts.rows - profile.counts.missing / profile.counts.rows
    return MISSING_FLOOD if rise > settings.missing_rise else None


def stuck_value(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """One value all window long, where training had several."""
    if profile.type is FeatureType.CATEGORICAL:
        single = max(counts.bins) == counts.present and not counts.bins[-1]
    else:
        single = counts.minimum == counts.maximum and not counts.infinite
    if not counts.present or not single:
        return None
    place = int(np.argmax(counts.bins))
    usual = _share(profile.counts.bins[place], profile.counts.present)
    chance = counts.present * math.log(usual)
    return STUCK_VALUE if chance < math.log(settings.stuck_chance) else None


def new_category_flood(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """Many values that training did not have, or hardly."""
    if not isinstance(profile.bins, CategoryBins) or not counts.present:
        return None
    usual = profile.counts.bins[-1] / max(profile.counts.present, 1)
    rise = counts.bins[-1] / counts.present - usual
    return NEW_CATEGORY_FLOOD if rise > settings.new_category_rise else None


def out_of_range(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """Numbers so far beyond the training range that a unit or a sensor must have changed."""
    if not counts.present or counts.outside / counts.present <= settings.outside_share:
        return None
    return OUT_OF_RANGE


def _share(part: int, whole: int) -> float:
    """A share that is never 0, as the next row may be the first of its kind."""
    return (part + 1) / (whole + 1)


Check = Callable[[FeatureProfile, ColumnCounts, FaultSettings], str | None]
CHECKS: tuple[Check, ...] = (
    infinite_values,
    all_missing,
    missing_flood,
    new_category_flood,
    out_of_range,
    stuck_value,
)


def find_fault(
    profile: FeatureProfile, counts: ColumnCounts, settings: FaultSettings
) -> str | None:
    """Returns the first fault that a check names."""
    for check in CHECKS:
        if fault := check(profile, counts, settings):
            return fault
    return None
