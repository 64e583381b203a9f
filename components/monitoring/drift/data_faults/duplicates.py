"""Flood of repeated rows: many more than the training rows had."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.monitoring.drift.data_faults.faults import (
    ABSENT_FEATURE,
    ALL_MISSING,
    CONSTANT_VALUE,
    DUPLICATE_FLOOD,
    INFINITE_VALUES,
    MISSING_FLOOD,
    STUCK_VALUE,
    TYPE_CHANGED,
)
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.profile.profiler import MOST_TELLING
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.row_contents import RowContents
from tfx_loop.monitoring.profile.row_sample import sampled_column

WHOLE_ROWS = "(rows)"
# Share of the rows from which one content is common.
_COMMON_SHARE = 0.01
# Columns of one table depend on each other a little: twice as many pairs are still theirs.
_SLACK = 2.0
_MAKES_ALIKE = {
    *(ABSENT_FEATURE, TYPE_CHANGED, ALL_MISSING, MISSING_FLOOD),
    *(CONSTANT_VALUE, STUCK_VALUE, INFINITE_VALUES),
}


def duplicate_flood(
    reference: RowContents,
    current: RowContents,
    settings: DriftSettings,
    features: Iterable[FeatureDrift],
    profiles: Sequence[FeatureProfile] = (),
    sample: Any = None,
    grouped: bool = False,
) -> list[FeatureDrift]:
    """Returns an entry of its own for a flood of repeated rows; none where there is none.

    A feature that lost its values makes rows alike: then its own fault says enough. So does a value
    that became common in a table of few columns, and that is drift.

    Args:
        reference: Which of its rows repeat.
        current: The same of the rows that came since.
        settings: How many more are a flood.
        features: What was found of each feature.
        profiles: The features by which rows are told apart.
        sample: Sampled current rows as a pyarrow table; None where there are none.
        grouped: Rows come in whole groups, whose rows may be alike.
    """
    if min(reference.rows, current.rows) < settings.min_rows:
        return []
    if any(feature.fault in _MAKES_ALIKE for feature in features):
        return []
    rise, most = duplicate_rise(reference, current), settings.fault_settings.duplicate_rise
    if grouped:
        # A part of the reference's rows has parts of its groups, and the window has whole ones.
        rise = reference.distinct_share(reference.rows) - current.distinct_share(current.rows)
    if rise > most and _common_by_chance(current, profiles, sample):
        rise = duplicate_rise(_without_common(reference), _without_common(current))
    if rise <= most:
        return []
    note = f"{rise:.0%} more of the rows repeat another row than in the reference"
    return [FeatureDrift(feature=WHOLE_ROWS, type="rows", fault=DUPLICATE_FLOOD, note=note)]


def _common_by_chance(
    current: RowContents, profiles: Sequence[FeatureProfile], sample: Any
) -> bool:
    """Says whether rows are alike as often as columns that know nothing of each other make them.

    That is the product of the columns' own shares of equal pairs. It explains what is common, and
    not contents that are there twice or thrice each: these are rows that were written anew.
    """
    most = int(current.counts.max(initial=0))
    if sample is None or most < _COMMON_SHARE * current.rows or len(profiles) > MOST_TELLING:
        return False
    alike = 1.0
    for profile in profiles:
        column = None if profile.aspect else sampled_column(sample, profile)
        if column is None or len(column) < 2:
            return False
        counts = pc.value_counts(column).field("counts").to_numpy().astype(float)
        alike *= float((counts * (counts - 1)).sum()) / (len(column) * (len(column) - 1))
    # Of all pairs of rows, those that are alike; of independent columns it is the product of each
    # column's own.
    found = current.equal_pairs() / (current.rows * (current.rows - 1) / 2)
    return found <= _SLACK * alike


def _without_common(contents: RowContents) -> RowContents:
    rare = contents.counts < _COMMON_SHARE * contents.rows
    left = contents.rows - int(contents.counts[~rare].sum())
    return replace(contents, rows=left, keys=contents.keys[rare], counts=contents.counts[rare])


def duplicate_rise(reference: RowContents, current: RowContents) -> float:
    """Returns by how much the share of repeated rows rose, in [-1, 1]; 0 where chance explains it.

    Compared at the size of the smaller side; a larger current side also with the repetitions that
    the reference's equal pairs allow it, as pairs grow with the square of the rows.
    """
    rows = min(reference.rows, current.rows)
    before = 1 - reference.distinct_share(rows)
    now = 1 - current.distinct_share(rows)
    kept = max(min(int(reference.counts.sum()), int(current.counts.sum())), 1)
    # Four deviations of a Poisson number of repetitions among the kept rows, on both sides; with 10
    # more, so that a few beside none are chance.
    noise = 4 * np.sqrt(2 * (before * kept + 10)) / kept
    rise = now - before if now - before > noise else 0.0
    if current.rows <= reference.rows:
        return rise
    # Likewise four deviations above the equal pairs that the reference had.
    pairs = reference.equal_pairs()
    most = (pairs + 4 * np.sqrt(pairs) + 4) * (current.rows / reference.rows) ** 2
    allowed = min(1.0, most / current.rows)
    return float(max(rise, 1 - current.distinct_share(current.rows) - allowed))
