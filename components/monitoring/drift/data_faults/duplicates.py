"""Flood of repeated rows: many more than the training rows had."""

from collections.abc import Iterable

import numpy as np

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
from tfx_loop.monitoring.profile.row_contents import RowContents

WHOLE_ROWS = "(rows)"
_MAKES_ALIKE = {
    *(ABSENT_FEATURE, TYPE_CHANGED, ALL_MISSING, MISSING_FLOOD),
    *(CONSTANT_VALUE, STUCK_VALUE, INFINITE_VALUES),
}


def duplicate_flood(
    reference: RowContents,
    current: RowContents,
    settings: DriftSettings,
    features: Iterable[FeatureDrift],
) -> list[FeatureDrift]:
    """Returns an entry of its own for a flood of repeated rows; none where there is none.

    A feature that lost its values makes rows alike: then its own fault says enough.
    """
    if min(reference.rows, current.rows) < settings.min_rows:
        return []
    if any(feature.fault in _MAKES_ALIKE for feature in features):
        return []
    rise = duplicate_rise(reference, current)
    if rise <= settings.fault_settings.duplicate_rise:
        return []
    note = f"{rise:.0%} more of the rows repeat another row than in the reference"
    return [FeatureDrift(feature=WHOLE_ROWS, type="rows", fault=DUPLICATE_FLOOD, note=note)]


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
