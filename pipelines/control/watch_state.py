"""State of a loop at its last look: label coverage of its windows, and what was in its way.

A small file in the loop's home. It is no memory of the loop, which keeps everything in ML Metadata:
`loop status` shows it, and without it the next look measures anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfx_loop.core.json_file import JsonFile
from tfx_loop.data.prediction_log.label_coverage import LabelCoverage
from tfx_loop.pipelines.control.schedule import NextWindow

# What a screen shows.
_MOST_WINDOWS = 12


@dataclass(frozen=True, kw_only=True)
class CoverageAt:
    """The label coverage of a window, and when it was measured (milliseconds UTC)."""

    coverage: LabelCoverage
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class WatchState:
    """What was seen at the last look.

    Attributes:
        looked_at_ms: When, milliseconds UTC; 0 for never.
        waits_for: What the loop waits for, in words; empty where it waits for nothing.
        trouble: What was in its way, in one line; empty for nothing.
        trouble_kind: Class of that error, such as `ServerUnavailable`.
        coverage: Of the newest windows, by name.
    """

    looked_at_ms: int = 0
    waits_for: str = ""
    trouble: str = ""
    trouble_kind: str = ""
    coverage: Mapping[str, CoverageAt] = field(default_factory=dict)

    def seen(self, found: NextWindow, now_ms: int) -> "WatchState":
        """Returns the state after a look at the next window."""
        coverage = dict(self.coverage)
        if found.window is not None and found.coverage is not None:
            # Taken out first, so that it stands last: the order says which windows are the newest.
            coverage.pop(found.window.name, None)
            coverage[found.window.name] = CoverageAt(coverage=found.coverage, at_ms=now_ms)
        newest = dict(list(coverage.items())[-_MOST_WINDOWS:])
        return replace(self, looked_at_ms=now_ms, waits_for=waiting_text(found), coverage=newest)


WATCH_STATE = JsonFile(
    name="watch.json",
    kind=WatchState,
    title="what a loop saw last",
    remedy="Remove it: the next look writes it anew.",
)


def read_state(home: Path) -> WatchState:
    """Returns what was seen last; an empty state before the first look."""
    return WATCH_STATE.find(home) or WatchState()


def waiting_text(found: NextWindow) -> str:
    """Returns what the loop waits for, in words; empty where a window is due."""
    if found.is_due:
        return ""
    if found.window is None:
        return "rows of the next window"
    if not found.ended:
        return f"the end of window {found.window.name}"
    coverage = found.coverage
    share = f"{100 * coverage.share:.0f} % of {coverage.rows:,} rows have one" if coverage else ""
    return f"labels of window {found.window.name}: {share}"


# 27 years of days: a clock or a first day gone wrong must not have this count for ever.
