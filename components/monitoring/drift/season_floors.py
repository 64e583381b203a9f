"""Season floors: how far a feature moves anyway, measured on windows of rows that did not drift.

Mondays are not Sundays and December is not June. The training rows are cut into windows as long as
the one that is judged; how far each lies from all the others is what the data do by themselves, and
the floor that a new window has to exceed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
from scipy import special

from tfx_loop.contracts.drift_report import DriftResult, named
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.single_feature import effect
from tfx_loop.monitoring.profile.counts import IntArray
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

# Two months of days: older ones say less of this season.
MOST_WINDOWS = 60
# A last window that is shorter than this is left out: it would vary more than whole ones do.
_LEAST_SHARE = 2 / 3
# By the length of a name: how it is written, and its milliseconds.
_FORMATS = {10: ("%Y-%m-%d", 86_400_000), 13: ("%Y-%m-%dT%H", 3_600_000)}


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
        # Student's t: the deviation is known from these few windows alone (Hahn and Meeker 1991,
        # "Statistical intervals", chapter 4).
        limit = float(special.stdtrit(len(seen) - 1, confidence))
        # A prediction interval of one more window: its own variance, and that of the mean of the
        # others.
        margin = limit * float(seen.std(ddof=1)) * np.sqrt(1 + 1 / len(seen))
        # The largest that was seen without drift is no drift, whatever a normal would say.
        floors[name] = float(max(seen.max(), seen.mean() + margin))
    return floors


def with_training_floors(
    settings: DriftSettings, reference: FrozenProfile, trained: WindowProfile, length_ms: int
) -> DriftSettings:
    """Returns the settings with floors of the training rows; floors that are set go before them."""
    floors = training_floors(reference, trained, length_ms, settings.min_rows)
    return replace(settings, season_floors={**floors, **settings.season_floors})


def training_floors(
    reference: FrozenProfile,
    trained: WindowProfile,
    length_ms: int,
    # As DriftSettings.min_rows: floors are for windows that are tested.
    min_rows: int = 100,
) -> dict[str, float]:
    """Returns what windows of the training rows, each against all others, show without drift.

    Args:
        reference: Whose bins were counted on.
        trained: Counts of the training rows by day or hour (training_counts.py).
        length_ms: How long the judged windows are, in milliseconds.
        min_rows: Windows with fewer rows, here or in all others, are left out.

    Returns:
        Floors by feature, and by feature and slice as `x where site=south`; none where the training
        rows do not hold two such windows, or were counted by longer ones than those judged.
    """
    floors: dict[str, float] = {}
    for name in ("", *trained.slices):
        found = _floors(reference, _windows(reference, trained, name, length_ms), min_rows)
        floors |= {named(feature, name): floor for feature, floor in found.items()}
    return floors


def window_floors(
    reference: FrozenProfile, windows: Sequence[WindowProfile], min_rows: int = 100
) -> dict[str, float]:
    """Returns what windows of the reference's rows, each against all others, show without drift.

    Args:
        reference: Whose bins were counted on.
        windows: Its rows, cut as those that are judged.
        min_rows: Windows with fewer rows, here or in all others, are left out.

    Returns:
        Floors by feature; none where there are no two such windows.
    """
    counts = [
        {profile.name: window.total(profile.name).counts.vector() for profile in reference.features}
        for window in windows
        if window.rows
    ]
    return _floors(reference, counts, min_rows)


def _floors(
    reference: FrozenProfile, windows: list[dict[str, IntArray]], min_rows: int
) -> dict[str, float]:
    found = []
    for window in windows[-MOST_WINDOWS:]:
        effects = {}
        for profile in reference.features:
            now = window[profile.name]
            # Without itself: a window that is part of what it is compared with differs less than a
            # new one.
            others = np.sum([w[profile.name] for w in windows], axis=0) - now
            if min(now.sum(), others.sum()) >= min_rows:
                effects[profile.name] = effect(profile, others, now)
        if effects:
            found.append(effects)
    return season_floors(found) if len(found) > 1 else {}


def _windows(
    reference: FrozenProfile, trained: WindowProfile, slice_name: str, length_ms: int
) -> list[dict[str, IntArray]]:
    """Counts by feature of each window of about that length, in order of time."""
    together: dict[int, list[str]] = defaultdict(list)
    cells = {key.window: cell for key, cell in trained.cells.items() if key.slice == slice_name}
    names = set(cells) - {""}
    first = min((_begin(name) for name in names), default=0)
    step = next((_FORMATS[len(name)][1] for name in names), 0)
    # Profiles know days or hours: windows shorter than that cannot be put together from them.
    if not step or round(length_ms / step) < 1:
        return []
    units = round(length_ms / step)
    for name in sorted(names):
        together[(_begin(name) - first) // (units * step)].append(name)
    last = max(together)
    end = max(_begin(name) for name in names) + step - first
    if end - last * units * step < _LEAST_SHARE * units * step:
        del together[last]
    return [
        {
            profile.name: np.sum(
                [cells[name].features[profile.name].counts.vector() for name in members], axis=0
            )
            for profile in reference.features
        }
        for members in together.values()
    ]


def _begin(name: str) -> int:
    """The begin of a day or hour, in milliseconds."""
    parsed = datetime.strptime(name, _FORMATS[len(name)][0]).replace(tzinfo=timezone.utc)
    return int(parsed.timestamp()) * 1000


def effects_of_reports(reports: Iterable[DriftResult]) -> list[dict[str, float]]:
    """Returns the corrected PSI by feature of earlier windows of the season, from their reports."""
    return [
        {
            feature.feature: feature.psi_corrected
            for feature in report.features
            if feature.psi_corrected is not None and not (feature.fault or feature.slice)
        }
        for report in reports
    ]
