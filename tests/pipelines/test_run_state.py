"""The state of a run, read from leases and executions."""

import contextlib
import dataclasses

import pytest
from recorder import RecordedNode, RecordedOutput, RecordedRun, open_store

from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.leases import LeaseEnd
from tfx_loop.pipelines.control.run_state import mlmd_run_state


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "metadata.db")


class Killed(BaseException):
    """Stands for the moment of death: nothing after it is recorded."""


def kill_at(wanted):
    def at(point):
        if point == wanted:
            raise Killed

    return at


NODES = [
    RecordedNode("Gen", outputs={"examples": RecordedOutput("Examples")}),
    RecordedNode(
        "Trainer", inputs={"examples": "Gen.examples"}, outputs={"model": RecordedOutput("Model")}
    ),
]


def record(store, tmp_path, kill=""):
    with contextlib.suppress(Killed):
        RecordedRun(store, "training", "r1", tmp_path, kill_at(kill)).run(NODES)


def orphan(store, lease):
    """Gives a lease an owner that is dead: this pid, but of a process that started before it."""
    [artifact] = store.get_artifacts_by_id([lease.artifact_id])
    artifact.custom_properties["process_started"].double_value -= 1000
    store.put_artifacts([artifact])


def state(store):
    return mlmd_run_state(store, "r1").state


def test_unknown_run_is_absent(store):
    assert state(store) is RunState.ABSENT


def test_run_with_a_live_owner_is_running_even_before_its_first_node(store, tmp_path):
    leases.take(store, "r1", 1)
    assert state(store) is RunState.RUNNING
    record(store, tmp_path, "running:Trainer")
    assert state(store) is RunState.RUNNING


def test_lease_of_a_dead_owner_without_any_node_is_absent(store):
    orphan(store, leases.take(store, "r1", 1))
    assert state(store) is RunState.ABSENT


@pytest.mark.parametrize(
    "kill", ["running:Gen", "before:Trainer", "running:Trainer", "after_nodes"]
)
def test_run_with_a_dead_owner_is_interrupted(store, tmp_path, kill):
    lease = leases.take(store, "r1", 1)
    record(store, tmp_path, kill)
    orphan(store, lease)
    assert state(store) is RunState.INTERRUPTED


def test_run_is_succeeded_only_when_its_holder_says_so(store, tmp_path):
    with leases.hold(store, "r1"):
        record(store, tmp_path)
        assert state(store) is RunState.RUNNING
    assert state(store) is RunState.SUCCEEDED


def test_failed_run_tells_node_and_reason(store, tmp_path):
    def explode():
        raise ValueError("loss is NaN")

    nodes = [NODES[0], dataclasses.replace(NODES[1], work=explode)]
    with pytest.raises(ValueError, match="NaN"), leases.hold(store, "r1"):
        RecordedRun(store, "training", "r1", tmp_path).run(nodes)
    status = mlmd_run_state(store, "r1")
    assert (status.state, status.node) == (RunState.FAILED, "Trainer")
    assert status.reason == "ValueError: loss is NaN"


def test_run_broken_off_by_its_user_is_interrupted_although_the_process_lives(store, tmp_path):
    def broken_off():
        with leases.hold(store, "r1"):
            record(store, tmp_path, "before:Trainer")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert state(store) is RunState.INTERRUPTED


def test_run_of_a_runner_without_leases(store, tmp_path):
    record(store, tmp_path, "running:Trainer")
    assert state(store) is RunState.RUNNING
    record(store, tmp_path)
    assert state(store) is RunState.SUCCEEDED


def test_importer_left_running_by_the_dead_process_does_not_count(store, tmp_path):
    nodes = [
        RecordedNode("champion", import_uri="/m/1", outputs={"result": RecordedOutput("Model")})
    ]
    with pytest.raises(Killed):
        RecordedRun(store, "training", "r1", tmp_path, kill_at("running:champion")).run(nodes)
    RecordedRun(store, "training", "r1", tmp_path).run(nodes)
    assert state(store) is RunState.SUCCEEDED


def test_attempt_can_be_taken_once(store):
    first = leases.take(store, "r1", 1)
    assert leases.take(store, "r1", 1) is None
    assert leases.take(store, "r1", 2) is None, "its owner is alive"
    orphan(store, first)
    assert leases.take(store, "r1", 1) is None, "the name is taken for ever"
    assert leases.take(store, "r1", 2).attempt == 2
    assert leases.latest(store, "r1").attempt == 2


def test_end_of_a_lease_is_written_once(store):
    lease = leases.take(store, "r1", 1)
    leases.close(store, lease, LeaseEnd.SUCCEEDED)
    leases.close(store, lease, LeaseEnd.RELEASED)
    assert leases.latest(store, "r1").end is LeaseEnd.SUCCEEDED


def test_hold_joins_the_lease_of_its_own_thread(store):
    taken = leases.take(store, "r1", 1)
    with leases.hold(store, "r1") as joined:
        assert joined == taken
    with leases.hold(store, "r1") as again:
        assert again.attempt == 2


def test_owner_is_looked_up_on_its_own_machine():
    assert not dataclasses.replace(leases.this_owner(), host="elsewhere").is_here
    assert leases.this_owner().is_here
    assert leases.this_owner().is_alive()
    assert not dataclasses.replace(leases.this_owner(), pid=2**22 + 1).is_alive()
