"""Promotions and roll-backs in ML Metadata, as executions that read the pushed version.

The history of `deployment.json` is what happened; each of its lines becomes one execution with a
name of its own. So recording again adds what an earlier command could not record, and nothing
twice.
"""

import hashlib

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.deployment_record import DeploymentRecord
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.core.custom_properties import Scalar, from_properties
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store


def record_rollouts(store: Store, record: DeploymentRecord, base_path: str) -> int:
    """Writes what of a record's history the store does not know yet; returns how much that was."""
    type_id = ledger.register_types(store)[ledger.ROLLOUT]
    pushed = _pushed(store, record.model_name)
    # Two base paths may serve models of one name, each with a first event.
    place = hashlib.sha256(base_path.rstrip("/").encode()).hexdigest()[:12]
    written = 0
    for event in record.history:
        execution = pb.Execution(
            type_id=type_id,
            name=f"{record.model_name}@{place}:{event.revision}",
            last_known_state=pb.Execution.COMPLETE,
        )
        values: dict[str, Scalar] = {
            "model_name": record.model_name,
            "model_version": event.version,
            "action": event.action,
            "detail": event.detail,
            "at_ms": event.at_ms,
            "revision": event.revision,
            "base_path": base_path,
        }
        ledger.set_properties(execution, values)
        known = pushed.get(event.version)
        edges = ledger.inputs({"pushed_model": known}) if known is not None else []
        written += ledger.put_once(store, execution, edges) is not None
    return written


def _pushed(store: Store, model_name: str) -> dict[int, pb.Artifact]:
    """Returns the newest PushedModel of each version of a model."""
    found = {}
    for artifact in ledger.artifacts_of_type(store, ledger.PUSHED_MODEL):
        said = from_properties(PushedProperties, ledger.properties(artifact))
        if said.model_name == model_name and said.pushed_version:
            found[said.pushed_version] = artifact
    return found
