"""Approves a decision and retrains; as a process that a test kills: `FOLDER URL DECISION [KILL]`.

KILL names a node: some seconds after it has ended, in the midst of the next one, this process gets
SIGKILL.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopSettings
from tfx_loop.pipelines.control.stores import StoreMode, open_store
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.settings import MODEL_NAME, TRAINED_ON, flights_settings
from tfx_loop.pipelines.runners.launchers import MonitoringLauncher, TrainingLauncher

_INTO_THE_NEXT_NODE_SECONDS = 1.5


def retrain(folder: Path, url: str, decision: int, kill_after: str = "") -> None:
    """Approves once; a second start finds the approval and carries on."""

    def on_node(run_id: str, time: Any) -> None:
        print("ended", time.node, flush=True)
        if time.node == kill_after:
            threading.Timer(
                _INTO_THE_NEXT_NODE_SECONDS, os.kill, (os.getpid(), signal.SIGKILL)
            ).start()

    settings = flights_settings(folder, url)
    store = open_store(settings.pipeline.metadata_path, StoreMode.CREATE)
    parts = (store, settings, FlightMonths(), TRAINED_ON[0])
    now_ms = FlightMonths().window("2013-05").end_ms
    loop = Controller(
        store,
        LoopSettings(model_name=MODEL_NAME, cooldown_seconds=0),
        MonitoringLauncher(*parts),
        TrainingLauncher(*parts, on_node=on_node),
        clock=lambda: now_ms,
    )
    outcomes = loop.reconcile() if not kill_after else [loop.approve(decision).outcome]
    print("outcomes", [outcome.state.value for outcome in outcomes if outcome], flush=True)


if __name__ == "__main__":
    retrain(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
