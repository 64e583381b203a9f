"""The demo's result window by window: a table for the terminal and the page."""

from collections.abc import Iterable

from tfx_loop.pipelines.pages.content import WindowResult
from tfx_loop.pipelines.pages.tables import few_features
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


def windows_table(windows: Iterable[WindowResult]) -> TextTable:
    """Returns a line a window; "-" stands for what has not been measured yet."""
    return TextTable(headings=_HEADINGS, rows=[_cells(w) for w in windows], numbers=_NUMBERS)


def _cells(window: WindowResult) -> tuple[str, ...]:
    return (
        window.name,
        f"{window.rows:,}",
        _measured(window.quality["auc"]["loop"]),
        _measured(window.quality["auc"]["left_alone"]),
        few_features(window.drifted),
        window.verdict or "-",
        window.reason or "-",
        "-" if window.version is None else str(window.version),
    )


def _measured(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
