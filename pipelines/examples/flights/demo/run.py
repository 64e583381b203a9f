"""The demo, from an empty folder to a page:

    train on January and February ─▶ serve ─▶ for each month from March to December:
        real requests for its flights ─▶ last month's labels arrive ─▶ monitor, decide, act

Two policies are measured beside the loop: the first model left alone, and one retrained whenever
labels arrive.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, TextIO

from tfx_loop.contracts.deployment_record import Deployment, read_record
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION
from tfx_loop.core.errors import ConfigError, PipelineFailed
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.admission import AdmissionVerdict
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.loop import Controller, StepResult
from tfx_loop.pipelines.control.stores import StoreMode, open_store
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.data import LABEL, load_flights
from tfx_loop.pipelines.examples.flights.demo.every_window import every_window
from tfx_loop.pipelines.examples.flights.demo.page import RunReport, windows_table
from tfx_loop.pipelines.examples.flights.demo.replay import replay, write_labels, write_span
from tfx_loop.pipelines.examples.flights.demo.results import (
    MonitoredWindow,
    drift_report,
    served_rows,
    summarise,
    write_results,
)
from tfx_loop.pipelines.examples.flights.settings import (
    LOOP,
    MODEL_NAME,
    REPLAYED,
    TRAINED_ON,
    flights_settings,
)
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.show import render_explanation
from tfx_loop.pipelines.runners.model_server import model_server
from tfx_loop.presentation.progress import Progress
from tfx_loop.presentation.terminal import TextTable, show

# Share of the flights without --full: a run of minutes that still retrains.
FIFTH = 0.2
_FIRST_RUN = "train-flights-first"
# Stands in a folder that a demo made, so that the next run may empty it.
_MARK = ".tfx-loop-demo"


class Demo:
    """One run of the demo in one folder."""

    def __init__(
        self, folder: Path, fraction: float, seed: int, windows: int, progress: Progress
    ) -> None:
        """Empties the folder and loads the flights.

        Args:
            folder: Where all files go; it is emptied first.
            fraction: Share of the flights, in (0, 1].
            seed: Chooses the flights.
            windows: How many months to replay from March on, 1 to 10.
            progress: Is told what goes on.
        """
        if not 1 <= windows <= len(REPLAYED):
            raise ConfigError(f"windows must be from 1 to {len(REPLAYED)}, got {windows}.")
        self._replayed = REPLAYED[:windows]
        self._folder = folder
        self._fraction = fraction
        self._seed = seed
        self._progress = progress
        self._calendar = FlightMonths()
        _make_empty(folder)
        self.failures: list[str] = []
        with progress.timed("read the flights"):
            self._flights = load_flights(fraction, seed)
        self._rows = {span: rows for span, rows in self._flights.groupby("span")}

    def run(self) -> RunReport:
        """Runs all of it, and writes its results; returns what the page shows.

        Raises:
            PipelineFailed: A pipeline run failed; its message names the node and the reason.
            ServerUnavailable: The model server did not start, or died.
        """
        (self._folder / "labels").mkdir()
        for span in TRAINED_ON:
            write_span(self._flights, span, self._folder / "spans")
        settings = flights_settings(self._folder, "http://unset")
        base_path, log = Path(settings.serving.base_path), Path(settings.serving.prediction_log)
        with (
            every_window(self._folder, self._fraction, self._seed, len(self._replayed)) as always,
            model_server(MODEL_NAME, base_path, log, self._folder) as url,
        ):
            self._progress.say(f"model server on {url}")
            settings = flights_settings(self._folder, url)
            store = open_store(settings.pipeline.metadata_path, StoreMode.CREATE)
            loop = self._loop(settings, store)
            with self._progress.counted("first training"):
                self._train_first(settings, store)
            client = ModelClient(url, MODEL_NAME)
            windows = []
            with self._progress.counted("months", len(self._replayed)) as on_month:
                for span in self._replayed:
                    windows.append(self._window(span, settings, loop, client))
                    on_month(len(windows))
            with self._progress.timed("waiting for the policies beside the loop"):
                scores = always.scores()
        with self._progress.timed("compare the policies"):
            summary = summarise(windows, base_path / "1", scores, self._progress.elapsed)
        explanation = render_explanation(explain(store, MODEL_NAME, self._stable_version(settings)))
        return write_results(self._folder, summary, windows, self._progress.timings, explanation)

    def _loop(self, settings: Settings, store: Any) -> Controller:
        with self._progress.timed("import TFX"):
            from tfx_loop.pipelines.runners.launchers import MonitoringLauncher, TrainingLauncher
            from tfx_loop.pipelines.runners.rolling_back import roll_back_of
        self._progress.say("TFX imported")
        parts = (store, settings, self._calendar, TRAINED_ON[0])
        self._now_ms = 0
        return Controller(
            store,
            LOOP,
            MonitoringLauncher(*parts, on_node=self._on_monitoring_node),
            TrainingLauncher(*parts, on_node=self._on_training_node),
            clock=lambda: self._now_ms,
            stable_version=lambda: self._stable_version(settings),
            roll_back=roll_back_of(settings.serving.base_path, store),
            window_ended=lambda name, now_ms: self._calendar.window(name).end_ms <= now_ms,
        )

    def _train_first(self, settings: Settings, store: Any) -> None:
        from tfx_loop.pipelines.runners.local import run_pipeline
        from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

        self._progress.say("training on January and February")
        pipeline = training_pipeline(settings, TrainingRequest(spans=TRAINED_ON))
        with leases.hold(store, _FIRST_RUN):
            run_pipeline(pipeline, _FIRST_RUN, lambda time: self._on_training_node("", time))
        if self._stable(settings) is None:
            raise PipelineFailed(
                "The first model was not blessed, so nothing serves. See the Evaluator's result in "
                f"{settings.pipeline.root}."
            )

    def _window(
        self, span: int, settings: Settings, loop: Controller, client: ModelClient
    ) -> MonitoredWindow:
        window = self._calendar.window_of_span(span)
        flights = self._rows[span]
        version = self._stable_version(settings)
        counted = self._progress.counted(window.name, len(flights), "flights")
        with self._progress.timed("replay"), counted as on_request:
            requests = replay(client, flights, on_request)
        self._progress.say(
            f"{window.name}: {len(flights)} flights in {requests} requests served by "
            f"version {version}"
        )
        self._labels_arrive(span - 1, window.end_ms)
        self._now_ms = window.end_ms
        result = loop.step(window.name)
        monitored = self._read(window, version, settings, result)
        self._progress.say(
            f"{window.name}: {monitored.verdict} {monitored.reason}. "
            f"{monitored.decision.explanation}"
        )
        return monitored

    def _labels_arrive(self, span: int, now_ms: int) -> None:
        """Labels are one window late; January and February had theirs before the start."""
        if span in self._replayed:
            name = self._calendar.window_of_span(span).name
            path = self._folder / "labels" / f"{name}.parquet"
            write_labels(self._rows[span], now_ms - 1, path)
            write_span(self._flights, span, self._folder / "spans")

    def _read(
        self, window: MonitoringWindow, version: int, settings: Settings, result: StepResult
    ) -> MonitoredWindow:
        name, flights = window.name, self._rows[window.span]
        if result.monitoring.state is not RunState.SUCCEEDED or result.decision is None:
            raise PipelineFailed(
                f"Monitoring {name} ended as {result.monitoring.state.value}: node "
                f"{result.monitoring.node or '-'}: {result.monitoring.reason or 'no reason'}"
            )
        if result.outcome is not None and result.outcome.state is not RunState.SUCCEEDED:
            self.failures.append(
                f"The retraining after {name} failed at node {result.outcome.node}: "
                f"{result.outcome.reason}"
            )
            self._progress.say(self.failures[-1])
        if result.outcome is not None and result.outcome.detail:
            self._progress.say(f"{name}: nothing was pushed: {result.outcome.detail}")
        admission = result.admission
        held = admission if admission and admission.verdict is AdmissionVerdict.HOLD else None
        served = served_rows(settings, window, flights)
        return MonitoredWindow(
            window=window,
            flights=flights,
            version=version,
            served=served[served[LABEL].notna()],
            rows=len(served),
            decision=RETRAIN_DECISION.read(result.decision.uri),
            drift=drift_report(settings, window.name),
            verdict=AdmissionVerdict.HOLD.value if held else result.decision.verdict,
            reason=held.reason.value if held else result.decision.reason,
        )

    def _stable(self, settings: Settings) -> Deployment | None:
        return read_record(settings.serving.base_path, MODEL_NAME).stable

    def _stable_version(self, settings: Settings) -> int:
        stable = self._stable(settings)
        return stable.version if stable else 0

    def _on_training_node(self, run_id: str, time: Any) -> None:
        self._progress.add(f"training: {time.node}", time.seconds)
        self._progress.say(f"  training: {time.node} {time.seconds:.1f} s")

    def _on_monitoring_node(self, run_id: str, time: Any) -> None:
        self._progress.add(f"monitoring: {time.node}", time.seconds)


def run_demo(
    folder: Path, fraction: float, seed: int, windows: int, out: TextIO = sys.stdout
) -> int:
    """Runs the demo and prints what it ends with; returns the exit code.

    Raises:
        PipelineFailed: A run failed, if only a retraining that the service survived.
    """
    progress = Progress(out)
    demo = Demo(folder, fraction, seed, windows, progress)
    report = demo.run()
    spent = sorted(progress.timings, key=lambda item: -item[1])
    out.write("\n")
    show(
        windows_table(report.windows),
        (folder / "explain.txt").read_text(),
        TextTable(
            headings=("seconds", "where the time went"),
            rows=[(f"{seconds:.1f}", part) for part, seconds in spent],
            numbers=("seconds",),
        ),
        json.dumps(
            {
                "trainings": dict(report.trainings),
                "gain_recovered": dict(report.gain_recovered),
            }
        ),
        f"{folder / 'index.html'} shows it all; {folder / 'summary.json'} holds it.",
        out=out,
    )
    if demo.failures:
        raise PipelineFailed("; ".join(demo.failures))
    return 0


def _make_empty(folder: Path) -> None:
    """Makes the folder of a new run; removes an earlier run, and nothing else.

    Raises:
        ConfigError: The folder holds something that no demo made.
    """
    mark = folder / _MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise ConfigError(
            f"Expected an empty folder or an earlier demo in {folder}, found other files. "
            "Name another folder with --out."
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()
