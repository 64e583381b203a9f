"""Windows before this one in a few numbers each, carried from report to report."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tfx_loop.contracts.drift_report import PastWindow
from tfx_loop.contracts.window_quality import RealisedQuality

if TYPE_CHECKING:
    from tfx_loop.contracts.drift_report import DriftResult

# As many columns as a picture over time has room for.
MOST_WINDOWS = 24
# A map shows the twenty that moved most (heat_map.py).
MOST_FEATURES = 30
# A picture shows no more, and every later report carries these numbers on.
_DIGITS = 4


def past_window(report: "DriftResult") -> PastWindow:
    """Returns what later reports keep of a report: its features with the largest effects."""
    whole = [f for f in report.features if not f.slice]
    estimated = report.estimated
    return PastWindow(
        window=report.window,
        verdict=report.verdict.value,
        model_version=report.model_version,
        rows=report.rows.current,
        psi={
            f.feature: round(f.psi_corrected, _DIGITS)
            for f in whole[:MOST_FEATURES]
            if f.psi_corrected is not None
        },
        drifted=tuple(f.feature for f in whole[:MOST_FEATURES] if f.drifted),
        faults={f.feature: f.fault for f in whole[:MOST_FEATURES] if f.fault},
        estimated={
            name: (metric.value, metric.low, metric.high, metric.factor)
            for name, metric in (estimated.metrics if estimated else {}).items()
        },
        from_scores={
            name: (metric.from_scores, metric.chance)
            for name, metric in (estimated.metrics if estimated else {}).items()
            if metric.from_scores is not None
        },
    )


def with_window(
    past: Iterable[PastWindow], now: PastWindow, realised: RealisedQuality | None = None
) -> tuple[PastWindow, ...]:
    """Returns the windows a report carries: those before, with labels that have come, and its own.

    Args:
        past: Windows that the report before carried, the newest last.
        now: The window of this report; an earlier report on the same window is replaced.
        realised: Quality of a window whose labels have come; its window gets it.
    """
    windows = {entry.window: entry for entry in past if entry.window != now.window}
    windows[now.window] = now
    if realised:
        known = windows.get(realised.window)
        if known:
            windows[realised.window] = replace(known, realised=dict(realised.metrics))
        else:
            # Before all: the labels of a window that no report is known of.
            early = PastWindow(window=realised.window, realised=dict(realised.metrics))
            windows = {realised.window: early, **windows}
    return tuple(windows.values())[-MOST_WINDOWS:]


def merged_history(reports: Iterable["DriftResult"]) -> tuple[PastWindow, ...]:
    """Returns the windows of several reports, in the order given; what a later one says counts."""
    windows: dict[str, PastWindow] = {}
    realised: dict[str, Mapping[str, float]] = {}
    for report in reports:
        for entry in (*report.past, past_window(report)):
            if entry.verdict or entry.window not in windows:
                windows[entry.window] = entry
            if entry.realised:
                realised[entry.window] = entry.realised
    return tuple(
        replace(entry, realised=realised.get(entry.window, entry.realised))
        for entry in windows.values()
    )[-MOST_WINDOWS:]
