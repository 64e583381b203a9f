"""Did the features of a window move away from what the model was trained on?

A feature exceeds when Benjamini-Hochberg over the features and a bias-corrected effect floor
agree; it has drifted when it exceeds in k of the last n windows. Broken features (faults.py) are
kept apart: they take no part in the tests, and the window is a DATA_FAULT.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from components.drift_monitor import effects, report
from components.drift_monitor.faults import (
    ABSENT_FEATURE,
    NOT_IN_REFERENCE,
    TYPE_CHANGED,
    FaultSettings,
    find_fault,
)
from components.drift_monitor.report import DriftReport, FeatureDrift, Verdict, WindowHistory
from components.drift_monitor.window import WindowRows
from components.errors import ConfigError, DataError
from components.profile.bins import CategoryBins
from components.profile.columns import fits, flat, type_of
from components.profile.counts import ColumnCounts, count
from components.profile.reference import FeatureProfile, ReferenceProfile

_MOST_BINS = 64


@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """When a feature has drifted.

    Attributes:
        q: False discovery rate over the features of a window, in (0, 1).
        psi_floor: Least corrected PSI that matters, in nats.
        min_rows: Rows below which neither side is tested.
        windows_needed: k of k-of-n: windows that must exceed, this one among them.
        windows_looked_at: n of k-of-n.
        ignore_features: Features that move legitimately, such as the month.
        score_output: Log column to compare with the reference's score; empty for none.
        faults: When a feature is broken.
    """

    q: float = 0.05
    psi_floor: float = 0.1
    min_rows: int = 300
    windows_needed: int = 1
    windows_looked_at: int = 1
    ignore_features: tuple[str, ...] = ()
    score_output: str = ""
    faults: FaultSettings = field(default_factory=FaultSettings)

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise ConfigError(f"q must be between 0 and 1, got {self.q}. 0.05 is usual.")
        if not 0 <= self.psi_floor < 100:
            raise ConfigError(f"psi_floor must be 0 or more, got {self.psi_floor}. 0.1 is usual.")
        if self.min_rows < 50:
            raise ConfigError(
                f"min_rows must be at least 50, got {self.min_rows}: the tests count on bins."
            )
        if not 1 <= self.windows_needed <= self.windows_looked_at:
            raise ConfigError(
                "windows_needed must be from 1 to windows_looked_at, got "
                f"{self.windows_needed} of {self.windows_looked_at}."
            )


def monitor(
    reference: ReferenceProfile,
    window: WindowRows,
    settings: DriftSettings,
    previous: DriftReport | None = None,
) -> DriftReport:
    """Returns the report of one window against a reference.

    Args:
        reference: The frozen profile of the model's training rows.
        window: The rows that the model answered.
        settings: When a feature has drifted.
        previous: The report of the window before, which carries the history for k of n.
    """
    digest = reference.digest()
    features: Sequence[FeatureDrift] = ()
    if window.rows:
        features = _tested(_measured(reference, window, settings), settings)
    past = _past(previous, window.window, digest, settings)
    features = tuple(sorted((_judged(f, past, settings) for f in features), key=_rank))
    verdict, reason, explanation = _verdict(features, reference, window, settings)
    now = WindowHistory(window.window, tuple(f.feature for f in features if f.exceeded))
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
        features=features,
        skipped={skipped.name: skipped.reason for skipped in reference.skipped},
        history=(*past, now),
        reference_digest=digest,
        settings={**asdict(settings), "ignore_features": list(settings.ignore_features)},
    )


def _measured(
    reference: ReferenceProfile, window: WindowRows, settings: DriftSettings
) -> list[FeatureDrift]:
    ignored = {*settings.ignore_features, *reference.ignored}
    enough = min(window.rows, reference.rows_total) >= settings.min_rows
    profiles = {f.name: f for f in reference.features if f.name not in ignored}
    if reference.score and settings.score_output:
        profiles[settings.score_output] = replace(reference.score, name=settings.score_output)
    measured = [
        measure(profile, window.columns.get(name), window.rows, settings, enough)
        for name, profile in profiles.items()
    ]
    skipped = {entry.name for entry in reference.skipped if entry.reason == "several_values"}
    empty = {entry.name for entry in reference.skipped if entry.reason == "no_values"}
    for name in sorted(window.features - ignored - skipped - set(profiles)):
        if name not in empty or window.columns[name].null_count < window.rows:
            measured.append(_unknown(name, window.columns[name]))
    return measured


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
        column = flat(column)
    except DataError:
        return replace(blank, fault=TYPE_CHANGED)
    if not fits(column, profile.type):
        return replace(blank, fault=TYPE_CHANGED)
    counts = count(column, profile.type, profile.bins)
    counted = replace(blank, missing_share=counts.missing / max(counts.rows, 1))
    if not enough:
        # Infinities break a model however few the rows are; the other checks need shares.
        fault = find_fault(profile, counts, settings.faults) if counts.infinite else None
        return replace(counted, fault=fault)
    fault = find_fault(profile, counts, settings.faults)
    return replace(_compared(counted, profile, counts), fault=fault)


def _compared(blank: FeatureDrift, profile: FeatureProfile, counts: ColumnCounts) -> FeatureDrift:
    ordered = not isinstance(profile.bins, CategoryBins)
    r, c = profile.counts.vector(), counts.vector()
    if ordered and len(r) > _MOST_BINS + 1:
        coarse = effects.coarsened(r[:-1], c[:-1], _MOST_BINS // 2)
        r, c = (np.append(part, whole[-1]) for part, whole in zip(coarse, (r, c), strict=True))
    return replace(
        blank,
        psi=effects.psi(r, c),
        psi_corrected=effects.psi_corrected(r, c),
        ks=effects.kolmogorov_smirnov(r[:-1], c[:-1]) if ordered else None,
        js=effects.jensen_shannon(r, c),
        p_value=effects.chi_square(r, c).p_value,
    )


def _tested(features: Sequence[FeatureDrift], settings: DriftSettings) -> list[FeatureDrift]:
    family = [f for f in features if f.p_value is not None and not f.fault]
    q_values = effects.benjamini_hochberg(np.array([f.p_value for f in family], dtype=np.float64))
    found = {f.feature: float(q) for f, q in zip(family, q_values, strict=True)}
    return [
        replace(
            f,
            q_value=found[f.feature],
            exceeded=found[f.feature] < settings.q and (f.psi_corrected or 0) >= settings.psi_floor,
        )
        if f.feature in found
        else f
        for f in features
    ]


def _past(
    previous: DriftReport | None, window: str, digest: str, settings: DriftSettings
) -> tuple[WindowHistory, ...]:
    """The windows before this one on the same reference; a new reference starts anew."""
    if previous is None or previous.reference_digest != digest:
        return ()
    others = tuple(past for past in previous.history if past.window != window)
    return others[len(others) - min(len(others), settings.windows_looked_at - 1) :]


def _judged(
    feature: FeatureDrift, past: Sequence[WindowHistory], settings: DriftSettings
) -> FeatureDrift:
    times = feature.exceeded + sum(feature.feature in entry.exceeded for entry in past)
    return replace(feature, drifted=feature.exceeded and times >= settings.windows_needed)


def _rank(feature: FeatureDrift) -> tuple[bool, float, str]:
    return not feature.fault, -(feature.psi_corrected or 0.0), feature.feature


def _verdict(
    features: Sequence[FeatureDrift],
    reference: ReferenceProfile,
    window: WindowRows,
    settings: DriftSettings,
) -> tuple[Verdict, str, str]:
    faulty = [f"{f.feature} ({f.fault})" for f in features if f.fault]
    drifted = [f.feature for f in features if f.drifted]
    if not window.rows:
        text = f"No answered row in the window; {window.failed_rows} were answered with an error."
        return Verdict.NOT_ENOUGH_DATA, report.EMPTY_WINDOW, text
    if faulty:
        text = (
            f"Broken: {', '.join(faulty)}. Mend the source of the data, or name what moves "
            "legitimately in ignore_features."
        )
        return Verdict.DATA_FAULT, report.FEATURES_FAULTY, text
    if not features:
        text = "There is no feature to compare: the reference has none that is not ignored."
        return Verdict.NOT_ENOUGH_DATA, report.NO_FEATURES, text
    for rows, reason, whose in (
        (window.rows, report.TOO_FEW_ROWS, "The window"),
        (reference.rows_total, report.TOO_FEW_REFERENCE_ROWS, "The reference"),
    ):
        if rows < settings.min_rows:
            text = f"{whose} has {rows} rows; {settings.min_rows} are needed to test for drift."
            return Verdict.NOT_ENOUGH_DATA, reason, text
    if drifted:
        text = f"{len(drifted)} of {len(features)} features drifted: {', '.join(drifted)}."
        return Verdict.DRIFT, report.FEATURES_DRIFTED, text
    return Verdict.STABLE, report.NO_DRIFT, f"None of {len(features)} features drifted."
