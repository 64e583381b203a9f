"""Did a window of the prediction log move away from what its model was trained on?

Broken features and a silent source are kept apart from drift: the window is a DATA_FAULT, which
holds retraining back.
"""

from collections.abc import Sequence
from typing import Any

from tfx_loop.monitoring.drift.data_faults.arrivals import Arrivals, judge_arrivals
from tfx_loop.monitoring.drift.data_faults.duplicates import duplicate_flood
from tfx_loop.monitoring.drift.drift import Rows, judged, verdict_of
from tfx_loop.monitoring.drift.measuring import measure, watched
from tfx_loop.monitoring.drift.report import DriftReport, FeatureDrift, WindowHistory
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import compared_together
from tfx_loop.monitoring.drift.window import CountedWindow
from tfx_loop.monitoring.profile.reference import ReferenceProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

SOURCE = "(source)"


def monitor(
    reference: ReferenceProfile,
    window: CountedWindow,
    settings: DriftSettings,
    previous: DriftReport | None = None,
    *,
    usual: WindowProfile | None = None,
    sample: Any = None,
    breaches: Sequence[FeatureDrift] = (),
) -> DriftReport:
    """Returns the report of one window against a reference.

    Args:
        reference: The frozen profile of the model's training rows.
        window: What the model answered, counted on the reference's bins.
        settings: When a feature has drifted.
        previous: The report of the window before, which carries the history for k of n.
        usual: Counts of the training rows by slice, and which of them repeat; None to compare
            neither.
        sample: Sampled training rows as a pyarrow table, to test all features together; None not
            to.
        breaches: Of the data's schema (schema.py).

    Raises:
        DataError: The window was counted on another reference.
    """
    digest = reference.digest()
    arrivals = _arrived(window, settings, previous)
    features = measure(reference, window.profile, settings, usual=usual)
    features += breaches if window.rows else ()
    if usual and window.rows:
        features += duplicate_flood(usual.contents, window.profile.contents, settings, features)
    if window.rows and arrivals and arrivals.fault:
        # An entry of its own: the source of the rows fell silent, or came late.
        features.append(
            FeatureDrift(feature=SOURCE, type="rows", fault=arrivals.fault, note=arrivals.note)
        )
    rows = window.profile.sample.answered()
    if sample is not None and rows is not None:
        whole = {f.feature for f in features if f.p_value is not None and not (f.fault or f.slice)}
        profiles = [p for p in watched(reference, settings) if p.name in whole]
        features += compared_together(profiles, sample, rows)
    past = _past(previous, window.window, digest, settings)
    ranked = judged(features, settings, past)
    verdict, reason, explanation = verdict_of(
        ranked, Rows(reference.rows_total, window.rows, window.failed_rows), settings
    )
    now = WindowHistory(
        window.window,
        tuple(f.title for f in ranked if f.exceeded),
        tuple(f.title for f in ranked if f.drifted),
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
        start_ms=window.start_ms,
        end_ms=window.end_ms,
    )


def _arrived(
    window: CountedWindow, settings: DriftSettings, previous: DriftReport | None
) -> Arrivals | None:
    times = window.profile.sample.times()
    if not len(times) or window.end_ms <= window.start_ms:
        return None
    return judge_arrivals(
        times,
        window.start_ms,
        window.end_ms,
        settings.arrivals,
        rows=window.rows + window.failed_rows,
        usual_rows=previous.current_rows + previous.failed_rows if previous else None,
        usual_gap_share=previous.longest_gap_share if previous else None,
    )


def _past(
    previous: DriftReport | None, window: str, digest: str, settings: DriftSettings
) -> tuple[WindowHistory, ...]:
    """The windows before this one on the same reference; a new reference starts anew."""
    if previous is None or previous.reference_digest != digest:
        return ()
    others = tuple(past for past in previous.history if past.window != window)
    return others[len(others) - min(len(others), max(settings.windows_looked_at - 1, 1)) :]
