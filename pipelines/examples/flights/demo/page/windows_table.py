"""The demo's result window by window: a table for the terminal and the page."""

from collections.abc import Mapping
from typing import Any

from tfx_loop.presentation.terminal import TextTable

HEADINGS = (
    "window",
    "rows",
    "AUC served",
    "AUC left alone",
    "drifted",
    "decision",
    "reason",
    "version",
)
NUMBERS = {"rows", "AUC served", "AUC left alone", "version"}
# More names than these would widen the table beyond what a terminal shows.
SHOWN_FEATURES = 3


def windows_table(summary: Mapping[str, Any]) -> TextTable:
    """Returns the table of `summary.json`; "-" stands for what has not been measured yet."""
    rows = [cells(window) for window in summary["windows"]]
    return TextTable(headings=HEADINGS, rows=rows, numbers=NUMBERS)


def cells(window: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns one window's entries, in the order of `HEADINGS`."""
    auc, version = window.get("auc") or {}, window.get("version")
    return (
        str(window["window"]),
        f"{window.get('rows') or 0:,}",
        _measured(auc.get("loop")),
        _measured(auc.get("left_alone")),
        _features(tuple(window.get("drifted") or ())),
        str(window.get("verdict") or "-"),
        str(window.get("reason") or "-"),
        "-" if version is None else str(version),
    )


def _measured(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"


def _features(names: tuple[str, ...]) -> str:
    if not names:
        return "-"
    rest = len(names) - SHOWN_FEATURES
    return ", ".join(names[:SHOWN_FEATURES]) + (f" and {rest} more" if rest > 0 else "")
