"""Runs whose owner is on another machine: heartbeats keep them, and their end lets others go on."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import loop_driver
import pytest
from recorder import open_store
from time_limits import seconds

from tfx_loop.pipelines.control import heartbeats, leases, ledger
from tfx_loop.pipelines.control.claims import ClaimBook
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.leases import Lease, LeaseEnd, RunBusy
from tfx_loop.pipelines.control.loop import Step

DRIVER = Path(loop_driver.__file__)
# Longer than any test; where time is to pass, the test ends the leases.
LONG = 600.0


def start(
    folder: Path,
    host: str,
    kill_point: str = "-",
    work_seconds: float = 0.0,
    lease_seconds: float = LONG,
    store: str = "",
):
    path = os.pathsep.join([str(DRIVER.parent), str(DRIVER.parents[2] / "src")])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "HOST_NAME": host,
        "LEASE_SECONDS": str(lease_seconds),
        "WORK_SECONDS": str(work_seconds),
        "STORE": store,
    }
    command = [sys.executable, str(DRIVER), str(folder), kill_point, "2013-03"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process) -> tuple[int, str]:
    errors = process.communicate(timeout=seconds(120))[1]
    return process.returncode, errors


def let_leases_end(place: Path | str) -> None:
    """Makes all leases so short that they are over unless heartbeats still come."""
    store = open_store(place)
    for lease in store.get_artifacts_by_type(ledger.LEASE):
        ledger.set_properties(lease, {"lease_seconds": 0.001})
        store.put_artifacts([lease])
    time.sleep(0.01)


def trained(folder: Path) -> int:
    log = folder / "work.log"
    return log.read_text().count("retrain-") if log.exists() else 0


def outcomes(place: Path | str):
    book = ClaimBook(open_store(place), "flights")
    return book.claims(), list(book.outcomes().values())


@pytest.mark.slow
@pytest.mark.parametrize("point", ["training:running:Trainer", "monitoring:running:DriftMonitor"])
def test_killed_container_is_resumed_by_one_of_a_new_name(tmp_path, point) -> None:
    assert ended(start(tmp_path, "container-1", point))[0] != 0
    # Nobody can see that it is dead: until its lease is over, the run counts as under way.
    code, errors = ended(start(tmp_path, "container-2"))
    assert code == 0, errors
    assert trained(tmp_path) == 0
    let_leases_end(tmp_path / "metadata.db")
    code, errors = ended(start(tmp_path, "container-3"))
    assert code == 0, errors
    claims, found = outcomes(tmp_path / "metadata.db")
    assert (len(claims), [one.state for one in found]) == (1, [RunState.SUCCEEDED])
    assert trained(tmp_path) == 1


@pytest.mark.slow
def test_run_that_takes_longer_than_a_lease_is_kept_by_its_heartbeats(tmp_path) -> None:
    # Enough for ten writes on a busy machine, short enough to wait for.
    lasts = seconds(3)
    first = start(tmp_path, "container-1", work_seconds=2.5 * lasts, lease_seconds=lasts)
    store = None
    deadline = time.monotonic() + seconds(60)
    while store is None or not store.get_artifacts_by_type(ledger.CLAIM):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        store = (
            open_store(tmp_path / "metadata.db") if (tmp_path / "metadata.db").exists() else None
        )
    while first.poll() is None:
        code, errors = ended(start(tmp_path, "container-2"))
        assert code == 0, errors
    assert ended(first)[0] == 0
    assert trained(tmp_path) == 1


@pytest.mark.slow
def test_types_that_eight_processes_register_at_once_stand_once(new_store) -> None:
    store = open_store(new_store)
    path = os.pathsep.join([str(DRIVER.parent), str(DRIVER.parents[2] / "src")])
    # All are at the same point before the first of them writes.
    program = (
        "import sys, recorder; from tfx_loop.pipelines.control import ledger; "
        "store = recorder.open_store(sys.argv[1]); print('ready', flush=True); input(); "
        "print(sorted(ledger.register_types(store).values()))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, new_store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    told = {process.communicate(timeout=seconds(120))[0] for process in processes}
    assert told == {f"{sorted(ledger.register_types(store).values())}\n"}
    kinds = [*store.get_artifact_types(), *store.get_execution_types()]
    names = [kind.name for kind in kinds if kind.name.startswith("loop.")]
    assert sorted(names) == sorted([*ledger.ARTIFACT_TYPES, *ledger.EXECUTION_TYPES])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_eight_controllers_of_eight_names_launch_once_though_some_die(
    tmp_path, new_store, seed
) -> None:
    store = new_store
    if "://" in store:
        # Tables are made by whoever comes first; eight at once would each try.
        open_store(store)
    steps = [f"step:{step.value}" for step in Step if step is not Step.HELD]
    points = [steps[(seed * 3 + n) % len(steps)] if n < 3 else "-" for n in range(8)]
    running = [
        start(tmp_path, f"container-{n}", point, store=store) for n, point in enumerate(points)
    ]
    codes = [ended(process) for process in running]
    assert all(code in (0, -9) for code, _ in codes), [
        told[-2000:] for code, told in codes if code > 0
    ]
    # Whoever comes last carries on what the dead have left.
    let_leases_end(store)
    code, errors = ended(start(tmp_path, "late", store=store))
    assert code == 0, errors
    claims, found = outcomes(store)
    assert (len(claims), [one.state for one in found]) == (1, [RunState.SUCCEEDED])
    assert trained(tmp_path) == 1


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "metadata.db")


def elsewhere(store, lease: Lease) -> Lease:
    """Makes a lease one of another machine."""
    [artifact] = store.get_artifacts_by_id([lease.artifact_id])
    ledger.set_properties(artifact, {"host": "elsewhere"})
    store.put_artifacts([artifact])
    return leases.lease_from(artifact)


def test_lease_elsewhere_ends_with_its_heartbeats(store, tmp_path) -> None:
    lease = elsewhere(store, leases.take(store, "run", 1, LONG))
    heartbeats.write(store, lease.name)
    assert leases.is_held(store, lease)
    assert leases.take(store, "run", 2, LONG) is None
    let_leases_end(tmp_path / "metadata.db")
    [artifact] = store.get_artifacts_by_id([lease.artifact_id])
    assert not leases.is_held(store, leases.lease_from(artifact))
    assert leases.take(store, "run", 2, LONG) is not None


def test_lease_of_a_release_without_heartbeats_is_waited_for(store) -> None:
    lease = elsewhere(store, leases.take(store, "run", 1, 0.0))
    time.sleep(0.05)
    assert leases.is_held(store, lease)


def test_owner_whose_run_was_taken_over_stops(store) -> None:
    lease = leases.take(store, "run", 1, LONG)
    leases.check_held(store, lease)
    leases.close(store, lease, LeaseEnd.RELEASED)
    assert leases.take(store, "run", 2) is not None
    with pytest.raises(RunBusy, match="It goes on there"):
        leases.check_held(store, lease)


@pytest.mark.slow
def test_heartbeats_beside_other_writes_lose_neither(store) -> None:
    ledger.register_types(store)
    with heartbeats.beating(store, "run#1", 0.05):
        for number in range(150):
            lease = leases.take(store, f"other-{number}", 1)
            leases.close(store, lease, LeaseEnd.SUCCEEDED)
    assert len(store.get_artifacts_by_type(ledger.LEASE)) == 150
    beats = store.get_artifact_by_type_and_name(ledger.HEARTBEAT, "run#1")
    assert beats.custom_properties["beats"].int_value > 3
    assert not [t for t in threading.enumerate() if t.name.startswith("heartbeat-")]
