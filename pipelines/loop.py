"""The loop around a training pipeline of the user's own: stated in ten lines, run by a command."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.contracts.deployment_record import DeploymentRecord, read_record
from tfx_loop.core.errors import (
    DataError,
    LoopError,
    PipelineFailed,
    ServerUnavailable,
    ServingError,
    first_line,
)
from tfx_loop.core.key_file import read_keys
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.data.prediction_log.label_coverage import (
    LabelCoverage,
    label_coverage,
    nth_event_ms,
)
from tfx_loop.data.prediction_log.labels import read_labels
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control import approvals, holds, leases, returns
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.control.claims import ClaimBook
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.control.home import HOME_RECORD, HomeRecord, open_home, open_loop_store
from tfx_loop.pipelines.control.label_timing import Labels
from tfx_loop.pipelines.control.launcher import Launcher, RunState
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.run_state import mlmd_run_state
from tfx_loop.pipelines.control.schedule import WindowSchedule
from tfx_loop.pipelines.control.settings import LoopMode
from tfx_loop.pipelines.control.store_address import is_server
from tfx_loop.pipelines.control.watch import StepReport, Watch, WatchSettings, report_of
from tfx_loop.pipelines.control.watch_state import WATCH_STATE, read_state, waiting_text
from tfx_loop.pipelines.control.windows import WindowFacts, WindowSequence
from tfx_loop.pipelines.loop_settings import ModelLoopSettings
from tfx_loop.pipelines.notifications.client import sender
from tfx_loop.pipelines.notifications.outbox import Notifier
from tfx_loop.pipelines.notifications.settings import Receiver

if TYPE_CHECKING:
    from tfx_loop.pipelines.runners.own_launchers import OwnMonitoringLauncher, OwnTrainingLauncher

__all__ = ["Labels", "Loop", "StepReport"]

_LOG = logging.getLogger(__name__)
# Retention may leave a log of years: what is looked at for the end of a window of rows.
_MS_AHEAD = 400 * 86_400_000


def wall_clock_ms() -> int:
    """Returns now, milliseconds since epoch UTC."""
    return int(time.time() * 1000)


class Loop:
    """Looks after one model: trains it first, and steps through its windows as they end."""

    def __init__(
        self,
        settings: ModelLoopSettings,
        pipeline: Any,
        clock: Callable[[], int] = wall_clock_ms,
        launchers: Callable[["Loop"], tuple[Launcher, Launcher]] | None = None,
    ) -> None:
        """Opens the home, which is made where there is none; starts nothing.

        Args:
            settings: What the user states.
            pipeline: The user's training pipeline: a function, a TFX pipeline, or nodes.
            clock: Returns now, milliseconds UTC.
            launchers: Returns what runs monitoring and training; by default this process, or
                the service that the settings name as the runner.

        Raises:
            ConfigError: The home is another model's.
            DataError: Its metadata store is gone.
            ServingError: The server was never asked for its folders, and does not say them.
        """
        self.settings = settings
        self.pipeline = pipeline
        self.clock = clock
        here = settings.runner is None
        self._launchers = launchers or (_in_this_process if here else _on_a_service)
        self._home, self.store = _opened(settings)

    @classmethod
    def from_pipeline(
        cls, name: str, *, pipeline: Any, clock: Callable[[], int] = wall_clock_ms, **stated: Any
    ) -> "Loop":
        """Returns the loop around a training pipeline.

        Args:
            name: Name under which the model is served.
            pipeline: A function that returns a TFX pipeline or its nodes, or such a pipeline. Of a
                function the parameters are filled by name: `rows_from` and `rows_until` (UTC),
                `window`, `champion` (a channel of the model that serves), `champion_uri` and
                `quarantined`, as far as it has them.
            clock: Returns now, milliseconds UTC.
            stated: The fields of `ModelLoopSettings`: `label`, `labels`, `serving` and others.

        Raises:
            ConfigError: A value is unknown or cannot work.
        """
        return cls(ModelLoopSettings.of({"name": name, **stated}), pipeline, clock)

    def first(self) -> int:
        """Trains and pushes the first version, unless one serves; returns the one that serves.

        A training that failed is run anew by the next call, one that was cut off is resumed.

        Raises:
            PipelineFailed: A node failed, or the gate refused the model.
            RunBusy: Another process is at it.
        """
        stable = self._record().stable_version
        if stable:
            return stable
        from tfx_loop.pipelines.own_pipeline import OwnTraining, own_training_pipeline, utc
        from tfx_loop.pipelines.runners.local import run_pipeline
        from tfx_loop.pipelines.runners.own_launchers import check_disk

        check_disk(self.pipelines.pipeline.root)
        training = OwnTraining(rows_from=None, rows_until=utc(self.first_ms()))
        judged = self.judged_here
        made = own_training_pipeline(self.pipeline, self.pipelines, training, judged_here=judged)
        run_id = self._first_run_id()
        if self.settings.runner is not None:
            from tfx_loop.pipelines.runners.remote.own_runs import run_to_end

            run_to_end(self.store, made, self.settings.runner, run_id, self.settings.name)
        else:
            with leases.hold(self.store, run_id):
                run_pipeline(made, run_id, lambda took: self._tell_node(run_id, took))
        stable = self._record().stable_version
        if not stable:
            raise PipelineFailed(
                f"Expected run {run_id} to push the first version of {self.settings.name!r}, but "
                "the gate refused its model. The Evaluator's result is in "
                f"{self.pipelines.pipeline.root}."
            )
        return stable

    def step(self, window: str = "", *, tell: bool = True) -> StepReport:
        """Trains the first version, or looks at the oldest window that is not final.

        Args:
            window: A window to step on whatever its labels; empty for the next that is due.
            tell: Tell those whom the settings name what changed, or what was in the way.

        Raises:
            LoopError: Something could not begin, such as a training while the server is away;
                nothing is lost, the next step goes on.
        """
        try:
            report = self._step(window)
        except LoopError as error:
            if tell:
                self._tell_change(first_line(error), type(error).__name__)
            raise
        if tell:
            self._tell_change(report.trouble, report.trouble_kind)
        return report

    def _step(self, window: str) -> StepReport:
        if not self._record().stable_version:
            return StepReport(worked=True, trained_first=True, version=self.first())
        if window:
            return self._stepped(window)
        now_ms = self.clock()
        found = self.schedule.next(now_ms)
        WATCH_STATE.write(read_state(self._folder).seen(found, now_ms), self._folder)
        if not found.is_due or found.window is None:
            # What earlier steps left unfinished goes on while nothing is due, too.
            ended = self.controller.reconcile() if self._has_open_claims() else []
            return StepReport(
                worked=bool(ended),
                waits_for=waiting_text(found),
                outcome=ended[-1].reason if ended else "",
                version=ended[-1].pushed_version if ended else 0,
            )
        return self._stepped(found.window.name)

    def watch(
        self,
        settings: WatchSettings | None = None,
        wait: Callable[[float], bool] = lambda seconds: time.sleep(seconds) or False,  # type: ignore[func-returns-value]
    ) -> Watch:
        """Returns the daemon that steps in this process; `loop watch` steps in children."""
        return Watch(
            self._folder,
            lambda: self.step(tell=False),
            lambda seen: self.notifier.tell(self.store, seen),
            settings or WatchSettings(),
            self.clock,
            wait,
        )

    def approve(self, decision_id: int, by: str) -> RecordedDecision:
        """Records a person's yes to a decision; the next step carries it out."""
        name, now_ms = self.settings.name, self.clock()
        return approvals.approve(self.store, name, decision_id, by, now_ms)

    def skip(self, window: str, by: str, reason: str) -> None:
        """Records that a window is not to be monitored."""
        self.windows.window(window)
        holds.skip(self.store, self.settings.name, window, by, reason, self.clock())

    @cached_property
    def windows(self) -> WindowSequence:
        """The windows of the model."""
        facts = WindowFacts(
            store=self.store,
            model_name=self.settings.name,
            begin_ms=self._began_ms(),
            rows_end=self._rows_end,
        )
        return self.settings.windows.of(facts)

    @cached_property
    def schedule(self) -> WindowSchedule:
        """What is done and what is to do."""
        return WindowSchedule(
            self.store,
            self.settings.name,
            self.windows,
            self.settings.labels.patience,
            self.coverage,
            carries_out=self.settings.mode is LoopMode.ACT,
        )

    @cached_property
    def controller(self) -> Controller:
        """What monitors, admits, claims and launches."""
        from tfx_loop.pipelines.runners.rolling_back import roll_back_of

        return Controller(
            self.store,
            self.settings.control(),
            *self._launchers(self),
            clock=self.clock,
            stable_version=lambda: self._record().stable_version or 0,
            roll_back=roll_back_of(self._home.base_path, self.store),
            window_ended=lambda name, now_ms: self.windows.window(name).end_ms <= now_ms,
        )

    def coverage(self, window: MonitoringWindow) -> LabelCoverage:
        """Measures how far the labels of a window have come."""
        rows = self._rows(window.start_ms, window.end_ms)
        task = self.pipelines.model.described
        labels = read_labels(self.pipelines.pipeline.labels, task)
        return label_coverage(rows, labels, window.end_ms, self.clock())

    @cached_property
    def notifier(self) -> Notifier:
        """Who is told of changes."""
        receivers = [Receiver.of(one) for one in self.settings.notify]
        send = sender(self._folder, self.clock)
        return Notifier(self._folder, self.settings.name, receivers, send, self.clock)

    def _stepped(self, window: str) -> StepReport:
        result = self.controller.step(window)
        return report_of(result, final=window in self.schedule.final_windows())

    def _has_open_claims(self) -> bool:
        """Says whether anything is left to be carried on; asked before TFX is imported."""
        book = ClaimBook(self.store, self.settings.name)
        claimed = {claim.name for claim in book.claims()}
        approved = [number for name, number in book.approvals().items() if name not in claimed]
        waiting = (
            not returns.is_carried_out(self.store, self.settings.name, number)
            for number in approved
        )
        return bool(book.open_claims()) or any(waiting)

    @property
    def _folder(self) -> Path:
        return self.settings.folder

    @property
    def judged_here(self) -> bool | None:
        """Whether the stated gate judges; None leaves it to the pipeline's Evaluator, if any."""
        return True if self.settings.gate is not None else None

    @cached_property
    def pipelines(self) -> Settings:
        """What the pipelines need."""
        return self.settings.pipelines(self._home.base_path, self._home.prediction_log)

    def _record(self) -> DeploymentRecord:
        return read_record(self._home.base_path, self.settings.name)

    def _began_ms(self) -> int:
        """Returns when the model began to serve; now before it does."""
        pushed = [one.pushed_at_ms for one in self._record().versions]
        return min(pushed, default=self.clock())

    def first_ms(self) -> int:
        """Returns where the rows of the first training end: before the first window."""
        first = self.windows.find(1)
        return min(first.start_ms, self.clock()) if first else self._began_ms()

    def _first_run_id(self) -> str:
        number = 1
        while True:
            run_id = f"first-{self.settings.name}-{number}"
            # One that ended brought no version, or it would serve.
            if mlmd_run_state(self.store, run_id).state not in (
                RunState.SUCCEEDED,
                RunState.FAILED,
            ):
                return run_id
            number += 1

    def _rows(self, start_ms: int, end_ms: int) -> Any:
        serving = self.pipelines.serving
        if serving.capture is not None:
            return read_captures(serving.capture, self.settings.name, start_ms, end_ms).table
        keys = read_keys(serving.prediction_log_key) if serving.prediction_log_key else ()
        log = serving.prediction_log
        return read_window(log, self.settings.name, start_ms, end_ms, keys=keys).table

    def _rows_end(self, since_ms: int, rows: int) -> int | None:
        end_ms = nth_event_ms(self._rows(since_ms, since_ms + _MS_AHEAD), rows)
        # Rows of the last millisecond come along, so that each row is in one window.
        return None if end_ms is None else end_ms + 1

    def _tell_change(self, trouble: str, kind: str) -> None:
        """Keeps what was in the way, and tells what changed; neither fails a step that is done."""
        try:
            seen = replace(read_state(self._folder), trouble=trouble, trouble_kind=kind)
            WATCH_STATE.write(seen, self._folder)
            self.notifier.tell(self.store, seen)
        except (LoopError, OSError) as error:
            _LOG.error("tell=failed %s: %s", type(error).__name__, error)

    def _tell_node(self, run_id: str, took: Any) -> None:
        _LOG.info("run=%s node=%s seconds=%.1f", run_id, took.node, took.seconds)


