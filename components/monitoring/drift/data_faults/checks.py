"""Checks for features that are broken, rather than drifted.

A sensor stuck at zero or a feature gone missing says nothing about the world: it holds retraining
back and goes to whoever owns the data. Each check takes what training had and what the window has,
and names a fault or returns None. A share must have risen by what matters, and beyond what chance
explains: a few odd rows in a small window are no flood.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tfx_loop.monitoring.drift.data_faults.calendar_parts import is_calendar_part
from tfx_loop.monitoring.drift.data_faults.faults import (
    ALL_MISSING,
    CONSTANT_VALUE,
    INFINITE_VALUES,
    MISSING_FLOOD,
    NEW_CATEGORY_FLOOD,
    STUCK_VALUE,
    UNIT_CHANGED,
    Fault,
)
from tfx_loop.monitoring.drift.data_faults.observed_feature import ObservedFeature
from tfx_loop.monitoring.drift.data_faults.ranges import out_of_range
from tfx_loop.monitoring.drift.data_faults.units import unit_change
from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.value_sample import FRESH_KEPT


def infinite_values(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Infinities where training had none, or ten times as many."""
    trained, counts = seen.profile.counts, seen.counts
    baseline = trained.infinite / max(trained.rows, 1)
    # An infinity is no matter of chance but of a division: none before is the rule, and ten times
    # as many leave room for columns that have them.
    if counts.infinite <= 10 * baseline * counts.rows:
        return None
    share = counts.infinite / max(counts.rows, 1)
    return Fault(INFINITE_VALUES, f"{counts.infinite:,} infinite values ({share:.1%})")


def all_missing(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """No value in the whole window, which training makes all but impossible."""
    if seen.counts.present:
        return None
    trained = seen.profile.counts
    # p^rows with the share of missing values that training had, as a logarithm.
    rows = seen.counts.rows / seen.missing_effects[1]
    chance = rows * math.log(_share(trained.missing, trained.rows))
    if chance >= math.log(settings.stuck_chance):
        return None
    before = trained.missing / max(trained.rows, 1)
    return Fault(
        ALL_MISSING, f"none in {seen.counts.rows:,} rows, {1 - before:.0%} have one before"
    )


def missing_flood(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Many more missing values than in training."""
    trained, counts = seen.profile.counts, seen.counts
    now, before = counts.missing / counts.rows, trained.missing / trained.rows
    much = now - before > settings.missing_rise
    # A small rise is a fault as well where it makes something rare frequent, and nobody allowed it.
    manifold = now - before > settings.missing_rise / 4 and now > 5 * before
    manifold &= not settings.missing_may_rise
    alike = replace(seen, design_effects=seen.missing_effects)
    sure = alike.surely_above(counts.missing, counts.rows, trained.missing, trained.rows)
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
    chance = counts.present / seen.design_effects[1] * math.log(baseline)
    if chance >= math.log(settings.stuck_chance):
        return None
    value = _value_of(seen, place)
    return Fault(CONSTANT_VALUE, f"{value} in all {counts.present:,} rows that have a value")


def stuck_value(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """One value for a long run of rows, and far more often than training had values like it."""
    trained, sampled, run = seen.profile.counts, seen.sampled, seen.sampled.longest_run
    if sampled.run_bin is None or run < settings.stuck_share * sampled.rows:
        return None
    baseline = trained.bins[sampled.run_bin]
    # A value that training had as often, a zero say, may come in a row by itself.
    if run / sampled.present - baseline / trained.present < settings.stuck_share / 2:
        return None
    if not seen.surely_above(run, sampled.present, baseline, trained.present):
        return None
    return Fault(STUCK_VALUE, f"one value in {run / sampled.rows:.0%} of the rows on end")


def new_category_flood(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Many values that training did not have, or hardly.

    Not of whole numbers: a year more of age is a neighbour of the others, and how far it lies from
    them is for out_of_range to say.
    """
    profile, counts = seen.profile, seen.counts
    names = profile.type is not FeatureType.INTEGER or profile.kind is FeatureType.CATEGORICAL
    if not isinstance(profile.bins, CategoryBins) or not names:
        return None
    if not counts.present:
        return None
    rare = _hardly_there(profile.counts, seen.design_effects[0])
    before, now = rare / max(profile.counts.present, 1), counts.bins[-1] / counts.present
    if now - before <= settings.new_category_rise:
        return None
    if not seen.surely_above(counts.bins[-1], counts.present, rare, profile.counts.present):
        return None
    return Fault(NEW_CATEGORY_FLOOD, f"{now:.0%} are values that the reference hardly has")


def fresh_value_flood(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Many values that training did not have, where it had more than bins.

    Rows fall into the sample by their value, so a frequent new value may be a large part of it:
    only many of them are a flood.
    """
    known, fresh = seen.profile.values, seen.fresh
    if known is None or not fresh.rows or len(fresh.keys) < FRESH_KEPT:
        return None
    # Rows of values that one row alone has estimate those of values to come (Good 1953).
    share = fresh.fresh / fresh.rows
    if share - known.single / known.rows <= settings.new_category_rise:
        return None
    if not seen.surely_above(fresh.fresh, fresh.rows, known.single, known.rows):
        return None
    return Fault(NEW_CATEGORY_FLOOD, f"about {share:.0%} are values that the reference has not")


def _hardly_there(trained: ColumnCounts, design_effect: float = 1.0) -> int:
    """Training rows whose value would have no bin, had that row not been there.

    Their share estimates that of values without a bin among new rows (Good 1953, "The population
    frequencies of species"): values seen once, and where values compete for bins those that only
    just got one.
    """
    # Where `other` has rows, values competed for bins: the last to get one had hardly more rows.
    alone = np.array(trained.bins[:-1], dtype=np.int64)
    if not len(alone):
        return trained.bins[-1]
    # Of rows in groups a value that one group has was seen once.
    once = max(1.0, design_effect)
    last = int(alone.min()) + once if trained.bins[-1] else once
    return int(trained.bins[-1] + alone[alone <= last].sum())


def unit_changed(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """The values match training once they are scaled or shifted as another unit would be."""
    unit = unit_change(seen.profile, seen.counts, seen.sampled.values)
    return Fault(UNIT_CHANGED, unit) if unit else None


def _value_of(seen: ObservedFeature, place: int) -> str:
    """The value of a bin, for a note."""
    bins = seen.profile.bins
    if isinstance(bins, CategoryBins) and place < len(bins.categories):
        return repr(bins.categories[place])
    value = seen.counts.minimum
    return "one value" if value is None else f"{value:g}"


def _share(part: int, whole: int) -> float:
    """A share that is never 0, as the next row may be the first of its kind."""
    return (part + 1) / (whole + 1)


Check = Callable[[ObservedFeature, FaultSettings], Fault | None]
# In order of what explains what: a column without a value is no constant, a changed unit puts
# values out of range, and the first that is found is told.
CHECKS: tuple[Check, ...] = (
    infinite_values,
    all_missing,
    constant_value,
    missing_flood,
    unit_changed,
    new_category_flood,
    fresh_value_flood,
    out_of_range,
    stuck_value,
)
# Of months and quarters, which stand still and then move on, whatever is well or broken.
_OF_CALENDAR: tuple[Check, ...] = (infinite_values, all_missing, missing_flood)


def find_fault(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Returns the first fault that a check names."""
    # A window of weeks has one month, and in the first of July one that training never saw.
    of_calendar = is_calendar_part(seen.profile, seen.counts)
    for check in _OF_CALENDAR if of_calendar else CHECKS:
        if fault := check(seen, settings):
            return fault
    return None
