"""Thirty simulated days of `Loop.watch` in a process of its own, which may die at any point.

    PYTHONPATH=src:tests/helpers python tests/helpers/watch_driver.py FOLDER DAYS SEED KILL_RATE

The store, the log, the label files, the schedule and the daemon are real; clock and launchers are
parameters, so that a day takes milliseconds. The work of each run leaves a line in `launches.log`.
Days bring what days bring: labels come one to three days late, days 5 and 13 have no traffic, on
days 11 and 12 the server does not answer, on day 17 the disk is full, and days 3, 8, 9, 16, 17
and 24 ask for a retraining. KILL_RATE is the chance of a kill at each point.
"""

import errno
import json
import os
import random
import resource
import signal
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from log_rows import batch_of
from recorder import RecordedLauncher, monitoring_nodes, training_nodes

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentState,
    read_record,
)
from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.pipelines.control import windows
from tfx_loop.pipelines.control.watch import WatchSettings
from tfx_loop.pipelines.loop import Loop
from tfx_loop.pipelines.loop_settings import ModelLoopSettings, Serving

START_MS = int(datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp() * 1000)
DAY_MS, POLL_SECONDS, ROWS = 86_400_000, 2 * 3600.0, 20
WITHOUT_TRAFFIC, SERVER_AWAY, DISK_FULL = {5, 13}, {11, 12}, {17}
ASKING = {3, 8, 9, 16, 17, 24}


def day_of(window):
    """Returns the number of a window's day, from 1 on."""
    return int(window[-2:]) if window.startswith("2024-01") else 31 + int(window[-2:])


class Days:
    """The world: a clock that the waiting moves, traffic and labels that come with it."""

    def __init__(self, folder, seed, kill_rate):
        """Goes on from where the process before was killed."""
        self.folder, self.random, self.kill_rate = folder, random.Random(seed), kill_rate
        self._now = folder / "now"

    def clock(self):
        """Returns the simulated time."""
        return int(self._now.read_text()) if self._now.exists() else START_MS

    @property
    def day(self):
        """The day that it is, from 1 on."""
        return (self.clock() - START_MS) // DAY_MS + 1

    def at(self, point):
        """Dies here, with the chance that was given."""
        if self.random.random() < self.kill_rate:
            os.kill(os.getpid(), signal.SIGKILL)

    def wait(self, seconds):
        """Lets time pass."""
        self.at("wait")
        before = self.day
        scratch = self.folder / "now.new"
        scratch.write_text(str(self.clock() + int(seconds * 1000)))
        scratch.replace(self._now)
        for day in range(before, self.day):
            self.bring(day)

    def bring(self, day):
        """Writes the traffic of a day that ended, and the labels that come now."""
        begin = START_MS + (day - 1) * DAY_MS
        if day not in WITHOUT_TRAFFIC:
            writer = PredictionLogWriter(self.folder / "log")
            # One id each: traffic that a kill brings twice counts once.
            writer.append("flights", begin + 1, batch_of(f"day-{day}", ROWS, begin + 1))
            writer.close()
        for earlier in range(max(day - 3, 1), day + 1):
            late = 1 + earlier % 3
            if earlier + late == day + 1 and earlier not in WITHOUT_TRAFFIC:
                self.label(earlier)

    def label(self, day):
        """Writes the labels of a day."""
        time_ms = START_MS + day * DAY_MS
        table = pa.table(
            {
                "request_id": [f"day-{day}"] * ROWS,
                "instance_index": list(range(ROWS)),
                "label": [1.0] * ROWS,
                "label_time_ms": [time_ms] * ROWS,
            }
        )
        pq.write_table(table, self.folder / "labels" / f"{day}.parquet")


class DaysLauncher(RecordedLauncher):
    """A launcher that cannot begin while the disk is full, or the server away."""

    def __init__(self, days, kind, *parts):
        """Keeps the world in which it launches."""
        super().__init__(*parts, on_point=days.at)
        self._days, self._kind = days, kind

    def check(self, request):
        """Raises what a real one would."""
        if self._days.day in DISK_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._kind == "training" and self._days.day in SERVER_AWAY:
            raise ServerUnavailable("No answer from http://127.0.0.1:1. Is it running?")


def launchers_of(days):
    """Returns what makes the launchers of a loop."""

    def work(run_id):
        with (days.folder / "launches.log").open("a") as log:
            log.write(f"{run_id}\n")

    def push(run_id):
        base = str(days.folder / "serving")
        record = read_record(base, "flights")
        if any(one.run_id == run_id for one in record.versions):
            return
        deployed = deployment(record.next_version, run_id, days.clock())
        DEPLOYMENT_RECORD.write(record.with_version(deployed), base)

    def monitoring(run_id, request):
        asks = day_of(request.window) in ASKING
        stable = read_record(str(days.folder / "serving"), "flights").stable_version
        told = {
            "window": request.window,
            "verdict": "RETRAIN" if asks else "HOLD",
            "reason": "retraining_pays" if asks else "no_avoidable_loss",
            "model_version": stable,
        }
        return monitoring_nodes(told, lambda: work(run_id))

    def training(run_id, request):
        version = read_record(str(days.folder / "serving"), "flights").next_version
        nodes = training_nodes(
            version, decision_uri=request.decision_uri, work=lambda: work(run_id)
        )
        return [*nodes[:-1], replace(nodes[-1], work=lambda: push(run_id))]

    def made(loop):
        root = days.folder / "artifacts"
        return (
            DaysLauncher(days, "monitoring", loop.store, "monitoring", root / "m", monitoring),
            DaysLauncher(days, "training", loop.store, "training", root / "t", training),
        )

    return made


def deployment(version, run_id, now_ms):
    """Returns a version that serves."""
    return Deployment(
        version=version,
        model_digest="sha256:0",
        model_uri="/models",
        reference_profile_uri="/profile",
        variant="float",
        run_id=run_id,
        pushed_at_ms=now_ms,
        replaced=version - 1 or None,
        state=DeploymentState.STABLE,
    )


def main(folder, until, seed, kill_rate):
    """Watches until the last day has ended."""
    days = Days(folder, seed, kill_rate)
    for name in ("labels", "log/flights", "serving"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "serving/deployment.json").exists():
        record = read_record(str(folder / "serving"), "flights")
        first = record.with_version(deployment(1, "first", START_MS))
        DEPLOYMENT_RECORD.write(first, folder / "serving")
    settings = ModelLoopSettings.of(
        {
            "name": "flights",
            "label": "y",
            "labels": str(folder / "labels"),
            "serving": Serving(
                url="http://127.0.0.1:1",
                base_path=str(folder / "serving"),
                prediction_log=str(folder / "log"),
            ),
            "windows": windows.Days("2024-01-01"),
            "home": str(folder / "home"),
            "mode": "act",
            "cooldown": "0s",
            "max_trainings": "99/7d",
            "notify": ["log"],
        }
    )
    loop = Loop(settings, None, clock=days.clock, launchers=launchers_of(days))
    rss = {}

    def wait(seconds):
        days.wait(seconds)
        rss[days.day] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return days.day > until

    watch = loop.watch(WatchSettings(poll_seconds=POLL_SECONDS), wait)
    loop.controller._on_step = lambda step: days.at(step.value)
    watch.run()
    (folder / "memory.json").write_text(json.dumps(rss))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
