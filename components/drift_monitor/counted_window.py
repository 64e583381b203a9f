"""What moved, from a window's counts alone?

Profiles of hours merge into days and weeks, and are judged without touching a row again. Sampled
rows weigh what they stand for, and count as fewer: the tests see the effective rows.
"""

from dataclasses import dataclass, replace
from typing import Any

from components.drift_monitor.drift import Rows, judge_counts, judged, verdict_of
from components.drift_monitor.faults import ABSENT_FEATURE, NOT_IN_REFERENCE, TYPE_CHANGED, Seen
from components.drift_monitor.report import FeatureDrift, Verdict, WindowHistory
from components.drift_monitor.settings import DriftSettings
from components.errors import DataError
from components.profile.reference import FeatureProfile, ReferenceProfile
from components.profile.window_profile import WindowProfile

_UNFIT = 0.01


@dataclass(frozen=True)
class Judgement:
    """What the counts of a window come to.

    Attributes:
        verdict: As a DriftReport has it.
        reason: As a DriftReport has it.
        explanation: The same in a sentence.
        features: By rank, slices among them.
    """

    verdict: Verdict
    reason: str
    explanation: str
    features: tuple[FeatureDrift, ...]


def judge_profile(
    reference: ReferenceProfile,
    window: WindowProfile,
    settings: DriftSettings,
    *,
    usual: WindowProfile | None = None,
    past: tuple[WindowHistory, ...] = (),
) -> Judgement:
    """Judges the counts of a window against a reference.

    Args:
        reference: The frozen profile of the training rows.
        window: Counts on its bins, merged from however many parts.
        settings: When a feature has drifted.
        usual: Counts of training rows by slice, to compare slices with; None for no slices.
        past: The windows before, for k of n.

    Raises:
        DataError: The window was counted on another reference.
    """
    if window.cells and window.reference != reference.digest():
        raise DataError(
            f"Expected counts on the bins of {reference.digest()}, received counts on "
            f"{window.reference}. Profile the window with the reference of its own model."
        )
    ignored = {*settings.ignore_features, *reference.ignored}
    profiles = [p for p in reference.features if not {p.name, p.column} & ignored]
    features: list[FeatureDrift] = []
    if window.rows:
        enough = min(window.rows, reference.rows_total) >= settings.min_rows
        features = [_judged_whole(profile, window, settings, enough) for profile in profiles]
        features += _judged_slices(profiles, usual, window, settings) if usual else []
        features += [
            FeatureDrift(feature=name, type="unknown", fault=NOT_IN_REFERENCE)
            for name, rows in sorted(window.unknown.items())
            if rows and name not in ignored
        ]
    ranked = judged(features, settings, past)
    rows = Rows(reference.rows_total, window.rows, window.failed_rows)
    return Judgement(*verdict_of(ranked, rows, settings), ranked)


def _judged_whole(
    profile: FeatureProfile, window: WindowProfile, settings: DriftSettings, enough: bool
) -> FeatureDrift:
    counts = window.total(profile.name).counts
    blank = FeatureDrift(feature=profile.name, type=(profile.kind or profile.type).value)
    if counts.absent == counts.rows and not profile.counts.missing:
        return replace(blank, fault=ABSENT_FEATURE)
    if counts.unfit > _UNFIT * counts.rows:
        note = f"{counts.unfit:,} values are not {profile.type.value}"
        return replace(blank, fault=TYPE_CHANGED, note=note)
    found = judge_counts(Seen(profile, counts), settings, enough, _effective(window, profile, ""))
    return replace(found, type=blank.type)


def _judged_slices(
    profiles: list[FeatureProfile],
    usual: WindowProfile,
    window: WindowProfile,
    settings: DriftSettings,
) -> list[FeatureDrift]:
    """Slices with rows enough on both sides; a fault is told once, for all rows."""
    found = []
    for name in sorted(set(usual.slices) & set(window.slices)):
        for profile in profiles:
            trained = usual.total(profile.name, name).counts
            counts = window.total(profile.name, name).counts
            if min(trained.rows, counts.rows) < settings.min_rows:
                continue
            part = replace(profile, counts=trained)
            effective = _effective(window, profile, name)
            feature = judge_counts(Seen(part, counts), settings, True, effective)
            kind = (profile.kind or profile.type).value
            found.append(replace(feature, type=kind, slice=name, fault=None, note=""))
    return found


def _effective(window: WindowProfile, profile: FeatureProfile, slice_name: str) -> Any:
    weighted = window.weighted(profile.name, slice_name)
    return weighted.vector * weighted.effective_rows / max(float(weighted.vector.sum()), 1.0)