def _in_this_process(loop: Loop) -> "tuple[OwnMonitoringLauncher, OwnTrainingLauncher]":
    from tfx_loop.pipelines.runners.own_launchers import OwnMonitoringLauncher, OwnTrainingLauncher

    parts = (loop.store, loop.pipelines, loop.windows)
    return (
        OwnMonitoringLauncher(*parts, loop.clock, loop.first_ms()),
        OwnTrainingLauncher(*parts, loop.pipeline, loop.judged_here),
    )


def _on_a_service(loop: Loop) -> tuple[Launcher, Launcher]:
    from tfx_loop.pipelines.runners.remote.own_runs import remote_launcher

    runner = loop.settings.runner
    assert runner is not None  # The loop asks for these where one is stated.
    monitoring, training = (
        remote_launcher(loop.store, local, runner) for local in _in_this_process(loop)
    )
    return monitoring, training


def _opened(settings: ModelLoopSettings) -> tuple[HomeRecord, Store]:
    """Returns where a model is served from, and the store of its loop.

    A home that knows where its model is served from has had a store: one that is gone is not made
    anew, as it would have forgotten what was launched.
    """
    record, place = open_home(settings.folder, settings.name, settings.metadata), settings.store
    if record.base_path and not (is_server(place) or Path(place).exists()):
        raise DataError(
            f"Expected the metadata store of {settings.name!r} at {place}, found none: what was "
            "launched is lost with it. Restore it from a copy, or begin anew with another home."
        )
    served = _served_from(settings, record)
    store = open_loop_store(place)
    if served != record:
        HOME_RECORD.write(served, settings.folder)
    return served, store


