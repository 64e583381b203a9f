"""Pushes to one base path at once, from threads and processes: one after the other, none harmed."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from push_process import push_once
from time_limits import seconds

from tfx_loop.contracts.deployment_record import (
    PUSH_LOCK,
    DeploymentState,
    SharedRecord,
    read_record,
)
from tfx_loop.core.conditional_files import FolderFiles
from tfx_loop.core.errors import WriteConflict

HELPERS = Path(__file__).resolve().parents[3] / "helpers"


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving" / "flights"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "saved_model.pb").write_text("good")
    return folder


def start(base, model, run_id, check_seconds=0.0):
    command = [sys.executable, HELPERS / "push_process.py", base, model, run_id, str(check_seconds)]
    environment = {**os.environ, "PYTHONPATH": str(HELPERS)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def result(process):
    output, errors = process.communicate(timeout=seconds(120))
    assert process.returncode == 0, errors
    return int(output.split()[-1])


def check_chain(base, versions):
    """Checks that every version replaced the one before, and that the newest serves."""
    record = read_record(str(base), "flights")
    assert [v.version for v in record.versions] == list(range(1, versions + 1))
    assert [v.replaced for v in record.versions] == [None, *range(1, versions)]
    states = [v.state for v in record.versions]
    assert states == [DeploymentState.RETIRED] * (versions - 1) + [DeploymentState.STABLE]
    folders = {p.name for p in base.iterdir() if p.name != ".lock"}
    assert folders == {"deployment.json", *map(str, range(1, versions + 1))}


@pytest.mark.slow
def test_pushes_of_threads_follow_each_other(base, model):
    with ThreadPoolExecutor(5) as pool:
        pushes = [pool.submit(push_once, base, model, f"run-{n}", 0.1) for n in range(5)]
        assert sorted(push.result() for push in pushes) == [1, 2, 3, 4, 5]
    check_chain(base, 5)


@pytest.mark.slow
def test_push_of_another_process_waits_while_a_version_is_proven(base, model):
    first = start(base, model, "run-a", 3.0)
    assert first.stdout.readline() == "checking 1\n"
    second = start(base, model, "run-b")
    assert (result(first), result(second)) == (1, 2)
    check_chain(base, 2)


@pytest.mark.slow
def test_one_run_started_twice_pushes_once(base, model):
    twice = [start(base, model, "run-a", 0.5) for _ in range(2)]
    assert [result(process) for process in twice] == [1, 1]
    check_chain(base, 1)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_push_killed_in_its_check_is_followed(base, model, host):
    push_once(base, model, "run-1", 0.0)
    killed = start(base, model, "run-2", 60.0)
    assert killed.stdout.readline() == "checking 2\n"
    killed.kill()
    killed.communicate()
    note = json.loads((base / PUSH_LOCK).read_text())
    assert "run-2" in note["holder"]
    if host == "elsewhere":
        # Of a process of another host nobody knows: its note has to expire, here in two seconds.
        (base / PUSH_LOCK).write_text(json.dumps({**note, "seconds": 2.0, "process": "other 1 1"}))
    began = time.monotonic()
    assert push_once(base, model, "run-3", 0.0) == 3
    assert host == "here" or time.monotonic() - began > 2
    record = read_record(str(base), "flights")
    assert [v.state.value for v in record.versions] == ["retired", "failed", "stable"]
    assert (record.versions[1].reason, record.versions[2].replaced) == ("interrupted", 1)
    assert not (base / "2").exists()


def test_push_whose_lock_was_taken_changes_nothing_more(base, model, monkeypatch):
    push_once(base, model, "run-1", 0.0)

    def taken(*_):
        (base / PUSH_LOCK).write_text('{"holder": "run-b", "token": "b", "seconds": 30}')
        raise OSError("the check ended late")

    times = {"monotonic": time.monotonic, "time_ns": time.time_ns, "sleep": taken}
    monkeypatch.setattr("push_process.time", SimpleNamespace(**times))
    with pytest.raises(WriteConflict, match="received run-b: it was not renewed in time"):
        push_once(base, model, "run-2", 5.0)
    # The version is the other push's to withdraw, and the lock is still the other's.
    assert (base / "2").exists()
    assert json.loads((base / PUSH_LOCK).read_text())["token"] == "b"
    assert read_record(str(base), "flights").stable.version == 1


def test_record_that_another_writer_replaced_is_not_written_over(base, model):
    push_once(base, model, "run-1", 0.0)
    ours = SharedRecord(FolderFiles(base), str(base), "flights")
    push_once(base, model, "run-2", 0.0)
    with pytest.raises(WriteConflict, match="somebody else wrote it meanwhile"):
        ours.write(ours.content)
    check_chain(base, 2)
