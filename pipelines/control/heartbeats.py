"""Signs of life of leases, by which an owner on another machine is known to be at work.

A process on this machine can be looked up; of one elsewhere, as in a container that was started
again under a new name, only the store tells. The owner of a lease writes a heartbeat beside it from
time to time, and the store stamps it. A lease is over where its last one is older than the lease
says, by the store's stamp of a write made now: a metadata server stamps by its own clock, a direct
connection by that of the machine that writes, so machines that share a database need clocks that
agree to well within the time of a lease.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store

# An owner that was held up for minutes, by a full disk or a paused machine, is to keep its run.
LEASE_SECONDS = 600.0
# So many heartbeats may fail before a lease is over.
_BEATS_A_LEASE = 10
_CLOCK = "clock"
# Attempts to write, and the pause between two.
_WRITES, _PAUSE_SECONDS = 5, 0.05

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def beating(store: Store, lease_name: str, lease_seconds: float) -> Iterator[None]:
    """Writes heartbeats of a lease until the block ends, however it does."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(lease_seconds / _BEATS_A_LEASE):
            try:
                write(store, lease_name)
            # A store that is away for a while must not end the run; a lease is worth several beats.
            except Exception as error:
                _LOG.warning("lease=%s heartbeat=failed %s", lease_name, error)

    write(store, lease_name)
    thread = threading.Thread(target=beat, daemon=True, name=f"heartbeat-{lease_name}")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def is_fresh(store: Store, lease_name: str, created_at_ms: int, lease_seconds: float) -> bool:
    """Says whether the last sign of life of a lease is younger than the lease may be."""
    found = store.get_artifact_by_type_and_name(ledger.HEARTBEAT, lease_name)
    last = int(found.last_update_time_since_epoch) if found is not None else created_at_ms
    return write(store, _CLOCK) - last < lease_seconds * 1000


def write(store: Store, name: str) -> int:
    """Writes one heartbeat; returns the store's stamp of it, milliseconds since epoch."""
    type_id = ledger.register_types(store)[ledger.HEARTBEAT]
    for _ in range(_WRITES):
        found = store.get_artifact_by_type_and_name(ledger.HEARTBEAT, name)
        found = found or pb.Artifact(type_id=type_id, name=name)
        # Something has to change for the store to stamp the artifact anew.
        beats = int(found.custom_properties["beats"].int_value) + 1
        ledger.set_properties(found, {"beats": beats})
        try:
            store.put_artifacts([found])
            break
        # Another process writes the same artifact; SQLite and PostgreSQL name that differently.
        except (errors.AlreadyExistsError, errors.AbortedError, errors.InternalError) as error:
            _LOG.debug("heartbeat=%s again=%s", name, error)
            time.sleep(_PAUSE_SECONDS)
    written = store.get_artifact_by_type_and_name(ledger.HEARTBEAT, name)
    if written is None:
        raise DataError(f"Expected the heartbeat {name} in the metadata store, found none.")
    return int(written.last_update_time_since_epoch)
