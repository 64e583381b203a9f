"""How far does a feature move in this season anyway? Measured on held-out windows of that season.

December is not June, and a reference of a whole year says so every year. What windows of the same
season showed before is the floor that a new one has to exceed.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import special

from components.drift_monitor.comparison import compare
from components.drift_monitor.report import DriftReport, FeatureDrift
from components.errors import ConfigError
from components.profile.counts import ColumnCounts
from components.profile.reference import ReferenceProfile


def season_floors(
    effects: Iterable[Mapping[str, float]], confidence: float = 0.95
) -> dict[str, float]:
    """Returns the corrected PSI below which a feature is within what its season shows.

    The upper prediction limit for one more window, mean + t · s · √(1 + 1/k), or the largest seen
    where that is more.

    Args:
        effects: Corrected PSI by feature, one mapping a held-out window, at least two windows.
        confidence: Chance that one more window of the season stays below, in (0, 1).

    Raises:
        ConfigError: There are fewer than two windows.
    """
    windows = list(effects)
    if len(windows) < 2:
        raise ConfigError(
            f"Expected at least 2 held-out windows of a season, received {len(windows)}. "
            "Give more, or go without season_floors."
        )
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be between 0 and 1, got {confidence}.")
    floors = {}
    for name in sorted(set().union(*windows)):
        seen = np.array([window[name] for window in windows if name in window])
        if len(seen) < 2:
            continue
        limit = float(special.stdtrit(len(seen) - 1, confidence))
        margin = limit * float(seen.std(ddof=1)) * np.sqrt(1 + 1 / len(seen))
        floors[name] = float(max(seen.max(), seen.mean() + margin))
    return floors


def effects_of_windows(
    reference: ReferenceProfile, windows: Sequence[Mapping[str, ColumnCounts]]
) -> list[dict[str, float]]:
    """Returns the corrected PSI by feature of each window's counts on the reference's bins."""
    profiles = {profile.name: profile for profile in reference.features}
    found = []
    for window in windows:
        compared = {
            name: compare(FeatureDrift(feature=name, type=""), profiles[name], counts)
            for name, counts in window.items()
            if name in profiles
        }
        found.append({name: feature.psi_corrected or 0.0 for name, feature in compared.items()})
    return found


def effects_of_reports(reports: Iterable[DriftReport]) -> list[dict[str, float]]:
    """Returns the corrected PSI by feature of earlier windows of the season, from their reports."""
    return [
        {
            feature.feature: feature.psi_corrected
            for feature in report.features
            if feature.psi_corrected is not None and not feature.fault
        }
        for report in reports
    ]
