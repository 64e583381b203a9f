"""`loop watch` as the process that it is: it steps in children, and outlives kills of either."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import time_limits

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
)

pytestmark = pytest.mark.slow

LOOP = """
name = "flights"
label = "late"
pipeline = "watched_training_of_a_test.nodes"
labels = "labels"
windows = { every = "day" }
serving = { url = "http://127.0.0.1:1", base_path = "serving", prediction_log = "log" }
"""
# A step imports the training function first: a file holds it up there.
# What it prints, by a child process too, is no part of the answer that `loop watch` reads.
TRAINING = """
import os, pathlib, time
print("Epoch 1/25")
os.system("echo Processing a wheel")
while pathlib.Path("held_up").exists():
    time.sleep(0.05)
def nodes():
    raise AssertionError("Nothing is due.")
"""


@pytest.fixture
def project(tmp_path):
    """A loop whose first version serves since now, so that its first window has not ended."""
    (tmp_path / "loop.toml").write_text(LOOP)
    (tmp_path / "watched_training_of_a_test.py").write_text(TRAINING)
    for name in ("labels", "log", "serving"):
        (tmp_path / name).mkdir()
    first = Deployment(
        version=1,
        state=DeploymentState.STABLE,
        model_digest="sha256:1",
        model_uri="",
        reference_profile_uri="",
        variant="float",
        run_id="first-flights-1",
        replaced=None,
        pushed_at_ms=int(time.time() * 1000),
    )
    record = DeploymentRecord(model_name="flights", versions=(first,))
    DEPLOYMENT_RECORD.write(record, tmp_path / "serving")
    return tmp_path


class WatchProcess:
    """A running `loop watch`."""

    def __init__(self, folder: Path) -> None:
        """Starts it, and waits until it says where its health is asked."""
        command = [sys.executable, "-m", "tfx_loop.pipelines.cli.main", "watch"]
        self._log = (folder / "watch.log").open("ab+")
        begin = self._log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(
            [*command, "--poll-seconds=1", "--health-port=0"],
            cwd=folder,
            stdout=self._log,
            stderr=self._log,
        )
        self.url = eventually(lambda: self._told(begin).partition("health: ")[2].partition("\n")[0])

    def _told(self, begin: int = 0) -> str:
        return Path(self._log.name).read_bytes()[begin:].decode()

    def health(self):
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.netloc, timeout=time_limits.seconds(30))
        connection.request("GET", place.path)
        answer = connection.getresponse()
        return answer.status, json.load(answer)

    def is_well(self):
        status, said = self.health()
        return status == 200 and "the end of window" in said["waits_for"]

    def child(self) -> int:
        """The process that steps; 0 between two steps."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return int((" ".join(file.read_text() for file in tasks).split() or ["0"])[0])

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(time_limits.seconds(30))


def eventually(found):
    """Returns what is found once it is; fails after a time."""
    until = time.monotonic() + time_limits.seconds(60)
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"Expected {found} to come, it did not.")


def test_a_daemon_outlives_its_children_and_itself(project):
    watch = WatchProcess(project)
    try:
        eventually(watch.is_well)
        (project / "held_up").touch()
        before = watch.child()
        held_up = eventually(lambda: watch.child() not in (0, before) and watch.child())
        os.kill(held_up, signal.SIGKILL)
        eventually(lambda: watch.health()[0] == 503 and "-9" in watch.health()[1]["trouble"])
        (project / "held_up").unlink()
        eventually(watch.is_well)
        watch.process.kill()  # SIGKILL: nothing of it gets to say goodbye.
        watch.process.wait()
        watch = WatchProcess(project)
        eventually(watch.is_well)
        assert watch.end() == 0
        assert "waits for the end of window" in (project / "watch.log").read_text().splitlines()[-1]
    finally:
        watch.process.kill()


@pytest.mark.long
def test_sigterm_lets_the_step_that_runs_end(project):
    (project / "held_up").touch()
    watch = WatchProcess(project)
    try:
        child = eventually(watch.child)
        watch.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            watch.process.wait(1.0)
        assert Path(f"/proc/{child}").exists()
        (project / "held_up").unlink()
        assert watch.process.wait(time_limits.seconds(60)) == 0
        assert not Path(f"/proc/{child}").exists()
    finally:
        watch.process.kill()
