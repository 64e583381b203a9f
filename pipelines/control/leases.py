"""Leases of pipeline runs: who is at a run, whether that process lives, how often it was started.

A lease is an artifact named `RUN#ATTEMPT`. Its name is unique, so of all processes that want to
make the third start of a run one wins; it stands in MLMD before anything is launched, so a start
cannot be forgotten. It names its owner: when the owner is dead and no end is recorded, the run was
interrupted. An owner on another machine is dead when its heartbeats have stopped. Only the owner
writes the end of a lease; one that was thought dead finds the next attempt's lease, and stops.
"""

import contextlib
import enum
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.errors import LoopError
from tfx_loop.pipelines.control import heartbeats, ledger
from tfx_loop.pipelines.control.ledger import Store

# Start times of one process, read twice, differ when the machine's clock was set in between.
_START_TOLERANCE_SECONDS = 2.0
# Characters: what failed stands at the begin of a message, and some carry a whole traceback.
_MAX_REASON = 2000


class LeaseEnd(enum.Enum):
    """How a lease ended; OPEN while its owner is at the run."""

    OPEN = "OPEN"
    RELEASED = "RELEASED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class RunBusy(LoopError):
    """Another process is at this run."""


@dataclass(frozen=True)
class Owner:
    """A thread of a process.

    Attributes:
        host: Name of its machine.
        pid: Process id.
        started: Start of the process, seconds since epoch; tells a reused pid from the old one.
        thread: Native thread id: two loops in one process are two owners.
    """

    host: str
    pid: int
    started: float
    thread: int

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Says whether the process runs; asked of one on this machine."""
        try:
            process = psutil.Process(self.pid)
            # The same pid may have been given to another process since. A zombie has ended, and
            # only waits for its parent to notice.
            same = abs(process.create_time() - self.started) < _START_TOLERANCE_SECONDS
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


def this_owner() -> Owner:
    """Returns the calling thread."""
    started = psutil.Process().create_time()
    return Owner(socket.gethostname(), os.getpid(), started, threading.get_native_id())


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One start of a run.

    Attributes:
        artifact_id: Id in MLMD.
        run_id: The pipeline run.
        attempt: 1 for the first start.
        owner: Who made it.
        end: How it ended, or OPEN.
        node: The node that failed, where it is known.
        reason: Why it failed.
        created_at_ms: When it was taken, by the store's stamp.
        lease_seconds: How long it lasts without a heartbeat; 0 in stores of earlier releases, whose
            owners write none.
    """

    artifact_id: int
    run_id: str
    attempt: int
    owner: Owner
    end: LeaseEnd
    node: str = ""
    reason: str = ""
    created_at_ms: int = 0
    lease_seconds: float = 0.0

    @property
    def name(self) -> str:
        """Its name in the store."""
        return f"{self.run_id}#{self.attempt}"


def lease_from(artifact: pb.Artifact) -> Lease:
    """Reads a lease back from its artifact."""
    values = ledger.properties(artifact)
    return Lease(
        artifact_id=int(artifact.id),
        run_id=str(values["run_id"]),
        attempt=int(values["attempt"]),
        owner=Owner(
            str(values["host"]),
            int(values["pid"]),
            float(values["process_started"]),
            int(values["thread"]),
        ),
        end=LeaseEnd(values["end"]),
        node=str(values.get("node", "")),
        reason=str(values.get("reason", "")),
        created_at_ms=int(artifact.create_time_since_epoch),
        lease_seconds=float(values.get("lease_seconds", 0.0)),
    )


def is_held(store: Store, lease: Lease) -> bool:
    """Says whether the owner of a lease is at the run."""
    if lease.end is not LeaseEnd.OPEN:
        return False
    # Its own process table tells for sure and at once; heartbeats take `lease_seconds`.
    if lease.owner.is_here:
        return lease.owner.is_alive()
    # Nobody can look from here; without heartbeats, taking over would be worse than waiting.
    if not lease.lease_seconds:
        return True
    return heartbeats.is_fresh(store, lease.name, lease.created_at_ms, lease.lease_seconds)


def check_held(store: Store, lease: Lease) -> None:
    """Raises RunBusy where the run went on under another lease: its owner was thought dead."""
    last = latest(store, lease.run_id)
    if last is not None and last.attempt > lease.attempt:
        raise RunBusy(
            f"Expected to hold run {lease.run_id} still, but it was started again on "
            f"{last.owner.host} as start {last.attempt}, when no heartbeat of start "
            f"{lease.attempt} had come for {lease.lease_seconds:g} s. It goes on there."
        )


