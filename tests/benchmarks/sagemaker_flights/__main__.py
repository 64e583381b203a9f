"""The whole loop of the flights example on a loopback SageMaker, month by month.

    PYTHONPATH=tests/helpers python -m tests.benchmarks.sagemaker_flights --months 3

Real are boto3, the pipelines, the archive, the model server in the container and S3's protocol
(moto's server); the control plane is the tests' loopback. It stamps captures with the time of the
flights that are asked about. The run fails where a request got no answer, a captured row was lost
or a retraining did not serve.
"""

import argparse
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from sagemaker_container import ServerContainer
from sagemaker_loopback import IMAGE, REGION, ROLE, Loopback, sagemaker_loopback

from tfx_loop.contracts.capture_source import ServedVersion
from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.data.prediction_log.labels import join_labels, read_labels
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.home import open_loop_store
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.data import load_flights
from tfx_loop.pipelines.examples.flights.demo.replay import write_span
from tfx_loop.pipelines.examples.flights.sagemaker import (
    ask_endpoint,
    sagemaker_settings,
    write_ground_truth,
)
from tfx_loop.pipelines.examples.flights.settings import (
    LOOP,
    MODEL_NAME,
    REPLAYED,
    TRAINED_ON,
)

_FIRST_RUN = "train-flights-first"
_BUCKET = "flights-loop"


class FlightsOnSageMaker:
    """One run in one folder."""

    def __init__(self, loopback: Loopback, folder: Path, fraction: float) -> None:
        """Loads the flights and writes the spans that the first model learns from."""
        endpoint = {
            "endpoint": "flights",
            "region": REGION,
            "role_arn": ROLE,
            "image": IMAGE,
            "instance_type": "ml.c5.large",
            "instance_count": 2,
        }
        self._loopback = loopback
        self._settings = sagemaker_settings(folder, f"s3://{_BUCKET}/flights", endpoint)
        self._calendar, self._folder = FlightMonths(), folder
        self._flights = load_flights(fraction, 0)
        self._versions: list[ServedVersion] = []
        for span in TRAINED_ON:
            write_span(self._flights, span, folder / "spans")
        self._store = open_loop_store(self._settings.pipeline.metadata_path)

    def train_first(self) -> None:
        """Trains and pushes the first version."""
        from tfx_loop.pipelines.runners.local import run_pipeline
        from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

        pipeline = training_pipeline(self._settings, TrainingRequest(spans=TRAINED_ON))
        with leases.hold(self._store, _FIRST_RUN):
            run_pipeline(pipeline, _FIRST_RUN)

    def month(self, span: int) -> list[str]:
        """Serves, labels, monitors and decides a month; returns a row of the table."""
        window = self._calendar.window_of_span(span)
        flights = self._flights[self._flights["span"] == span]
        version = self._stable()
        self._versions.append(ServedVersion(version=version, since_ms=window.start_ms))
        asked = ask_endpoint(self._loopback.runtime, "flights", flights, self._loopback.capture_at)
        if span - 1 in REPLAYED:
            before = self._flights[self._flights["span"] == span - 1]
            write_ground_truth(self._settings.pipeline.labels, before, window.end_ms)
            write_span(self._flights, span - 1, self._folder / "spans")
        settings = self._known_settings()
        rows = read_captures(settings.serving.capture, MODEL_NAME, window.start_ms, window.end_ms)
        answered = len(set(rows.table.column("request_id").to_pylist()))
        if (answered, len(rows.table)) != (asked, len(flights)) or rows.losses.rejected_captures:
            raise SystemExit(
                f"{window.name}: {len(flights)} flights in {asked} requests, captured "
                f"{len(rows.table)} in {answered}, {rows.losses}"
            )
        result = self._controller(settings, window.end_ms).step(window.name)
        if result.monitoring.state is not RunState.SUCCEEDED or result.decision is None:
            raise SystemExit(f"{window.name}: monitoring failed: {result.monitoring}")
        if result.outcome is not None and result.outcome.state is not RunState.SUCCEEDED:
            raise SystemExit(f"{window.name}: the retraining failed: {result.outcome}")
        decision = RETRAIN_DECISION.read(result.decision.uri)
        return [
            window.name,
            f"{len(rows.table):,}",
            str(self._labelled(settings, span - 1)),
            decision.verdict,
            decision.reason,
            str(version),
            str(self._stable()),
        ]

    def _labelled(self, settings: Settings, span: int) -> int:
        if span not in REPLAYED:
            return 0
        window = self._calendar.window_of_span(span)
        rows = read_captures(settings.serving.capture, MODEL_NAME, window.start_ms, window.end_ms)
        _, counts = join_labels(rows.table, read_labels(settings.pipeline.labels))
        return counts.matched

    def _known_settings(self) -> Settings:
        # The record knows when a version was promoted in this year, not in that of the flights.
        serving = self._settings.serving
        capture = replace(serving.capture, versions=tuple(self._versions))
        return replace(self._settings, serving=replace(serving, capture=capture))

    def _controller(self, settings: Settings, now_ms: int) -> Any:
        from tfx_loop.pipelines.control.loop import Controller
        from tfx_loop.pipelines.runners.launchers import MonitoringLauncher, TrainingLauncher
        from tfx_loop.pipelines.runners.rolling_back import roll_back_of

        parts = (self._store, settings, self._calendar, TRAINED_ON[0])
        return Controller(
            self._store,
            LOOP,
            MonitoringLauncher(*parts),
            TrainingLauncher(*parts),
            clock=lambda: now_ms,
            stable_version=self._stable,
            roll_back=roll_back_of(settings.serving.base_path, self._store),
            window_ended=lambda name, at_ms: self._calendar.window(name).end_ms <= at_ms,
        )

    def _stable(self) -> int:
        stable = read_record(self._settings.serving.base_path, MODEL_NAME).stable
        if stable is None:
            raise SystemExit("nothing serves: see the log of SageMakerPusher")
        return stable.version


def main() -> int:
    """Prints a row a month."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=3, help="from March on")
    parser.add_argument("--fraction", type=float, default=0.2, help="share of the flights")
    parser.add_argument("--out", type=Path, default=Path("out/sagemaker_flights"))
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    # moto's server tells every request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with sagemaker_loopback(_BUCKET, ServerContainer) as loopback:
        example = FlightsOnSageMaker(loopback, args.out.absolute(), args.fraction)
        example.train_first()
        print("window   captured  labelled  decision  reason  served  serves now", flush=True)
        for span in REPLAYED[: args.months]:
            print("  ".join(example.month(span)), flush=True)
    print("every request was answered, captured and read")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
