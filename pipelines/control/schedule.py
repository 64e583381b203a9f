"""Schedule of the windows: the next one to look at, and whether it may be judged yet.

Read from the metadata store, the clock and the labels each time: a process that was killed forgets
nothing, as nothing is remembered.
"""

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tfx_loop.contracts.retrain_decision import DecisionProperties, RetrainVerdict
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.data.prediction_log.label_coverage import LabelCoverage
from tfx_loop.data.prediction_log.record import day_of
from tfx_loop.pipelines.control import holds, ledger
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.control.label_timing import LabelPatience, LabelWait
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.retries import monitoring_run_id
from tfx_loop.pipelines.control.run_state import mlmd_run_state
from tfx_loop.pipelines.control.windows import WindowSequence

CoverageOf = Callable[[MonitoringWindow], LabelCoverage]


def windows_served_since(
    windows: WindowSequence,
    window: MonitoringWindow,
    now_ms: int,
    days: Sequence[str] | None = None,
) -> int:
    """Returns how many windows have ended since one ended, of those that had traffic.

    A window without traffic lost nothing that a retraining would have saved: where old rows are
    gone through again, years of such windows may lie between them and now.

    Args:
        windows: The model's windows.
        window: The one that is judged.
        now_ms: Now, milliseconds UTC.
        days: UTC days with traffic, `YYYY-MM-DD`, oldest first; None counts every window.
    """
    ended = served = 0
    while (later := windows.find(window.span + ended + 1)) and later.end_ms <= now_ms:
        ended += 1
        if days is None:
            served += 1
            continue
        place = bisect.bisect_left(days, day_of(later.start_ms))
        served += place < len(days) and days[place] <= day_of(later.end_ms - 1)
    return served


@dataclass(frozen=True, kw_only=True)
class NextWindow:
    """The oldest window that is not final.

    Attributes:
        window: It; None where nobody knows yet when it ends.
        ended: Whether it has ended.
        wait: Whether its labels are waited for; None before its end.
        coverage: How far they have come; None before its end.
        ended_since: Windows that ended after it.
    """

    window: MonitoringWindow | None
    ended: bool = False
    wait: LabelWait | None = None
    coverage: LabelCoverage | None = None
    ended_since: int = 0

    @property
    def is_due(self) -> bool:
        """Whether the loop may step on it."""
        return self.ended and self.wait is not None and self.wait.is_over


class WindowSchedule:
    """The windows of one model, by what is done and what is to do."""

    def __init__(
        self,
        store: Store,
        model_name: str,
        windows: WindowSequence,
        patience: LabelPatience,
        coverage_of: CoverageOf,
        *,
        carries_out: bool = False,
    ) -> None:
        """Looks at nothing yet.

        Args:
            store: The metadata store.
            model_name: The served model.
            windows: Its windows.
            patience: How long a window waits for its labels.
            coverage_of: Measures how far the labels of a window have come.
            carries_out: The loop lets versions serve again by itself (mode `act`); else that waits
                for a person, and holds no window up.
        """
        self._carries_out = carries_out
        self._store, self._model_name = store, model_name
        self._windows, self._patience, self._coverage_of = windows, patience, coverage_of

    def next(self, now_ms: int) -> NextWindow:
        """Returns the oldest window that is not final."""
        final = self.final_windows()
        span = 1
        while (window := self._windows.find(span)) is not None and window.name in final:
            span += 1
        if window is None or window.end_ms > now_ms:
            return NextWindow(window=window)
        since = sum(1 for _ in self._ended_after(window, now_ms))
        coverage = self._coverage_of(window)
        # Without rows there is no share of them, and no label to wait for.
        share = coverage.share if coverage.rows else None
        wait = self._patience.waits(share, since, now_ms - window.end_ms)
        return NextWindow(
            window=window, ended=True, wait=wait, coverage=coverage, ended_since=since
        )

    def final_windows(self) -> frozenset[str]:
        """Returns the names of the windows with which nothing more is to be done.

        A decision that asks for something is final once the loop has answered it: a process that
        died in between left the answer to its successor.
        """
        store, model = self._store, self._model_name
        answered = self._named(ledger.ADMISSION) | self._named(ledger.RETURN)
        final = set()
        for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION):
            said = from_properties(DecisionProperties, ledger.properties(artifact))
            moves = said.verdict == RetrainVerdict.REINSTATE.value and self._carries_out
            asks = said.retrain or moves
            if said.model_name == model and (not asks or said.window in answered):
                final.add(said.window)
        # A window that a person wants monitored again is final when the run of the retry is done.
        for window in self._named(ledger.RETRY) & final:
            run_id = monitoring_run_id(store, model, window)
            if mlmd_run_state(store, run_id).state is not RunState.SUCCEEDED:
                final.discard(window)
        return frozenset(final | set(holds.skipped(store, model)))

    def ended(self, now_ms: int) -> Iterator[MonitoringWindow]:
        """Yields all windows that have ended, oldest first."""
        span = 1
        while (window := self._windows.find(span)) is not None and window.end_ms <= now_ms:
            yield window
            span += 1

    def _ended_after(self, window: MonitoringWindow, now_ms: int) -> Iterator[MonitoringWindow]:
        span = window.span + 1
        while (later := self._windows.find(span)) is not None and later.end_ms <= now_ms:
            yield later
            span += 1

    def _named(self, kind: str) -> set[str]:
        said = map(ledger.properties, self._store.get_executions_by_type(kind))
        return {str(one["window"]) for one in said if one["model_name"] == self._model_name}
