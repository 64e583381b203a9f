"""Verdict on counted rows against a reference: the one core under DriftMonitor and `loop monitor`.

A feature exceeds when Benjamini-Hochberg over features and slices and a bias-corrected effect
floor agree; it has drifted when it exceeds in k of the last n windows. Broken features (faults.py)
take no part in the tests. What was counted comes from a prediction log or from a file; what is made
of it, a report on a window or on two files, is the caller's.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfx_loop.contracts import drift_report
from tfx_loop.contracts.drift_report import ComparedRows, DriftVerdict, FeatureDrift, WindowHistory
from tfx_loop.monitoring.drift.all_features import measure, watched
from tfx_loop.monitoring.drift.data_faults.duplicates import duplicate_flood
from tfx_loop.monitoring.drift.data_faults.faults import ONE_SIDED, Fault
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics import two_sample
from tfx_loop.monitoring.drift.statistics.multivariate import compared_together
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

ONE_SIDED_NOTE = "one-sided answers, as the inputs moved"


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


def assess(
    reference: FrozenProfile,
    current: WindowProfile,
    settings: DriftSettings,
    *,
    baseline: WindowProfile | None = None,
    sample: Any = None,
    findings: Sequence[FeatureDrift] = (),
    faults: Mapping[str, Fault] | None = None,
    past: Sequence[WindowHistory] = (),
    sparse: bool = True,
    sliced_by: str = "",
    answers: Collection[str] = (),
    excused: Mapping[str, Mapping[str, str]] | None = None,
    roles: ColumnRoles | None = None,
    seed: int = 0,
) -> DriftJudgement:
    """Measures all features of some rows against a reference, and judges them together.

    Args:
        reference: The frozen profile of the rows to compare with.
        current: The rows that came since, counted on its bins.
        settings: When a feature has drifted or is broken.
        baseline: Counts of the reference's rows by slice, and which of them repeat; None to
            compare neither.
        sample: Sampled rows of the reference as a pyarrow table, to test all features together;
            None not to.
        findings: Entries found by other means: a schema's breaches, a silent source, columns that
            are not tested.
        faults: By feature, what the counts do not show of it.
        past: The windows before on the same reference, the newest last.
        sparse: Whether an absent column may be one whose values are all missing (measure).
        sliced_by: Column that makes the slices, which is not compared within them.
        answers: Columns of a model's answers, beside the score.
        excused: By feature, faults that it does not have whatever its counts look like, each with
            the note that says so.
        roles: Which rows depend on each other; those of the settings unless given.
        seed: Of the tests of all features together.

    Raises:
        DataError: The rows were counted on another reference.
    """
    features = measure(
        reference, current, settings, baseline=baseline, sparse=sparse, sliced_by=sliced_by
    )
    if current.rows:
        features = [_excused(feature, excused or {}) for feature in features]
        features = [_with_fault(feature, faults or {}) for feature in features]
        features = _one_sided_answers(features, settings, answers)
        features += findings
        rows = current.sample.answered()
        if baseline:
            features += duplicate_flood(
                baseline.contents,
                current.contents,
                settings,
                features,
                reference.features,
                rows,
                bool(current.groups),
            )
        if sample is not None and rows is not None:
            profiles = _whole(features, reference, settings)
            roles = roles or settings.roles
            features += compared_together(profiles, sample, rows, seed, roles)
    compared = ComparedRows(reference.rows_total, current.rows, current.failed_rows)
    return judge(features, compared, settings, past)


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


def _excused(feature: FeatureDrift, excused: Mapping[str, Mapping[str, str]]) -> FeatureDrift:
    notes = excused.get(feature.feature, {})
    if feature.fault is None or feature.fault not in notes:
        return feature
    return replace(feature, fault=None, note=notes[feature.fault])


def _with_fault(feature: FeatureDrift, faults: Mapping[str, Fault]) -> FeatureDrift:
    """Returns the feature with the fault that is known of it, unless it has one already."""
    fault = faults.get(feature.feature)
    if fault is None or feature.fault or feature.slice:
        return feature
    return replace(feature, fault=fault.code, note=fault.note)


def _one_sided_answers(
    features: list[FeatureDrift], settings: DriftSettings, answers: Collection[str]
) -> list[FeatureDrift]:
    """Returns the features without faults of a model's answers that its inputs explain.

    A model that is asked about others than before may answer all of them alike: its score drifted.
    Where the inputs are as they were, an answer that is one value all along is a broken model.
    """
    answers = {*answers, settings.score_output}
    inputs = [f for f in features if f.feature not in answers and not f.slice]
    tested = [f.p_value for f in inputs if f.p_value is not None]
    # Bonferroni: any of the inputs, at the rate of false alarms of all.
    moved = any(f.fault for f in inputs) or min(tested, default=1.0) * len(tested) < settings.q
    return [
        replace(f, fault=None, note=ONE_SIDED_NOTE)
        # Only faults that a changed mix of inputs can cause; a missing score stays a fault.
        if moved and f.feature in answers and f.fault in ONE_SIDED
        else f
        for f in features
    ]


def _whole(
    features: Sequence[FeatureDrift], reference: FrozenProfile, settings: DriftSettings
) -> list[Any]:
    """The features that were tested over all rows; a broken one would explain any difference."""
    tested = {f.feature for f in features if f.p_value is not None and not (f.fault or f.slice)}
    return [profile for profile in watched(reference, settings) if profile.name in tested]


def _tested(features: Sequence[FeatureDrift], settings: DriftSettings) -> list[FeatureDrift]:
    # A broken feature is told as a fault: its p-value of 0 would make the others' q-values smaller.
    family = [f for f in features if f.p_value is not None and not f.fault]
    q_values = two_sample.benjamini_hochberg(
        np.array([f.p_value for f in family], dtype=np.float64)
    )
    # All slices are one family with all rows: each is one more chance of a false alarm.
    found = {(f.slice, f.feature): float(q) for f, q in zip(family, q_values, strict=True)}
    return [
        _exceeding(replace(f, q_value=found[key]), settings) if key in found else f
        for f in features
        for key in [(f.slice, f.feature)]
    ]


def _exceeding(
    feature: FeatureDrift, settings: DriftSettings, floor_share: float = 1.0
) -> FeatureDrift:
    own = settings.thresholds_of(feature.feature)
    if (feature.q_value or 0.0) >= (own.q or 0.0):
        return feature
    held, floor = None, (own.psi_floor or 0.0) * floor_share
    # The upper bound of PSI, not PSI: a difference is too small to matter only when that is sure,
    # or small windows would never alarm.
    if feature.psi_bound is not None and feature.psi_bound < floor:
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
    # What exceeded before counts, whether it became an alarm then or not.
    # `past` holds the n - 1 windows before (window_report._past), so this counts k of n.
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
    # Names last, so that equal effects keep one order in every run.
    return not feature.fault, not feature.drifted, effect, feature.feature, feature.slice
