"""Which of the measured features drifted, and what does that make of the window?

A feature exceeds when Benjamini-Hochberg over features and slices and a bias-corrected effect
floor agree; it has drifted when it exceeds in k of the last n windows. Broken features (faults.py)
take no part in the tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfx_loop.monitoring.drift import report
from tfx_loop.monitoring.drift.report import FeatureDrift, Verdict, WindowHistory
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics import two_sample


@dataclass(frozen=True)
class Rows:
    """How many rows each side has, and how many of the window were answered with an error."""

    reference: int
    current: int
    failed: int = 0


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
    elif (feature.psi_corrected or 0.0) < _season_floor(feature, settings):
        held = report.SEASON
    return replace(feature, exceeded=held is None, held_by=held)


def _season_floor(feature: FeatureDrift, settings: DriftSettings) -> float:
    """The floor of the slice, if there is one, else that of all rows."""
    of_all = settings.season_floors.get(feature.feature, -math.inf)
    return settings.season_floors.get(feature.title, of_all)


def _judged(
    feature: FeatureDrift, past: Sequence[WindowHistory], settings: DriftSettings
) -> FeatureDrift:
    name = feature.title
    if feature.q_value is not None and past and name in past[-1].drifted:
        feature = _exceeding(feature, settings, settings.release)
        return replace(feature, drifted=feature.exceeded)
    times = feature.exceeded + sum(name in entry.exceeded for entry in past)
    drifted = feature.exceeded and times >= settings.windows_needed
    held = report.K_OF_N if feature.exceeded and not drifted else feature.held_by
    return replace(feature, drifted=drifted, held_by=held)


def verdict_of(
    features: Sequence[FeatureDrift],
    rows: Rows,
    settings: DriftSettings,
) -> tuple[Verdict, str, str]:
    """Returns the verdict on judged features, its reason and the same in a sentence."""
    faulty = [f"{f.title} ({f.fault})" for f in features if f.fault]
    whole = {f.feature for f in features if f.drifted and not f.slice}
    drifted = [f.title for f in features if f.drifted and (not f.slice or f.feature not in whole)]
    measured = {f.feature for f in features if f.p_value is not None or f.fault}
    if not rows.current:
        text = "There is no row in the window."
        if rows.failed:
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


def _rank(feature: FeatureDrift) -> tuple[bool, bool, float, str, str]:
    effect = -(feature.psi_corrected or 0.0)
    return not feature.fault, not feature.drifted, effect, feature.feature, feature.slice
