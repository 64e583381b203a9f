"""Did the features of a window move away from what the model was trained on?

A feature exceeds when Benjamini-Hochberg over the features and a bias-corrected effect floor
agree; it has drifted when it exceeds in k of the last n windows. Broken features (faults.py) are
kept apart: they take no part in the tests, and the window is a DATA_FAULT.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from components.drift_monitor import report, two_sample
from components.drift_monitor.arrivals import Arrivals, judge_arrivals
from components.drift_monitor.comparison import compare
from components.drift_monitor.faults import (
    ABSENT_FEATURE,
    NOT_IN_REFERENCE,
    TYPE_CHANGED,
    Seen,
    find_fault,
)
from components.drift_monitor.multivariate import MOST_ROWS, as_numbers, compared_together
from components.drift_monitor.report import DriftReport, FeatureDrift, Verdict, WindowHistory
from components.drift_monitor.settings import DriftSettings
from components.drift_monitor.traits import read_traits
from components.drift_monitor.window import WindowRows
from components.errors import DataError
from components.profile.aspects import aspect_of
from components.profile.columns import fits, flat, type_of
from components.profile.counts import count
from components.profile.reference import FeatureProfile, ReferenceProfile

SOURCE = "(source)"


@dataclass(frozen=True)
class Rows:
    """How many rows each side has, and how many of the window were answered with an error."""

    reference: int
    current: int
    failed: int = 0


def monitor(
    reference: ReferenceProfile,
    window: WindowRows,
    settings: DriftSettings,
    previous: DriftReport | None = None,
    sample: Any = None,
) -> DriftReport:
    """Returns the report of one window against a reference.

    Args:
        reference: The frozen profile of the model's training rows.
        window: The rows that the model answered.
        settings: When a feature has drifted.
        previous: The report of the window before, which carries the history for k of n.
        sample: Sampled training rows as a pyarrow table, to test all features together; None not
            to.
    """
    digest = reference.digest()
    arrivals = _arrived(window, settings, previous)
    features: list[FeatureDrift] = []
    if window.rows:
        features = _measured(reference, window, settings)
        if arrivals and arrivals.fault:
            # An entry of its own: the source of the rows fell silent, or came late.
            features.append(
                FeatureDrift(feature=SOURCE, type="rows", fault=arrivals.fault, note=arrivals.note)
            )
        if sample is not None:
            features += _together(reference, window, sample, features)
    past = _past(previous, window.window, digest, settings)
    ranked = judged(features, settings, past)
    rows = Rows(reference.rows_total, window.rows, window.failed_rows)
    verdict, reason, explanation = verdict_of(ranked, rows, settings)
    now = WindowHistory(
        window.window,
        tuple(f.feature for f in ranked if f.exceeded),
        tuple(f.feature for f in ranked if f.drifted),
    )
    return DriftReport(
        verdict=verdict,
        reason=reason,
        explanation=explanation,
        window=window.window,
        model_name=window.model_name,
        model_version=max(window.model_versions, default=0),
        model_versions=window.model_versions,
        reference_rows=reference.rows_total,
        current_rows=window.rows,
        failed_rows=window.failed_rows,
        features=ranked,
        skipped={skipped.name: skipped.reason for skipped in reference.skipped},
        history=(*past, now),
        reference_digest=digest,
        settings=settings.to_json(),
        longest_gap_share=arrivals.longest_gap_share if arrivals else None,
    )


def _measured(
    reference: ReferenceProfile, window: WindowRows, settings: DriftSettings
) -> list[FeatureDrift]:
    ignored = {*settings.ignore_features, *reference.ignored}
    enough = min(window.rows, reference.rows_total) >= settings.min_rows
    profiles = [f for f in reference.features if not {f.name, f.column} & ignored]
    if reference.score and settings.score_output:
        profiles.append(replace(reference.score, name=settings.score_output))
    measured = [
        measure(profile, window.columns.get(profile.column), window.rows, settings, enough)
        for profile in profiles
    ]
    known = {profile.column for profile in profiles}
    empty = {entry.name for entry in reference.skipped if entry.reason == "no_values"}
    for name in sorted(window.features - ignored - known):
        if name not in empty or window.columns[name].null_count < window.rows:
            measured.append(_unknown(name, window.columns[name]))
    return measured


def _arrived(
    window: WindowRows, settings: DriftSettings, previous: DriftReport | None
) -> Arrivals | None:
    if window.event_times_ms is None or window.end_ms <= window.start_ms:
        return None
    return judge_arrivals(
        window.event_times_ms,
        window.start_ms,
        window.end_ms,
        settings.arrivals,
        usual_rows=previous.current_rows + previous.failed_rows if previous else None,
        usual_gap_share=previous.longest_gap_share if previous else None,
    )


def _together(
    reference: ReferenceProfile, window: WindowRows, sample: Any, features: list[FeatureDrift]
) -> list[FeatureDrift]:
    whole = {f.feature for f in features if f.p_value is not None and not f.fault}
    names: list[str] = []
    sides: tuple[list[Any], list[Any]] = ([], [])
    step = max(1, window.rows // MOST_ROWS)
    for profile in reference.features:
        if profile.name not in whole or profile.name not in sample.column_names:
            continue
        names.append(profile.name)
        sides[0].append(as_numbers(flat(sample.column(profile.name)), profile))
        column = window.columns.get(profile.name)
        column = pa.nulls(window.rows) if column is None else flat(column)
        sides[1].append(as_numbers(column, profile)[::step])
    found = compared_together(names, *sides)
    return [found] if found else []


def _unknown(name: str, column: Any) -> FeatureDrift:
    try:
        kind = type_of(flat(column))
    except DataError:
        kind = None
    return FeatureDrift(
        feature=name, type=kind.value if kind else "unknown", fault=NOT_IN_REFERENCE
    )


def measure(
    profile: FeatureProfile, column: Any, rows: int, settings: DriftSettings, enough: bool
) -> FeatureDrift:
    """Measures one feature of a window of `rows`; p-value and effects only with `enough` rows."""
    blank = FeatureDrift(feature=profile.name, type=profile.type.value)
    if column is None and profile.counts.missing:
        # A rare feature that no request of the window carried has no column in the log.
        column = pa.nulls(rows)
    if column is None:
        return replace(blank, fault=ABSENT_FEATURE)
    try:
        column = aspect_of(column, profile.aspect)
    except DataError:
        return replace(blank, fault=TYPE_CHANGED)
    if not fits(column, profile.type):
        return replace(blank, fault=TYPE_CHANGED)
    counts = count(column, profile.type, profile.bins)
    traits = read_traits(column, profile.type, profile.bins)
    return judge_counts(Seen(profile, counts, traits), settings, enough)


def judge_counts(
    seen: Seen, settings: DriftSettings, enough: bool, effective: Any = None
) -> FeatureDrift:
    """Returns effects, p-value and fault of one feature's counts.

    Args:
        seen: Training and window.
        settings: When a feature is broken.
        enough: Both sides have rows enough to test; otherwise only infinities are looked for.
        effective: Counts scaled to effective rows, where rows were sampled (comparison.py).
    """
    profile, counts = seen.profile, seen.counts
    feature = FeatureDrift(
        feature=profile.name,
        type=profile.type.value,
        missing_share=counts.missing / max(counts.rows, 1),
    )
    if enough:
        feature = compare(feature, profile, counts, effective)
    # Infinities break a model however few the rows are; the other checks need shares.
    fault = find_fault(seen, settings.faults) if enough or counts.infinite else None
    return replace(feature, fault=fault.code, note=fault.note) if fault else feature


def judged(
    features: Sequence[FeatureDrift],
    settings: DriftSettings,
    past: Sequence[WindowHistory] = (),
) -> tuple[FeatureDrift, ...]:
    """Returns the features with q-values over all of them and what drifted, by rank."""
    return tuple(
        sorted((_judged(f, past, settings) for f in _tested(features, settings)), key=_rank)
    )


def _tested(features: Sequence[FeatureDrift], settings: DriftSettings) -> list[FeatureDrift]:
    family = [f for f in features if f.p_value is not None and not f.fault]
    q_values = two_sample.benjamini_hochberg(
        np.array([f.p_value for f in family], dtype=np.float64)
    )
    found = {(f.slice, f.feature): float(q) for f, q in zip(family, q_values, strict=True)}
    return [
        _exceeding(replace(f, q_value=found[key]), settings) if key in found else f
        for f in features
        for key in [(f.slice, f.feature)]
    ]


def _exceeding(
    feature: FeatureDrift, settings: DriftSettings, floor_share: float = 1.0
) -> FeatureDrift:
    if (feature.q_value or 0.0) >= settings.q:
        return feature
    held = None
    if feature.psi_bound is not None and feature.psi_bound < settings.psi_floor * floor_share:
        held = report.EFFECT_FLOOR
    elif (feature.psi_corrected or 0.0) < settings.season_floors.get(feature.feature, -math.inf):
        held = report.SEASON
    return replace(feature, exceeded=held is None, held_by=held)


def _past(
    previous: DriftReport | None, window: str, digest: str, settings: DriftSettings
) -> tuple[WindowHistory, ...]:
    """The windows before this one on the same reference; a new reference starts anew."""
    if previous is None or previous.reference_digest != digest:
        return ()
    others = tuple(past for past in previous.history if past.window != window)
    return others[len(others) - min(len(others), max(settings.windows_looked_at - 1, 1)) :]


def _judged(
    feature: FeatureDrift, past: Sequence[WindowHistory], settings: DriftSettings
) -> FeatureDrift:
    if feature.q_value is not None and past and feature.feature in past[-1].drifted:
        feature = _exceeding(feature, settings, settings.release)
        return replace(feature, drifted=feature.exceeded)
    times = feature.exceeded + sum(feature.feature in entry.exceeded for entry in past)
    drifted = feature.exceeded and times >= settings.windows_needed
    held = report.K_OF_N if feature.exceeded and not drifted else feature.held_by
    return replace(feature, drifted=drifted, held_by=held)


def verdict_of(
    features: Sequence[FeatureDrift],
    rows: Rows,
    settings: DriftSettings,
) -> tuple[Verdict, str, str]:
    """Returns the verdict on judged features, its reason and the same in a sentence."""
    faulty = [f"{_name(f)} ({f.fault})" for f in features if f.fault]
    whole = {f.feature for f in features if f.drifted and not f.slice}
    drifted = [_name(f) for f in features if f.drifted and (not f.slice or f.feature not in whole)]
    measured = {f.feature for f in features if f.p_value is not None or f.fault}
    if not rows.current:
        text = f"No answered row in the window; {rows.failed} were answered with an error."
        return Verdict.NOT_ENOUGH_DATA, report.EMPTY_WINDOW, text
    if faulty:
        text = (
            f"Broken: {', '.join(faulty)}. Mend the source of the data, or name what moves "
            "legitimately in ignore_features."
        )
        return Verdict.DATA_FAULT, report.FEATURES_FAULTY, text
    for count_, reason, whose in (
        (rows.current, report.TOO_FEW_ROWS, "The window"),
        (rows.reference, report.TOO_FEW_REFERENCE_ROWS, "The reference"),
    ):
        if features and count_ < settings.min_rows:
            text = f"{whose} has {count_} rows; {settings.min_rows} are needed to test for drift."
            return Verdict.NOT_ENOUGH_DATA, reason, text
    if not measured:
        text = "There is no feature to compare: the reference has none that is not ignored."
        return Verdict.NOT_ENOUGH_DATA, report.NO_FEATURES, text
    if drifted:
        moved = {f.feature for f in features if f.drifted}
        text = f"{len(moved)} of {len(measured)} features drifted: {', '.join(drifted)}."
        return Verdict.DRIFT, report.FEATURES_DRIFTED, text
    return Verdict.STABLE, report.NO_DRIFT, f"None of {len(measured)} features drifted."


def _name(feature: FeatureDrift) -> str:
    return f"{feature.feature} where {feature.slice}" if feature.slice else feature.feature


def _rank(feature: FeatureDrift) -> tuple[bool, bool, float, str, str]:
    effect = -(feature.psi_corrected or 0.0)
    return not feature.fault, not feature.drifted, effect, feature.feature, feature.slice
