"""Report on one window of the prediction log against what its model was trained on.

Broken features and a silent source are kept apart from drift: the window is a DATA_FAULT, which
holds retraining back.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tfx_loop.contracts.drift_report import DriftResult, FeatureDrift, WindowHistory
from tfx_loop.contracts.window_quality import RealisedQuality
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.monitoring.drift.all_features import watched
from tfx_loop.monitoring.drift.changes import changes_of_window, with_changes
from tfx_loop.monitoring.drift.data_faults.arrivals import Arrivals, judge_arrivals
from tfx_loop.monitoring.drift.dependence_warning import idle_group_warnings, order_warning
from tfx_loop.monitoring.drift.explanation import WINDOW_WORDING, explain
from tfx_loop.monitoring.drift.history import past_window, with_window
from tfx_loop.monitoring.drift.quality.estimation import corrected_by_labels, estimated_quality
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.shapes import shapes_of
from tfx_loop.monitoring.drift.verdict import assess
from tfx_loop.monitoring.drift.window import EVENT_TIME, CountedWindow
from tfx_loop.monitoring.profile.columns import flat
from tfx_loop.monitoring.profile.profile_files import StoredReference
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.row_sample import TIME, sampled_column
from tfx_loop.monitoring.profile.window_profile import WindowProfile

SOURCE = "(source)"


def monitor(
    reference: FrozenProfile,
    window: CountedWindow,
    settings: DriftSettings,
    previous: DriftResult | None = None,
    *,
    baseline: WindowProfile | None = None,
    sample: Any = None,
    breaches: Sequence[FeatureDrift] = (),
) -> DriftResult:
    """Returns the report of one window against a reference.

    Args:
        reference: The frozen profile of the model's training rows.
        window: What the model answered, counted on the reference's bins.
        settings: When a feature has drifted.
        previous: The report of the window before, which carries the history for k of n.
        baseline: Counts of the training rows by slice, and which of them repeat; None to compare
            neither.
        sample: Sampled training rows as a pyarrow table, to test all features together; None not
            to.
        breaches: Of the data's schema (schema.py).

    Raises:
        DataError: The window was counted on another reference.
    """
    digest = reference.digest()
    arrivals = _arrivals(window, settings, previous)
    past = _past(previous, window.window, digest, settings)
    judgement = assess(
        reference,
        window.profile,
        settings,
        baseline=baseline,
        sample=sample,
        findings=[*breaches, *_silence(arrivals)],
        past=past,
    )
    now = WindowHistory(
        window.window,
        tuple(f.title for f in judgement.features if f.exceeded),
        tuple(f.title for f in judgement.drifted),
    )
    return DriftResult(
        verdict=judgement.verdict,
        reason=judgement.reason,
        explanation=explain(judgement, WINDOW_WORDING),
        window=window.window,
        model_name=window.model_name,
        # After a push within the window the newer version is the one that later windows will be of.
        model_version=max(window.model_versions, default=0),
        model_versions=window.model_versions,
        rows=judgement.rows,
        features=judgement.features,
        skipped={skipped.name: skipped.reason for skipped in reference.skipped},
        history=(*past, now),
        reference_digest=digest,
        settings=settings.to_json(),
        longest_gap_share=arrivals.longest_gap_share if arrivals else None,
        warnings=_warnings(reference, window.profile, settings, baseline),
        start_ms=window.start_ms,
        end_ms=window.end_ms,
    )


def _warnings(
    reference: FrozenProfile,
    window: WindowProfile,
    settings: DriftSettings,
    baseline: WindowProfile | None,
) -> tuple[str, ...]:
    """Says that rows depend on those before, where the time is not among the roles."""
    sides = {"the window": window.sample}
    if baseline and baseline.sample.rows is not None:
        sides = {"the reference": baseline.sample, **sides}
    idle = idle_group_warnings(settings.roles.group, sides)
    rows = window.sample.answered()
    if rows is None:
        return idle
    profiles = watched(reference, settings)
    found = {profile.column: sampled_column(rows, profile) for profile in profiles}
    plain = {name: column for name, column in found.items() if column is not None}
    some = [profile for profile in profiles if profile.column in plain and not profile.aspect]
    times = (EVENT_TIME, flat(rows.column(TIME)))
    warning = order_warning(plain, some, settings.roles, times, "the role `time`")
    return (*idle, warning) if warning else idle


def report_window(
    reference: StoredReference,
    window: CountedWindow,
    settings: DriftSettings,
    previous: DriftResult | None = None,
    *,
    breaches: Sequence[FeatureDrift] = (),
    realised: RealisedQuality | None = None,
    redaction: Redaction = OPEN,
    multivariate: bool = True,
) -> DriftResult:
    """Returns the whole report of one window, with its pictures and its quality.

    Args:
        reference: What the model was trained on; without a sample its quantiles are not told.
        window: What the model answered, counted on the reference's bins.
        settings: When a feature has drifted.
        previous: The report of the window before.
        breaches: Of the data's schema (schema.py).
        realised: Quality of an earlier window whose labels have come.
        redaction: Which values the report may show; slices are named by it already.
        multivariate: Test all features together, where there is a sample.

    Raises:
        DataError: The window was counted on another reference.
    """
    report = monitor(
        reference.profile,
        window,
        settings,
        previous,
        baseline=reference.counts,
        sample=reference.sample if multivariate else None,
        breaches=breaches,
    )
    features = tuple(replace(f, note=redaction.note(f.feature, f.note)) for f in report.features)
    changes = changes_of_window(reference, window.profile, redaction)
    return with_parts(
        with_changes(replace(report, features=features), changes),
        reference.profile,
        window.profile,
        settings,
        previous,
        realised,
        redaction,
    )


def _silence(arrivals: Arrivals | None) -> list[FeatureDrift]:
    """An entry of its own where the source of the rows fell silent, or came late."""
    if arrivals is None or arrivals.fault is None:
        return []
    return [FeatureDrift(feature=SOURCE, type="rows", fault=arrivals.fault, note=arrivals.note)]


def _arrivals(
    window: CountedWindow, settings: DriftSettings, previous: DriftResult | None
) -> Arrivals | None:
    times = window.profile.sample.times()
    # Without times, or without the ends of the window, silence cannot be told.
    if not len(times) or window.end_ms <= window.start_ms:
        return None
    return judge_arrivals(
        times,
        window.start_ms,
        window.end_ms,
        settings.arrival_settings,
        # A request that failed arrived all the same: the source was not silent.
        rows=window.rows + window.failed_rows,
        baseline_rows=previous.rows.current + previous.rows.failed if previous else None,
        baseline_gap_share=previous.longest_gap_share if previous else None,
    )


def _past(
    previous: DriftResult | None, window: str, digest: str, settings: DriftSettings
) -> tuple[WindowHistory, ...]:
    """The windows before this one on the same reference; a new reference starts anew."""
    if previous is None or previous.reference_digest != digest:
        return ()
    # A window that is monitored again replaces its own entry.
    others = tuple(past for past in previous.history if past.window != window)
    # One is kept always: hysteresis asks whether the window before had drifted.
    return others[len(others) - min(len(others), max(settings.windows_looked_at - 1, 1)) :]


def with_parts(
    report: DriftResult,
    reference: FrozenProfile,
    window: WindowProfile,
    settings: DriftSettings,
    previous: DriftResult | None = None,
    realised: RealisedQuality | None = None,
    redaction: Redaction = OPEN,
) -> DriftResult:
    """Returns the report with its pictures, its quality and the windows before it.

    Args:
        report: Of the window, with ranked features.
        reference: What the window was compared with.
        window: The window's counts.
        settings: What the report was made with.
        previous: The report of the window before.
        realised: Quality of an earlier window whose labels have come.
        redaction: Which values the pictures may show.
    """
    scored = reference.score and settings.score_output and window.has(settings.score_output)
    current = window.total(settings.score_output).counts if scored else None
    estimated = estimated_quality(reference, current, settings.score_threshold)
    before = previous.past if previous else ()
    if estimated:
        met = with_window(before, past_window(report), realised)
        # Labels correct the estimate of the model that they were about: another errs otherwise.
        same = [w for w in met[:-1] if w.model_version == report.model_version]
        estimated = corrected_by_labels(estimated, same)
    whole = replace(
        report,
        shapes=shapes_of(report.features, reference, window, settings, redaction),
        estimated=estimated,
        realised=realised,
    )
    return replace(whole, past=with_window(before, past_window(whole), realised))
