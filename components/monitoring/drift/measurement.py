"""Effects, p-values and faults of each feature, from counts alone.

Profiles of hours merge into days and weeks, and are measured without touching a row again. Sampled
rows weigh what they stand for, and count as fewer: the tests see the effective rows.
"""

from dataclasses import replace
from typing import Any

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.drift.data_faults.faults import (
    ABSENT_FEATURE,
    NOT_IN_REFERENCE,
    TYPE_CHANGED,
    ObservedFeature,
    find_fault,
)
from tfx_loop.monitoring.drift.data_faults.sample_statistics import (
    SampleStatistics,
    sample_statistics,
)
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.comparison import compare
from tfx_loop.monitoring.profile.columns import fits
from tfx_loop.monitoring.profile.reference import NO_VALUES, FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.row_sample import sampled_column
from tfx_loop.monitoring.profile.window_profile import WindowProfile

# Rise of the share of values of a wrong type from which the column, and not a few of its cells, is
# broken.
_UNFIT_SHARE = 0.01
# Nothing that the reference is about uses such a column.
NEW_COLUMN = "new: the reference has no such column"


def measure(
    reference: FrozenProfile,
    window: WindowProfile,
    settings: DriftSettings,
    *,
    baseline: WindowProfile | None = None,
    sparse: bool = True,
    sliced_by: str = "",
) -> list[FeatureDrift]:
    """Measures the features of a window against a reference.

    Args:
        reference: The frozen profile of the training rows.
        window: Counts on its bins, merged from however many parts.
        settings: What to measure, and when a feature is broken.
        baseline: Counts of training rows by slice, to compare slices with; None for no slices.
        sparse: Whether a column that is not there at all may be one whose values are all missing,
            as in a log; False where a table would have the column.
        sliced_by: Column that makes the slices, besides those that a slice's name begins with.

    Returns:
        Effects and p-values of all rows and of slices, faults, and what the reference lacks.

    Raises:
        DataError: The window, or the baseline, was counted on another reference.
    """
    for counted in filter(None, (window, baseline)):
        if counted.cells and counted.reference != reference.digest():
            raise DataError(
                f"Expected counts on the bins of {reference.digest()}, received counts on "
                f"{counted.reference}. Profile the window with the reference of its own model."
            )
    if not window.rows:
        return []
    profiles = watched(reference, settings)
    enough = min(window.rows, reference.rows_total) >= settings.min_rows
    rows = window.sample.answered()
    features = [_whole(p, window, rows, settings, enough, sparse) for p in profiles]
    if baseline:
        compared = [profile for profile in profiles if profile.column != sliced_by]
        features += _slices(compared, baseline, window, settings)
    ignored = {*settings.ignore_features, *reference.unwatched}
    empty = {skipped.name for skipped in reference.skipped if skipped.reason == NO_VALUES}
    features += [
        # The model takes a feature that training had without a value: what came of it is unknown.
        FeatureDrift(
            feature=name,
            type="unknown",
            fault=NOT_IN_REFERENCE if name in empty else None,
            note="" if name in empty else NEW_COLUMN,
        )
        for name in sorted(window.unknown)
        if name not in ignored
    ]
    return features


def watched(reference: FrozenProfile, settings: DriftSettings) -> list[FeatureProfile]:
    """Returns the features that are compared, the model's score last, under its log column."""
    ignored = {*settings.ignore_features, *reference.ignored}
    profiles = [p for p in reference.features if not {p.name, p.column} & ignored]
    if reference.score and settings.score_output:
        profiles.append(replace(reference.score, name=settings.score_output))
    return profiles


def _whole(
    profile: FeatureProfile,
    window: WindowProfile,
    rows: Any,
    settings: DriftSettings,
    enough: bool,
    sparse: bool,
) -> FeatureDrift:
    counts = window.total(profile.name).counts
    blank = FeatureDrift(feature=profile.name, type=(profile.kind or profile.type).value)
    if counts.absent == counts.rows and not (sparse and profile.counts.missing):
        return replace(blank, fault=ABSENT_FEATURE)
    unfit = f"{counts.unfit:,} values are not {profile.type.value}" if counts.unfit else ""
    before = profile.counts.unfit / max(profile.counts.rows, 1) * counts.rows
    if counts.unfit - _UNFIT_SHARE * counts.rows > before:
        return replace(blank, fault=TYPE_CHANGED, note=unfit)
    seen = ObservedFeature(profile, counts, _sampled(profile, rows))
    found = _measured(blank, seen, settings, enough, _effective(window, profile, ""))
    return replace(found, note=found.note or unfit)


def _sampled(profile: FeatureProfile, rows: Any) -> SampleStatistics:
    if rows is None:
        return SampleStatistics()
    column = sampled_column(rows, profile)
    if column is None or not fits(column, profile.type):
        return SampleStatistics()
    return sample_statistics(column, profile.type, profile.bins)


def _measured(
    feature: FeatureDrift,
    seen: ObservedFeature,
    settings: DriftSettings,
    enough: bool,
    effective: Any,
) -> FeatureDrift:
    """Adds effects, p-value and fault; without rows enough only infinities are looked for.

    Infinities break a model however few the rows are; the other checks need shares.
    """
    counts = seen.counts
    feature = replace(feature, missing_share=counts.missing / max(counts.rows, 1))
    if enough:
        feature = compare(feature, seen.profile, counts, effective)
    fault = find_fault(seen, settings.fault_settings) if enough or counts.infinite else None
    return replace(feature, fault=fault.code, note=fault.note) if fault else feature


def _slices(
    profiles: list[FeatureProfile],
    baseline: WindowProfile,
    window: WindowProfile,
    settings: DriftSettings,
) -> list[FeatureDrift]:
    """Slices with rows enough on both sides; a fault is told once, for all rows."""
    found = []
    for name in sorted(set(baseline.slices) & set(window.slices)):
        for profile in profiles:
            if not baseline.has(profile.name, name) or name.startswith(f"{profile.column}="):
                continue
            trained = baseline.total(profile.name, name).counts
            counts = window.total(profile.name, name).counts
            if min(trained.rows, counts.rows) < settings.min_rows:
                continue
            part = replace(profile, counts=trained)
            kind = (profile.kind or profile.type).value
            blank = FeatureDrift(feature=profile.name, type=kind, slice=name)
            effective = _effective(window, profile, name)
            feature = _measured(blank, ObservedFeature(part, counts), settings, True, effective)
            found.append(replace(feature, fault=None, note=""))
    return found


def _effective(window: WindowProfile, profile: FeatureProfile, slice_name: str) -> Any:
    """Counts scaled to the rows of equal weight that would tell as much."""
    weighted = window.weighted(profile.name, slice_name)
    return weighted.vector * weighted.effective_rows / max(float(weighted.vector.sum()), 1.0)
