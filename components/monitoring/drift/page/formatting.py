"""A report in words that need no manual."""

from collections.abc import Sequence

from tfx_loop.contracts import drift_report
from tfx_loop.contracts.drift_report import (
    TOGETHER,
    DriftResult,
    DriftVerdict,
    FeatureDrift,
    moved_features,
    tested_features,
)
from tfx_loop.monitoring.drift.data_faults import faults
from tfx_loop.presentation.wording import few

FAULTS = {
    faults.ABSENT_FEATURE: "is not there any more",
    faults.NOT_IN_REFERENCE: "has values, and none in the reference",
    faults.TYPE_CHANGED: "has another type",
    faults.SCHEMA_ANOMALY: "breaks its schema",
    faults.INFINITE_VALUES: "has infinite values",
    faults.ALL_MISSING: "has no value at all",
    faults.MISSING_FLOOD: "misses far more values",
    faults.CONSTANT_VALUE: "is one value all along",
    faults.STUCK_VALUE: "is stuck for a long run of rows",
    faults.NEW_CATEGORY_FLOOD: "is flooded with values never seen",
    faults.UNIT_CHANGED: "looks like another unit",
    faults.OUT_OF_RANGE: "is far out of its range",
    faults.DUPLICATE_FLOOD: "rows repeat each other",
    faults.SILENT_SOURCE: "fell silent",
    faults.LATE_SOURCE: "came late",
}
HELD = {
    drift_report.EFFECT_FLOOR: "too small to matter: below the effect floor for sure",
    drift_report.SEASON: "no larger than usual in this season",
    drift_report.K_OF_N: "not yet in as many windows as needed",
}
METRICS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "positive_rate": "share of ones",
    "squared_error": "squared error",
    "absolute_error": "absolute error",
    "quantile_error": "quantile error",
    "poisson_deviance": "deviance",
}


def headline(found: DriftResult) -> str:
    """Returns the verdict in one sentence."""
    if found.verdict is DriftVerdict.DATA_FAULT:
        return _broken(found)
    if found.verdict is DriftVerdict.DRIFT:
        return _drifted(found)
    return _stable(found) if found.verdict is DriftVerdict.STABLE else found.explanation


def named(feature: FeatureDrift) -> str:
    """Returns the feature's name, and its slice."""
    return drift_report.named(plain(feature.feature), feature.slice)


def plain(name: str) -> str:
    """Returns a feature's name; the model's own answers are told from what it was asked."""
    answer = name.removeprefix("output.")
    return f"{answer} (answers)" if answer != name else name


def fault(feature: FeatureDrift) -> str:
    """Returns what is wrong with a broken feature."""
    return FAULTS.get(feature.fault or "", (feature.fault or "").replace("_", " "))


def held(feature: FeatureDrift) -> str:
    """Returns which rule holds a difference back."""
    return HELD.get(feature.held_by or "", (feature.held_by or "").replace("_", " "))


def share(value: float) -> str:
    """Returns a share as percents, with digits where they matter."""
    percents = 100 * value
    if 0 < percents < 0.1:
        return "< 0.1 %"
    return f"{percents:.1f} %" if 0 < percents < 10 or 99 < percents < 100 else f"{percents:.0f} %"


def number(value: float | None, form: str = ".3f") -> str:
    """Returns a number, or nothing."""
    return "" if value is None else format(value, form)


def chance(value: float | None) -> str:
    """Returns a p-value or q-value; the smallest ones all say the same."""
    if value is None:
        return ""
    return "< 1e-12" if value < 1e-12 else f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def duration(hours: float) -> str:
    """Returns a time in hours, or in days where it is many."""
    return f"{hours:.1f} h" if abs(hours) < 72 else f"{hours / 24:.0f} days"


def _broken(found: DriftResult) -> str:
    broken = [f for f in found.features if f.fault]
    if len(broken) == 1:
        return f"The data are broken: {named(broken[0])} {fault(broken[0])}"
    names = few([named(f) for f in broken])
    return f"The data are broken in {len(broken)} places: {names}"


def _drifted(found: DriftResult) -> str:
    drifted = [f for f in found.features if f.drifted and f.feature != TOGETHER]
    whole = {f.feature for f in drifted if not f.slice}
    # What drifted in all rows is not told again for each of its slices.
    names = [named(f) for f in drifted if not f.slice or f.feature not in whole]
    if names and not whole:
        return f"Drift in slices alone: {few(names)}"
    if names:
        tested, moved = tested_features(found.features), moved_features(found.features)
        told = f"{len(moved)} of {len(tested)} features drifted: {few(names)}"
        return told + _untested(found.features)
    return "The features moved together, though none moved alone"


def _stable(found: DriftResult) -> str:
    whole = [f for f in found.features if not f.slice and f.feature != TOGETHER]
    tested = len(tested_features(found.features))
    held_back = sum(f.held_by is not None for f in whole)
    moved = f"; {held_back} moved, and not enough to matter" if held_back else ""
    return f"None of {tested} features drifted{moved}{_untested(whole)}"


def _untested(features: Sequence[FeatureDrift]) -> str:
    count = sum(f.p_value is None and not (f.fault or f.slice) for f in features)
    return f"; {count} column{'s were' if count > 1 else ' was'} not tested" if count else ""
