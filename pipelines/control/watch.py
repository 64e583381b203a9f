"""The daemon of a loop: looks, steps, tells, and waits.

Nothing is kept in memory that matters: killed at any point and started again it goes on, as each
look asks the metadata store, the clock and the labels. What goes wrong in a look is told once and
tried again, after pauses that grow.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tfx_loop.core.durations import MS_PER_SECOND
from tfx_loop.core.errors import LoopError, first_line
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.loop import StepResult
from tfx_loop.pipelines.control.watch_state import WATCH_STATE, WatchState, read_state

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What came of one step of a loop.

    Attributes:
        worked: Something was done, so that there may be more to do at once.
        trained_first: The first version was trained and pushed.
        window: The window that was stepped on; empty for none.
        monitoring: Where its monitoring run stands.
        verdict: What was decided; empty for nothing.
        reason: Why.
        decision_id: MLMD id of the decision; 0 for none.
        admission: The gates' answer to a decision that asks; empty for none.
        outcome: What came of the training; empty for none, or while it runs.
        version: The version that came of it; 0 for none.
        waits_for: What the loop waits for; empty for nothing.
        trouble: What was in the way, in one line; empty for nothing.
        trouble_kind: Class of that error, such as `ServerUnavailable`.
    """

    worked: bool
    trained_first: bool = False
    window: str = ""
    monitoring: str = ""
    verdict: str = ""
    reason: str = ""
    decision_id: int = 0
    admission: str = ""
    outcome: str = ""
    version: int = 0
    waits_for: str = ""
    trouble: str = ""
    trouble_kind: str = ""

    @property
    def told(self) -> str:
        """The step in one line."""
        parts = ["the first version was trained and pushed" if self.trained_first else ""]
        if self.window:
            decided = f"{self.verdict} ({self.reason})" if self.verdict else self.monitoring
            parts.append(f"{self.window}: {decided}")
        if self.admission:
            parts.append(f"admission {self.admission}")
        if self.outcome:
            parts.append(f"training {self.outcome}")
        if self.version:
            parts.append(f"version {self.version} serves")
        parts.append(f"waits for {self.waits_for}" if self.waits_for else "")
        parts.append(self.trouble)
        return "; ".join(part for part in parts if part) or "nothing to do"


def report_of(result: StepResult, *, final: bool) -> StepReport:
    """Returns what came of a step on a window.

    Args:
        result: What the loop says.
        final: Whether nothing more is to be done with the window.
    """
    done = result.monitoring.state is RunState.SUCCEEDED
    trouble, kind, waits_for = "", "", ""
    if result.monitoring.state is RunState.FAILED:
        node = result.monitoring.node or "a node"
        trouble = (
            f"Monitoring {result.window} failed at {node}: {result.monitoring.reason} `loop retry` "
            "tries it again, `loop skip` leaves it out."
        )
        kind = "MonitoringFailed"
    elif result.monitoring.state is RunState.RUNNING:
        waits_for = f"the run that monitors {result.window}, in another process or on a service"
    elif done and not final:
        open_run = "the training that it asked for has not ended" if result.run_id else "no answer"
        waits_for = f"window {result.window}: {open_run}"
    decision, admission, outcome = result.decision, result.admission, result.outcome
    return StepReport(
        worked=done and final,
        window=result.window,
        monitoring=result.monitoring.state.value,
        verdict=decision.verdict if decision else "",
        reason=decision.reason if decision else "",
        decision_id=decision.artifact_id if decision else 0,
        admission=admission.reason.value if admission else "",
        outcome=outcome.reason if outcome else "",
        version=outcome.pushed_version if outcome else 0,
        waits_for=waits_for,
        trouble=trouble,
        trouble_kind=kind,
    )


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """How often a loop is looked at.

    Attributes:
        poll_seconds: Pause after a look that found nothing to do.
        longest_pause_seconds: Pause after many looks in trouble; it doubles from `poll_seconds`.
        fresh_seconds: A look that is older says that the daemon hangs; trainings take their time.
    """

    # A minute is short beside any window, and a look reads a few rows of ML Metadata. The longest
    # pause is what an operator waits at most once a server is back; a day is longer than trainings
    # that were seen. Chosen, not measured.
    poll_seconds: float = 60.0
    longest_pause_seconds: float = 900.0
    fresh_seconds: float = 86_400.0


