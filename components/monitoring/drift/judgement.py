"""Verdict on measured features: false discovery rate, effect floors, k of the last n windows.

A feature exceeds when Benjamini-Hochberg over features and slices and a bias-corrected effect
floor agree; it has drifted when it exceeds in k of the last n windows. Broken features (faults.py)
take no part in the tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfx_loop.contracts import drift_report
from tfx_loop.contracts.drift_report import ComparedRows, DriftVerdict, FeatureDrift, WindowHistory
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics import two_sample


@dataclass(frozen=True, kw_only=True)
class DriftJudgement:
    """The verdict on a comparison and the facts that it rests on; explanation.py words it.

    Attributes:
        verdict: What the current rows are, seen from the reference.
        reason: A constant of contracts.drift_report.
        features: Broken ones first, then by corrected effect, the largest first.
        rows: Of both sides.
        min_rows: Rows below which neither side was tested.
    """

    verdict: DriftVerdict
    reason: str
    features: tuple[FeatureDrift, ...]
    rows: ComparedRows
    min_rows: int

    @property
    def faulty(self) -> tuple[FeatureDrift, ...]:
        """The broken features."""
        return tuple(feature for feature in self.features if feature.fault)

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """What drifted, in all rows or in a slice."""
        return tuple(feature for feature in self.features if feature.drifted)

    @property
    def measured(self) -> frozenset[str]:
        """Names of the features that were tested or found broken."""
        return frozenset(f.feature for f in self.features if f.p_value is not None or f.fault)


def judge(
    features: Sequence[FeatureDrift],
    rows: ComparedRows,
    settings: DriftSettings,
    past: Sequence[WindowHistory] = (),
) -> DriftJudgement:
    """Returns the verdict on measured features, with q-values over all of them.

    Args:
        features: What was measured, in any order; without any where there are no current rows.
        rows: How many rows that rests on.
        settings: When a feature has drifted.
        past: The windows before this one on the same reference, the newest last.
    """
    ranked = tuple(
        sorted((_over_windows(f, past, settings) for f in _tested(features, settings)), key=_rank)
    )
    verdict, reason = _verdict(ranked, rows, settings)
    return DriftJudgement(
        verdict=verdict, reason=reason, features=ranked, rows=rows, min_rows=settings.min_rows
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
    # The upper bound of PSI, not PSI: a difference is too small to matter only when that is sure,
    # or small windows would never alarm.
    if feature.psi_bound is not None and feature.psi_bound < settings.psi_floor * floor_share:
        held = drift_report.EFFECT_FLOOR
    elif (feature.psi_corrected or 0.0) < _season_floor(feature, settings):
        held = drift_report.SEASON
    return replace(feature, exceeded=held is None, held_by=held)


def _season_floor(feature: FeatureDrift, settings: DriftSettings) -> float:
    """The floor of the slice, if there is one, else that of all rows."""
    of_all = settings.season_floors.get(feature.feature, -math.inf)
    return settings.season_floors.get(feature.title, of_all)


def _over_windows(
    feature: FeatureDrift, past: Sequence[WindowHistory], settings: DriftSettings
) -> FeatureDrift:
    """Adds whether the feature drifted, by k of n windows."""
    name = feature.title
    if feature.q_value is not None and past and name in past[-1].drifted:
        # Hysteresis: an alarm that hangs on the floor would come and go with every window.
        feature = _exceeding(feature, settings, settings.release)
        return replace(feature, drifted=feature.exceeded)
    times = feature.exceeded + sum(name in entry.exceeded for entry in past)
    drifted = feature.exceeded and times >= settings.windows_needed
    held = drift_report.K_OF_N if feature.exceeded and not drifted else feature.held_by
    return replace(feature, drifted=drifted, held_by=held)


def _verdict(
    features: Sequence[FeatureDrift], rows: ComparedRows, settings: DriftSettings
) -> tuple[DriftVerdict, str]:
    """The first that holds: a fault is told even where rows are too few to test."""
    if not rows.current:
        return DriftVerdict.NOT_ENOUGH_DATA, drift_report.EMPTY_WINDOW
    if any(feature.fault for feature in features):
        return DriftVerdict.DATA_FAULT, drift_report.FEATURES_FAULTY
    if features and rows.current < settings.min_rows:
        return DriftVerdict.NOT_ENOUGH_DATA, drift_report.TOO_FEW_ROWS
    if features and rows.reference < settings.min_rows:
        return DriftVerdict.NOT_ENOUGH_DATA, drift_report.TOO_FEW_REFERENCE_ROWS
    if not any(feature.p_value is not None for feature in features):
        return DriftVerdict.NOT_ENOUGH_DATA, drift_report.NO_FEATURES
    if any(feature.drifted for feature in features):
        return DriftVerdict.DRIFT, drift_report.FEATURES_DRIFTED
    return DriftVerdict.STABLE, drift_report.NO_DRIFT


def _rank(feature: FeatureDrift) -> tuple[bool, bool, float, str, str]:
    effect = -(feature.psi_corrected or 0.0)
    return not feature.fault, not feature.drifted, effect, feature.feature, feature.slice
