"""Several windows judged as one, from their counts alone: no row is read again."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.monitoring.drift.changes import changes_of_window, with_changes
from tfx_loop.monitoring.drift.export import Comparison
from tfx_loop.monitoring.drift.season_floors import with_training_floors
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window import CountedWindow
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile import profile_files
from tfx_loop.monitoring.profile.redacted import redaction_for, with_named_slices
from tfx_loop.monitoring.profile.window_profile import WindowProfile, merge


def compare_windows(
    profile: str,
    windows: Sequence[str],
    settings: DriftSettings,
    multivariate: bool = False,
    redaction: Redaction = OPEN,
) -> Comparison:
    """Judges several windows as one.

    Args:
        profile: Folder of the ReferenceProfile that the windows were counted on.
        windows: Folders of DriftMonitor's reports on them, each once.
        settings: When a feature has drifted; what the reports ignored is ignored, too.
        multivariate: Test all features together, too.
        redaction: Which values the comparison may show, beside what the reference hides.

    Raises:
        ConfigError: A folder is given twice, or the reports looked at different scores.
        DataError: A profile is not there, or was counted on another reference.
    """
    if len(set(windows)) < len(windows):
        raise ConfigError(f"Expected each window once, received {sorted(windows)}.")
    reports = [_read_report(path) for path in windows]
    reference = profile_files.load_reference(profile, with_sample=True)
    redaction = redaction_for(reference.profile, redaction)

    def named(counts: WindowProfile) -> WindowProfile:
        return with_named_slices(counts, reference.profile, redaction)

    counted = named(reduce(merge, map(profile_files.load, windows)))
    whole = _merged_window(reports, counted)
    reference = replace(reference, counts=named(reference.counts))
    scores = {found.settings.get("score_output", "") for found in reports}
    if len(scores) > 1:
        raise ConfigError(f"Expected reports on one score, received {sorted(scores)}.")
    ignored = {name for found in reports for name in found.settings.get("ignore_features", ())}
    settings = replace(
        settings,
        score_output=scores.pop(),
        ignore_features=tuple(sorted({*settings.ignore_features, *ignored})),
    )
    length_ms = whole.end_ms - whole.start_ms
    settings = with_training_floors(settings, reference.profile, reference.counts, length_ms)
    found = monitor(
        reference.profile,
        whole,
        settings,
        baseline=reference.counts,
        sample=reference.sample if multivariate else None,
    )
    features = tuple(replace(f, note=redaction.note(f.feature, f.note)) for f in found.features)
    found = replace(found, features=features)
    changes = changes_of_window(reference, whole.profile, redaction)
    found = with_changes(found, changes)
    return Comparison(found, reference.profile, whole.profile, settings, redaction)


def _read_report(folder: str) -> DriftResult:
    found = DRIFT_REPORT.find(folder)
    if found is None:
        raise DataError(
            f"Expected a report of DriftMonitor at {DRIFT_REPORT.path(folder)}, found none. Name "
            "folders of DriftReport artifacts as current, as reference is a ReferenceProfile."
        )
    return found


def _merged_window(reports: Sequence[DriftResult], profile: WindowProfile) -> CountedWindow:
    """The windows as one, from the begin of the first to the end of the last."""
    in_order = sorted(reports, key=lambda found: (found.start_ms, found.window))
    names = [found.window for found in in_order]
    return CountedWindow(
        window=names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}",
        model_name=reports[0].model_name,
        profile=profile,
        start_ms=in_order[0].start_ms,
        end_ms=max(found.end_ms for found in reports),
    )