@dataclass(frozen=True, kw_only=True)
class WatchHealth:
    """What the health endpoint says.

    Attributes:
        healthy: The last look ended in time and nothing was in its way.
        looked_at_ms: When it began, milliseconds UTC.
        looks: How many there were since the start.
        trouble: What was in its way; empty for nothing.
        waits_for: What the loop waits for.
    """

    healthy: bool
    looked_at_ms: int
    looks: int
    trouble: str
    waits_for: str


class Watch:
    """Looks at a loop again and again."""

    def __init__(
        self,
        home: Path,
        look: Callable[[], StepReport],
        tell: Callable[[WatchState], int],
        settings: WatchSettings,
        clock: Callable[[], int],
        wait: Callable[[float], bool],
    ) -> None:
        """Looks at nothing yet.

        Args:
            home: The loop's home.
            look: Looks once, and does what is due.
            tell: Tells people what changed.
            settings: How often.
            clock: Returns now, milliseconds UTC.
            wait: Waits for seconds; says whether the daemon is to stop.
        """
        self._home, self._look, self._tell = home, look, tell
        self._settings, self._clock, self._wait = settings, clock, wait
        self._lock = threading.Lock()
        self._looks, self._in_trouble, self._last = 0, 0, WatchState()

    def run(self, *, once: bool = False) -> WatchState:
        """Looks until there is nothing to do and `once`, or until it is to stop; returns the last.

        Once does all that is due and ends, for cron; trouble ends it as well.
        """
        while True:
            look = self.look()
            # Trouble is waited for even where something was done: it would be met again at once.
            if look.trouble or not look.worked:
                if once or self._wait(self._pause()):
                    return self._last
            # There may be more to do at once; a word to stop is heard in between all the same.
            elif self._wait(0.0):
                return self._last

    def look(self) -> StepReport:
        """Looks once, keeps what was seen or went wrong, and tells what changed."""
        try:
            look = self._look()
        except Exception as error:
            # An error of any kind, such as a full disk's, must not end what looks after a model.
            level = logging.WARNING if isinstance(error, LoopError) else logging.ERROR
            _LOG.log(level, "look=failed %s: %s", type(error).__name__, error)
            look = StepReport(
                worked=False, trouble=first_line(error), trouble_kind=type(error).__name__
            )
        with self._lock:
            self._looks += 1
            self._in_trouble = self._in_trouble + 1 if look.trouble else 0
            self._last = self._kept(look)
        try:
            self._tell(self._last)
        except Exception as error:
            _LOG.error("tell=failed %s: %s", type(error).__name__, error)
        return look

    def health(self) -> WatchHealth:
        """Returns what the health endpoint says."""
        with self._lock:
            last, looks = self._last, self._looks
        age_ms = self._clock() - last.looked_at_ms
        fresh = age_ms < self._settings.fresh_seconds * MS_PER_SECOND
        return WatchHealth(
            healthy=bool(looks) and fresh and not last.trouble,
            looked_at_ms=last.looked_at_ms,
            looks=looks,
            trouble=last.trouble,
            waits_for=last.waits_for,
        )

    def _kept(self, look: StepReport) -> WatchState:
        """Writes what was seen; a disk that is full is no reason to stop."""
        try:
            # The step itself, in a process of its own maybe, has written what it saw.
            seen = read_state(self._home)
        except (LoopError, OSError) as error:
            _LOG.warning("state=unreadable %s", error)
            seen = self._last
        state = replace(
            seen,
            looked_at_ms=self._clock(),
            trouble=look.trouble,
            trouble_kind=look.trouble_kind,
        )
        try:
            WATCH_STATE.write(state, self._home)
        except (LoopError, OSError) as error:
            _LOG.warning("state=not_written %s", error)
        return state

    def _pause(self) -> float:
        poll = self._settings.poll_seconds
        if not self._in_trouble:
            return poll
        # 2 to the 20th is beyond any longest pause.
        growing: float = poll * 2 ** min(self._in_trouble - 1, 20)
        return min(growing, max(poll, self._settings.longest_pause_seconds))
