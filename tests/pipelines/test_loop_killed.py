"""Killed at any moment and started again, the loop launches once and forgets nothing."""

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import loop_driver
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_metadata.proto import metadata_store_pb2 as pb
from recorder import DONE, IMPORTER, open_store

from tfx_loop.core.type_names import RETRAIN_DECISION
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.claims import ClaimBook
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.loop import Step
from tfx_loop.pipelines.control.run_state import mlmd_run_state

pytestmark = pytest.mark.slow

DRIVER = Path(loop_driver.__file__)
WINDOWS = ["2013-03", "2013-04"]

# Where a step can be killed; HELD is not on the way of a decision that is launched.
STEPS = [f"step:{step.value}" for step in Step if step is not Step.HELD]
INSIDE = [
    "monitoring:before:PredictionLogGen",
    "monitoring:running:PredictionLogGen",
    "monitoring:before:RetrainDecider",
    "monitoring:running:RetrainDecider",
    "monitoring:after_nodes",
    "training:before:decision",
    "training:running:decision",
    "training:running:SpanExampleGen",
    "training:before:Trainer",
    "training:running:Trainer",
    "training:running:ServingPusher",
    "training:after_nodes",
]


def drive(folder, kill_point, windows=WINDOWS):
    process = start(folder, kill_point, windows)
    errors = process.communicate()[1]
    return subprocess.CompletedProcess(process.args, process.returncode, stderr=errors)


def start(folder, kill_point, windows=WINDOWS):
    command = [sys.executable, str(DRIVER), str(folder), kill_point, *windows]
    path = os.pathsep.join([str(DRIVER.parent), str(DRIVER.parents[2] / "src")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def drive_in_fork(folder, kill_point):
    """As `drive`, without the second that a new interpreter takes."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            loop_driver.main(folder, kill_point, WINDOWS)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def work(folder):
    return Counter((folder / "work.log").read_text().split())


def assert_one_launch_and_nothing_forgotten(folder):
    store = open_store(folder / "metadata.db")
    for window in WINDOWS:
        run_id = f"monitor-flights-{window}"
        assert mlmd_run_state(store, run_id).state is RunState.SUCCEEDED
        made = ledger.outputs_of_run(store, run_id, ["RetrainDecider"], RETRAIN_DECISION)
        assert len(made) == 1

    book = ClaimBook(store, "flights")
    [claim] = book.claims()
    assert book.open_claims() == []
    outcome = book.outcomes()[claim.name]
    assert (outcome.state, outcome.pushed_version) == (RunState.SUCCEEDED, 2)
    assert len(store.get_executions_by_type(ledger.ADMISSION)) == 1
    assert len(store.get_executions_by_type(ledger.RETRAINING)) == 1

    runs = [c.name for c in store.get_contexts_by_type(ledger.PIPELINE_RUN)]
    assert [name for name in runs if name.startswith("retrain-")] == [claim.run_id]
    nodes = [e for e in ledger.executions_of_run(store, claim.run_id) if e.type != IMPORTER]
    assert len(nodes) == 4
    assert all(node.last_known_state in DONE for node in nodes)
    assert len(store.get_artifacts_by_type("PushedModel")) == 1
    training_inputs = [
        event
        for event in store.get_events_by_execution_ids([node.id for node in nodes])
        if event.artifact_id == claim.decision_id and event.type == pb.Event.INPUT
    ]
    assert len(training_inputs) == 1


@pytest.mark.parametrize("kill_point", STEPS)
def test_one_launch_after_kill_in_each_step(tmp_path, kill_point):
    killed = drive(tmp_path, kill_point)
    assert killed.returncode == -9, killed.stderr
    restarted = drive(tmp_path, "-")
    assert restarted.returncode == 0, restarted.stderr
    assert_one_launch_and_nothing_forgotten(tmp_path)


@pytest.mark.parametrize("kill_point", INSIDE)
def test_one_launch_after_kill_inside_a_run(tmp_path, kill_point):
    assert drive_in_fork(tmp_path, kill_point) == -9
    assert drive_in_fork(tmp_path, "-") == 0
    assert_one_launch_and_nothing_forgotten(tmp_path)


def test_steps_done_before_the_kill_are_not_done_again(tmp_path):
    drive(tmp_path, "step:trained")
    before = work(tmp_path)
    assert before[f"monitor-flights-{WINDOWS[0]}"] == 1
    drive(tmp_path, "-")
    assert set(work(tmp_path).values()) == {1}


def test_claim_is_carried_on_when_only_a_later_window_is_asked_for(tmp_path):
    drive(tmp_path, "step:claimed")
    restarted = drive(tmp_path, "-", ["2013-04"])
    assert restarted.returncode == 0, restarted.stderr
    assert_one_launch_and_nothing_forgotten(tmp_path)


def test_third_start_finds_nothing_to_do(tmp_path):
    assert drive(tmp_path, "-").returncode == 0
    once = work(tmp_path)
    assert drive(tmp_path, "-").returncode == 0
    assert work(tmp_path) == once
    assert_one_launch_and_nothing_forgotten(tmp_path)


def assert_one_launch_after(folder, kills):
    for kill_point in kills:
        assert drive_in_fork(folder, kill_point) in (0, -9)
    assert drive_in_fork(folder, "-") == 0
    assert_one_launch_and_nothing_forgotten(folder)


SEQUENCES = st.lists(st.sampled_from(STEPS + INSIDE), max_size=6)


@pytest.mark.e2e
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=SEQUENCES)
def test_any_sequence_of_kills_gives_one_launch(tmp_path_factory, kills):
    assert_one_launch_after(tmp_path_factory.mktemp("kills"), kills)


@pytest.mark.e2e
@pytest.mark.long
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=SEQUENCES)
def test_many_more_sequences_of_kills_give_one_launch(tmp_path_factory, kills):
    assert_one_launch_after(tmp_path_factory.mktemp("kills"), kills)


def test_four_processes_at_once_launch_once(tmp_path):
    open_store(tmp_path / "metadata.db")
    running = [start(tmp_path, "-") for _ in range(4)]
    ended = [(process.communicate()[1], process.returncode) for process in running]
    assert [code for _, code in ended] == [0] * 4, ended
    assert_one_launch_and_nothing_forgotten(tmp_path)
    assert set(work(tmp_path).values()) == {1}


def test_threads_at_once_launch_once(tmp_path):
    open_store(tmp_path / "metadata.db")
    errors = []
    barrier = threading.Barrier(6)

    def run():
        barrier.wait()
        try:
            loop_driver.main(tmp_path, "-", WINDOWS)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert_one_launch_and_nothing_forgotten(tmp_path)
    assert set(work(tmp_path).values()) == {1}
