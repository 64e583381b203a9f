"""Comparison of counted rows with a reference: the one core under DriftMonitor and `loop monitor`.

What was counted comes from a prediction log or from a file; what is made of it, a report on a
window or on two files, is the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tfx_loop.contracts.drift_report import ComparedRows, FeatureDrift, WindowHistory
from tfx_loop.monitoring.drift.data_faults.duplicates import duplicate_flood
from tfx_loop.monitoring.drift.data_faults.faults import Fault
from tfx_loop.monitoring.drift.judgement import DriftJudgement, judge
from tfx_loop.monitoring.drift.measurement import measure, watched
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import compared_together
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile


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
        seed: Of the tests of all features together.

    Raises:
        DataError: The rows were counted on another reference.
    """
    features = measure(
        reference, current, settings, baseline=baseline, sparse=sparse, sliced_by=sliced_by
    )
    if current.rows:
        features = [_with_fault(feature, faults or {}) for feature in features]
        features += findings
        rows = current.sample.answered()
        if baseline:
            features += duplicate_flood(
                baseline.contents, current.contents, settings, features, reference.features, rows
            )
        if sample is not None and rows is not None:
            profiles = _whole(features, reference, settings)
            features += compared_together(profiles, sample, rows, seed)
    compared = ComparedRows(reference.rows_total, current.rows, current.failed_rows)
    return judge(features, compared, settings, past)


def _with_fault(feature: FeatureDrift, faults: Mapping[str, Fault]) -> FeatureDrift:
    """Returns the feature with the fault that is known of it, unless it has one already."""
    fault = faults.get(feature.feature)
    if fault is None or feature.fault or feature.slice:
        return feature
    return replace(feature, fault=fault.code, note=fault.note)


def _whole(
    features: Sequence[FeatureDrift], reference: FrozenProfile, settings: DriftSettings
) -> list[Any]:
    """The features that were tested over all rows; a broken one would explain any difference."""
    tested = {f.feature for f in features if f.p_value is not None and not (f.fault or f.slice)}
    return [profile for profile in watched(reference, settings) if profile.name in tested]