def latest(store: Store, run_id: str) -> Lease | None:
    """Returns the last start of a run, or None when it was never started."""
    found = None
    attempt = 1
    # Attempts are numbered without a gap, so that a lookup by name finds the last.
    while artifact := store.get_artifact_by_type_and_name(ledger.LEASE, f"{run_id}#{attempt}"):
        found = artifact
        attempt += 1
    return lease_from(found) if found is not None else None


def take(
    store: Store, run_id: str, attempt: int, lease_seconds: float = heartbeats.LEASE_SECONDS
) -> Lease | None:
    """Takes the lease for one start of a run.

    Args:
        store: The metadata store.
        run_id: The pipeline run.
        attempt: One more than the starts that the caller saw before it looked at the run's state.
            If the run was started in between, the name is taken and the caller comes away empty.
        lease_seconds: How long the lease lasts without a heartbeat.

    Returns:
        The lease, or None: somebody else has it, or is at the run.
    """
    before = latest(store, run_id)
    if before is not None and is_held(store, before):
        return None
    owner = this_owner()
    artifact = pb.Artifact(
        type_id=ledger.register_types(store)[ledger.LEASE], name=f"{run_id}#{attempt}"
    )
    values: dict[str, Scalar] = {
        "run_id": run_id,
        "attempt": attempt,
        "host": owner.host,
        "pid": owner.pid,
        "process_started": owner.started,
        "thread": owner.thread,
        "end": LeaseEnd.OPEN.value,
        "lease_seconds": float(lease_seconds),
    }
    ledger.set_properties(artifact, values)
    try:
        store.put_artifacts([artifact])
    except errors.AlreadyExistsError:
        return None
    return lease_from(store.get_artifact_by_type_and_name(ledger.LEASE, artifact.name))


def close(store: Store, lease: Lease, end: LeaseEnd, node: str = "", reason: str = "") -> None:
    """Records how a lease ended, unless an end is recorded already."""
    _end(store, lease, end, (LeaseEnd.OPEN,), node, reason)


def settle(store: Store, lease: Lease, end: LeaseEnd, node: str = "", reason: str = "") -> None:
    """Records how a run ended that went on elsewhere after its owner had handed it over."""
    _end(store, lease, end, (LeaseEnd.OPEN, LeaseEnd.RELEASED), node, reason)


def _end(
    store: Store,
    lease: Lease,
    end: LeaseEnd,
    before: tuple[LeaseEnd, ...],
    node: str,
    reason: str,
) -> None:
    [artifact] = store.get_artifacts_by_id([lease.artifact_id])
    # MLMD has no compare-and-set; two ends are written by the owner alone, so the look before is
    # enough.
    if lease_from(artifact).end not in before:
        return
    values: dict[str, Scalar] = {"end": end.value, "node": node, "reason": reason[:_MAX_REASON]}
    ledger.set_properties(artifact, values)
    store.put_artifacts([artifact])


@contextlib.contextmanager
def hold(store: Store, run_id: str) -> Iterator[Lease]:
    """Holds a run while its nodes are executed in this thread, and records how it ended.

    Inside a launch by the loop it joins the lease that the loop took; elsewhere it takes one. A
    block that ends has SUCCEEDED; one that raises an Exception has FAILED; one that is broken off
    (Ctrl-C, exit) is RELEASED and may be resumed; one that is killed leaves the lease OPEN with a
    dead owner, which is what an interrupted run is.

    Raises:
        RunBusy: Another process or thread is at this run.
    """
    lease, taken = _join_or_take(store, run_id)
    # Whoever took the lease writes its heartbeats.
    beating = heartbeats.beating(store, lease.name, lease.lease_seconds)
    try:
        with beating if taken else contextlib.nullcontext():
            yield lease
    except Exception as error:
        # A runner's own error may say which node failed and why; any other is told in its words.
        node = str(getattr(error, "node", "") or "")
        reason = str(getattr(error, "reason", "") or f"{type(error).__name__}: {error}")
        close(store, lease, LeaseEnd.FAILED, node, reason)
        raise
    except BaseException:
        close(store, lease, LeaseEnd.RELEASED)
        raise
    close(store, lease, LeaseEnd.SUCCEEDED)


def _join_or_take(store: Store, run_id: str) -> tuple[Lease, bool]:
    """Returns the lease, and whether it was taken here."""
    ledger.register_types(store)
    last = latest(store, run_id)
    # Same host, process, start and thread: the loop took it just before it called the launcher.
    if last is not None and last.end is LeaseEnd.OPEN and last.owner == this_owner():
        return last, False
    lease = take(store, run_id, last.attempt + 1 if last else 1)
    if lease is None:
        raise RunBusy(
            f"Expected to be alone at run {run_id}, but another process or thread is at it. "
            "Wait until it has ended, or stop it; an interrupted run is resumed by the next start."
        )
    return lease, True
