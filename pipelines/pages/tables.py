"""Tables that pages and terminals share."""

from collections.abc import Iterable

from tfx_loop.pipelines.pages.content import WindowDecision
from tfx_loop.presentation.terminal import TextTable

# More names than these would widen a table beyond what a terminal shows.
_SHOWN_FEATURES = 3


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


def few_features(names: tuple[str, ...]) -> str:
    """Returns the first few names, and how many more there are."""
    if not names:
        return "-"
    rest = len(names) - _SHOWN_FEATURES
    return ", ".join(names[:_SHOWN_FEATURES]) + (f" and {rest} more" if rest > 0 else "")
