"""Runs the loop over windows in a process of its own, and kills that process at a named point.

    PYTHONPATH=src:tests/helpers python tests/helpers/loop_driver.py FOLDER KILL_POINT WINDOW...

KILL_POINT is `step:NAME` (a `Step` of the loop), `monitoring:POINT` or `training:POINT` (a point of
the recorded run, such as `running:Trainer`), or `-` for none. Window 2013-03 asks for a
retraining. Each node that works leaves a line in `work.log`, to count the work that was done.

HOST_NAME in the environment is the machine that the process believes to be on, as a container has a
name of its own; STORE is another store than the folder's; LEASE_SECONDS and WORK_SECONDS are how
long a lease lasts and a training takes.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from recorder import RecordedLauncher, monitoring_nodes, open_store, training_nodes

from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings

ASKING_WINDOW = "2013-03"


def main(folder: Path, kill_point: str, windows: list[str]) -> None:
    """Steps through the windows, or dies at the kill point."""

    def at(point: str) -> None:
        if point == kill_point:
            os.kill(os.getpid(), signal.SIGKILL)

    def work(name: str) -> None:
        with (folder / "work.log").open("a") as log:
            log.write(f"{name}\n")

    def monitoring(run_id, request):
        verdict = "RETRAIN" if request.window == ASKING_WINDOW else "HOLD"
        decision = {"window": request.window, "verdict": verdict}
        return monitoring_nodes(decision, lambda: work(run_id))

    def trained(name: str) -> None:
        time.sleep(float(os.environ.get("WORK_SECONDS", "0")))
        work(name)

    def training(run_id, request):
        nodes = training_nodes(2, decision_uri=request.decision_uri, work=lambda: trained(run_id))
        return nodes

    store = open_store(os.environ.get("STORE") or folder / "metadata.db")
    loop = Controller(
        store,
        LoopSettings(
            model_name="flights",
            mode=LoopMode.ACT,
            max_attempts=20,
            lease_seconds=float(os.environ.get("LEASE_SECONDS", "600")),
        ),
        RecordedLauncher(
            store, "monitoring", folder / "m", monitoring, lambda p: at(f"monitoring:{p}")
        ),
        RecordedLauncher(store, "training", folder / "t", training, lambda p: at(f"training:{p}")),
        clock=lambda: 1_362_096_000_000,
        on_step=lambda step: at(f"step:{step.value}"),
    )
    for window in windows:
        loop.step(window)


if __name__ == "__main__":
    if name := os.environ.get("HOST_NAME"):
        socket.gethostname = lambda: name
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
