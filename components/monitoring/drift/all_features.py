"""Effects, p-values and faults of each feature, from counts alone.

Profiles of hours merge into days and weeks, and are measured without touching a row again. Sampled
rows weigh what they stand for, and count as fewer: the tests see the effective rows.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.core.errors import DataError, did_you_mean
from tfx_loop.monitoring.drift.data_faults.checks import find_fault
from tfx_loop.monitoring.drift.data_faults.faults import (
    ABSENT_FEATURE,
    NEW_CATEGORY_FLOOD,
    NOT_IN_REFERENCE,
    TYPE_CHANGED,
)
from tfx_loop.monitoring.drift.data_faults.observed_feature import ObservedFeature
from tfx_loop.monitoring.drift.data_faults.sample_statistics import (
    SampleStatistics,
    sample_statistics,
)
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.row_dependence import RowDependence, dependence_of
from tfx_loop.monitoring.drift.statistics.single_feature import compare
from tfx_loop.monitoring.profile.columns import fits
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import NO_VALUES, FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.row_sample import sampled_column
from tfx_loop.monitoring.profile.window_profile import WindowProfile

# Of the reference's rows and of the window's; None for independent rows.
Dependence = tuple[RowDependence, RowDependence] | None
# Rise of the share of values of a wrong type from which the column, and not a few of its cells, is
# broken.
_UNFIT_SHARE = 0.01
# As many values as a sentence bears.
_SHOWN = 3
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
    # Both sides: a small reference is as little known as a small window.
    enough = min(window.rows, reference.rows_total) >= settings.min_rows
    rows = window.sample.answered()
    dependence = {p.name: _dependence(baseline, window, p.name) for p in profiles}
    features = [
        _whole(p, window, rows, settings, enough, sparse, dependence[p.name]) for p in profiles
    ]
    if baseline:
        compared = [profile for profile in profiles if profile.column != sliced_by]
        features += _slices(compared, baseline, window, settings, dependence)
    ignored = {*settings.left_out, *reference.unwatched}
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
    ignored = {*settings.left_out, *reference.ignored}
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
    dependence: Dependence,
) -> FeatureDrift:
    counts = window.total(profile.name).counts
    blank = FeatureDrift(feature=profile.name, type=(profile.kind or profile.type).value)
    # In a log a feature without a value may not be written at all, so a column that is gone can be
    # a sparse one where training missed values, too.
    if counts.absent == counts.rows and not (sparse and profile.counts.missing):
        note = did_you_mean(profile.column, window.unknown).strip()
        return replace(blank, fault=ABSENT_FEATURE, note=note)
    unfit = f"{counts.unfit:,} values are not {profile.type.value}" if counts.unfit else ""
    unfit = unfit.replace("1 values are", "1 value is") if counts.unfit == 1 else unfit
    # What training had of them, in the window's rows: such cells are the source's habit.
    before = profile.counts.unfit / max(profile.counts.rows, 1) * counts.rows
    if counts.unfit - _UNFIT_SHARE * counts.rows > before:
        return replace(blank, fault=TYPE_CHANGED, note=unfit)
    seen = _observed(profile, counts, dependence, _sampled(profile, rows))
    seen = replace(seen, fresh=window.total(profile.name).fresh)
    found = _measured(blank, seen, settings, enough, _effective(window, profile, ""), dependence)
    if found.fault == NEW_CATEGORY_FLOOD:
        found = replace(found, note=found.note + _new_values(window, profile.name))
    return replace(found, note=found.note or unfit)


def _new_values(window: WindowProfile, name: str) -> str:
    """The new values that the few rows that are kept of them have more than once."""
    kept = Counter(text for _, text in window.total(name).unseen)
    often = [repr(text) for text, times in kept.most_common(_SHOWN) if times > 1]
    return f", most often {', '.join(often)}" if often else ""


def _observed(
    profile: FeatureProfile,
    counts: ColumnCounts,
    dependence: Dependence,
    sampled: SampleStatistics | None = None,
) -> ObservedFeature:
    seen = ObservedFeature(profile, counts, sampled or SampleStatistics())
    if dependence is None:
        return seen
    before, now = dependence
    return replace(
        seen,
        design_effects=(before.design_effect, now.design_effect),
        missing_effects=(before.missing_effect, now.missing_effect),
    )


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
    dependence: Dependence,
) -> FeatureDrift:
    """Adds effects, p-value and fault; without rows enough only infinities are looked for.

    Infinities break a model however few the rows are; the other checks need shares.
    """
    counts, faults = seen.counts, settings.faults_of(feature.feature)
    feature = replace(feature, missing_share=counts.missing / max(counts.rows, 1))
    if enough:
        tolerated = faults.missing_may_rise and _missing_rise(seen) <= faults.missing_rise
        feature = compare(
            feature, seen.profile, counts, effective, dependence, with_missing=not tolerated
        )
    fault = find_fault(seen, faults) if enough or counts.infinite else None
    return replace(feature, fault=fault.code, note=fault.note) if fault else feature


def _missing_rise(seen: ObservedFeature) -> float:
    """By how much the share of missing values differs from training's, in either direction."""
    trained, counts = seen.profile.counts, seen.counts
    return abs(counts.missing / max(counts.rows, 1) - trained.missing / max(trained.rows, 1))


def _slices(
    profiles: list[FeatureProfile],
    baseline: WindowProfile,
    window: WindowProfile,
    settings: DriftSettings,
    dependence: Mapping[str, Dependence],
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
            # Of all rows: in a slice those of a group are as many at most.
            known = dependence[profile.name]
            seen = _observed(part, counts, known)
            feature = _measured(blank, seen, settings, True, effective, known)
            # A broken column is broken in all slices: told once, of all rows, it is one cause and
            # not twenty.
            found.append(replace(feature, fault=None, note=""))
    return found


def _dependence(baseline: WindowProfile | None, window: WindowProfile, name: str) -> Dependence:
    """How rows depend on each other on both sides; what one side lacks is as on the other."""
    before = dependence_of(baseline, name) if baseline else None
    now = dependence_of(window, name)
    either = before or now
    return (before or either, now or either) if either else None


def design_effects(before: WindowProfile, now: WindowProfile, name: str) -> tuple[float, float]:
    """Returns how many rows an independent row stands for, in a feature of either side."""
    known = _dependence(before, now, name)
    return (known[0].design_effect, known[1].design_effect) if known else (1.0, 1.0)


def _effective(window: WindowProfile, profile: FeatureProfile, slice_name: str) -> Any:
    """Counts scaled to the rows of equal weight that would tell as much."""
    weighted = window.weighted(profile.name, slice_name)
    # Kish 1965: rows of unequal weights tell as much as (Σ w)² / Σ w² equal ones.
    return weighted.vector * weighted.effective_rows / max(float(weighted.vector.sum()), 1.0)
