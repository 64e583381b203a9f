"""Starts and resumptions of a run: by one process at a time, and not too often."""

import dataclasses
import logging
from collections.abc import Callable

from tfx_loop.pipelines.control import heartbeats, leases
from tfx_loop.pipelines.control.launcher import Launcher, LaunchRequest, RunState, RunStatus
from tfx_loop.pipelines.control.leases import Lease, LeaseEnd
from tfx_loop.pipelines.control.ledger import Store

ATTEMPTS_EXHAUSTED = "attempts_exhausted"

_LOG = logging.getLogger(__name__)


def attempts(store: Store, run_id: str) -> int:
    """Returns how often a run was started."""
    lease = leases.latest(store, run_id)
    return lease.attempt if lease else 0


def start_or_resume(
    store: Store,
    launcher: Launcher,
    run_id: str,
    request: LaunchRequest,
    *,
    max_attempts: int,
    retry_failed: bool,
    on_leased: Callable[[], None],
    lease_seconds: float = heartbeats.LEASE_SECONDS,
) -> RunStatus:
    """Starts or resumes a run unless it is done or somebody is at it.

    The starts are counted before the state is read. Whoever starts the run in between takes the
    next number, so the lease below fails, and the run is not started on an old state.

    Args:
        store: The metadata store.
        launcher: Runs the pipeline.
        run_id: The run.
        request: What to run; its attempt is filled in.
        max_attempts: How often the run may be started at all.
        retry_failed: Whether a run that failed is started again.
        on_leased: Called between taking the lease and launching.
        lease_seconds: How long the lease lasts without a heartbeat.

    Returns:
        Where the run stands afterwards. RUNNING when another process is at it; FAILED with a reason
        that begins with `attempts_exhausted` when it is not done and may not be started again.

    Raises:
        LoopError: The launcher says that the run could not begin.
    """
    made = attempts(store, run_id)
    status = launcher.state(run_id)
    startable = {RunState.ABSENT, RunState.INTERRUPTED}
    if retry_failed:
        startable.add(RunState.FAILED)
    if status.state not in startable:
        return status
    # A run that kills its process would be resumed for ever.
    if made >= max_attempts:
        cause = f": {status.reason}" if status.reason else ""
        return RunStatus(
            state=RunState.FAILED,
            node=status.node,
            reason=f"{ATTEMPTS_EXHAUSTED} after {made}{cause}",
        )
    # Before the start is counted: what is only not there yet must not use the attempts up.
    launcher.check(request)
    lease = leases.take(store, run_id, made + 1, lease_seconds)
    if lease is None:
        return RunStatus(state=RunState.RUNNING)
    on_leased()
    return _launch(store, launcher, request, lease)


def _launch(store: Store, launcher: Launcher, request: LaunchRequest, lease: Lease) -> RunStatus:
    """Launches under a lease, and gives it back unless the run itself has recorded its end."""
    try:
        with heartbeats.beating(store, lease.name, lease.lease_seconds):
            launcher.launch(lease.run_id, dataclasses.replace(request, attempt=lease.attempt))
    except Exception as error:
        leases.close(store, lease, LeaseEnd.RELEASED)
        status = launcher.state(lease.run_id)
        if status.state is not RunState.FAILED:
            raise
        _LOG.warning("run=%s node=%s failed=%s", lease.run_id, status.node, error)
        return status
    # Ctrl-C and SystemExit, too: a lease that stays would name an owner who is no more at work.
    except BaseException:
        leases.close(store, lease, LeaseEnd.RELEASED)
        raise
    leases.close(store, lease, LeaseEnd.RELEASED)
    return launcher.state(lease.run_id)
