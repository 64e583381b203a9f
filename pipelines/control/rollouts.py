"""Moves of versions recorded in ML Metadata: steps of pushes, promotions and roll-backs.

The history of `deployment.json` is what happened; each of its lines becomes one execution with a
name of its own, which reads the pushed version, or the model of one that never came into service.
So recording again adds what an earlier run or command could not record, and nothing twice.
"""

import hashlib
import logging

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.deployment_record import DeploymentRecord, find_record
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.core.custom_properties import Scalar, from_properties
from tfx_loop.core.errors import LoopError, first_line
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store

_LOG = logging.getLogger(__name__)


def record_rollouts(store: Store, record: DeploymentRecord, base_path: str) -> int:
    """Writes what of a record's history the store does not know yet; returns how much that was."""
    type_id = ledger.register_types(store)[ledger.ROLLOUT]
    pushed = _pushed(store, record.model_name)
    runs = {version.version: version.run_id for version in record.versions}
    # Two base paths may serve models of one name, each with a first event.
    place = hashlib.sha256(base_path.rstrip("/").encode()).hexdigest()[:12]
    written = 0
    for event in record.history:
        failed = event.action == PushStep.PUSH_FAILED.value
        execution = pb.Execution(
            type_id=type_id,
            name=f"{record.model_name}@{place}:{event.revision}",
            last_known_state=pb.Execution.FAILED if failed else pb.Execution.COMPLETE,
        )
        values: dict[str, Scalar] = {
            "model_name": record.model_name,
            "model_version": event.version,
            "action": event.action,
            "detail": event.detail,
            "at_ms": event.at_ms,
            "revision": event.revision,
            "base_path": base_path,
            "run_id": runs.get(event.version, ""),
        }
        ledger.set_properties(execution, values)
        if event.version not in pushed:
            pushed[event.version] = _model(store, record, event.version)
        edges = ledger.inputs(pushed[event.version])
        written += ledger.put_once(store, execution, edges) is not None
    return written


def record_endpoint_pushes(store: Store, run_id: str) -> int:
    """Writes the steps of what a run pushed to endpoints; returns how many were not known yet.

    A record that cannot be read now is read after the next run: the push itself has ended.
    """
    bases = {
        str(ledger.properties(execution).get("base_path", ""))
        for execution in ledger.executions_of_run(store, run_id)
        if ledger.short_type(execution.type) == ledger.ENDPOINT_PUSHER
    }
    written = 0
    for base in sorted(bases - {""}):
        try:
            record = find_record(base)
        except (LoopError, OSError) as error:
            _LOG.warning("push base=%s recorded=no %s", base, first_line(error))
            continue
        if record is not None and record.endpoint:
            written += record_rollouts(store, record, base)
    return written


def _pushed(store: Store, model_name: str) -> dict[int, dict[str, pb.Artifact]]:
    """Returns the newest PushedModel of each version of a model, by the key that it is read by."""
    found = {}
    for artifact in ledger.artifacts_of_type(store, ledger.PUSHED_MODEL):
        said = from_properties(PushedProperties, ledger.properties(artifact))
        if said.model_name == model_name and said.pushed_version:
            found[said.pushed_version] = {"pushed_model": artifact}
    return found


def _model(store: Store, record: DeploymentRecord, version: int) -> dict[str, pb.Artifact]:
    """Returns the Model of a version that was not pushed to the end; none where none is known."""
    uri = next((v.model_uri for v in record.versions if v.version == version), "")
    types = ledger.artifact_type_ids(store, ledger.MODEL)
    found = [one for one in store.get_artifacts_by_uri(uri) if one.type_id in types] if uri else []
    return {"model": found[-1]} if found else {}
