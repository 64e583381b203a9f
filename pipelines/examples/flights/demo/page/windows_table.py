"""The demo's result window by window: a table for the terminal and the page."""

from collections.abc import Iterable

from tfx_loop.pipelines.examples.flights.demo.page.report import WindowDecision, WindowResult
from tfx_loop.presentation.terminal import TextTable

_HEADINGS = (
    "window",
    "rows",
    "AUC served",
    "AUC left alone",
    "drifted",
    "decision",
    "reason",
    "version",
)
_NUMBERS = ("rows", "AUC served", "AUC left alone", "version")
# More names than these would widen the table beyond what a terminal shows.
_SHOWN_FEATURES = 3


def windows_table(windows: Iterable[WindowResult]) -> TextTable:
    """Returns a line a window; "-" stands for what has not been measured yet."""
    return TextTable(headings=_HEADINGS, rows=[_cells(w) for w in windows], numbers=_NUMBERS)


def versions_table(decisions: Iterable[WindowDecision]) -> TextTable:
    """Returns a line for each version that was asked in a window beside the champion."""
    rows = [
        (
            each.label_window,
            str(each.model_version),
            f"{each.contest.champion_loss:.4f}",
            str(other.version),
            f"{other.mean:.4f}",
            f"{-other.saving / each.contest.champion_loss:+.1%}",
            f"{other.standard_error / each.contest.champion_loss:.1%}",
        )
        for each in decisions
        if each.contest is not None and each.contest.champion_loss > 0
        for other in each.contest.versions
    ]
    headings = ("window", "champion", "loss", "version", "its loss", "saved", "standard error")
    return TextTable(headings=headings, rows=rows, numbers=headings[1:])


def _cells(window: WindowResult) -> tuple[str, ...]:
    return (
        window.name,
        f"{window.rows:,}",
        _measured(window.auc["loop"]),
        _measured(window.auc["left_alone"]),
        _features(window.drifted),
        window.verdict or "-",
        window.reason or "-",
        "-" if window.version is None else str(window.version),
    )


def _measured(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _features(names: tuple[str, ...]) -> str:
    if not names:
        return "-"
    rest = len(names) - _SHOWN_FEATURES
    return ", ".join(names[:_SHOWN_FEATURES]) + (f" and {rest} more" if rest > 0 else "")