def _served_from(settings: ModelLoopSettings, record: HomeRecord) -> HomeRecord:
    """Returns where the model is served from, as stated, as the server says, or as it said once."""
    serving = settings.serving
    stated = HomeRecord(
        model_name=settings.name,
        base_path=serving.base_path or record.base_path,
        prediction_log=serving.prediction_log or record.prediction_log,
    )
    if stated.base_path and (stated.prediction_log or serving.capture):
        return stated
    return _asked_of_server(settings, stated)


def _asked_of_server(settings: ModelLoopSettings, stated: HomeRecord) -> HomeRecord:
    from tfx_loop.deployment.model_server.client import ModelClient

    url = settings.serving.url
    try:
        said = ModelClient(url, settings.name).folders()
    except ServerUnavailable:
        raise
    except ServingError as error:
        raise type(error)(
            f"{str(error).rstrip('.')}. Expected a loop-model-server at {url} that says its "
            "folders; of another server, or one on another machine, give base_path and "
            "prediction_log of `serving`."
        ) from error
    found = HomeRecord(
        model_name=settings.name,
        base_path=stated.base_path or said.get("model_base_path", ""),
        prediction_log=stated.prediction_log or said.get("prediction_log", ""),
    )
    if not (found.base_path and found.prediction_log):
        raise DataError(
            f"Expected a server at {url} with a base path and a prediction log, received one "
            "without. Start it with --prediction_log, or give both of `serving`."
        )
    return found
