"""Versions that serve again because a decision asked for it, as facts in ML Metadata."""

import logging
from collections.abc import Callable

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.control.ledger import Store

# Lets the version serve that a decision asks for; returns the one that serves then.
RollBack = Callable[[RecordedDecision], int]

_LOG = logging.getLogger(__name__)


def was_carried_out(store: Store, decision: RecordedDecision) -> bool:
    """Says whether the version that a decision asked for has served since."""
    return is_carried_out(store, decision.model_name, decision.artifact_id)


def is_carried_out(store: Store, model_name: str, decision_id: int) -> bool:
    """Says the same of a decision by its MLMD id, whose file need not be read."""
    name = _name_of(model_name, decision_id)
    return bool(store.get_execution_by_type_and_name(ledger.RETURN, name))


def carry_out(
    store: Store, decision: RecordedDecision, roll_back: RollBack | None, now_ms: int
) -> bool:
    """Lets the version serve that a decision asks for, once; says whether that is done.

    The fact is written after the act. Killed in between, the next step finds that the judged
    version serves no more, and writes it.

    Args:
        store: The metadata store.
        decision: It asks for another version.
        roll_back: Carries it out; None where that is not allowed: `loop rollback` is a person's.
        now_ms: The loop's clock.
    """
    if was_carried_out(store, decision):
        return True
    if roll_back is None:
        return False
    version = roll_back(decision)
    _record(store, decision, version, now_ms)
    _LOG.info("decision=%d roll_back=done serving_version=%d", decision.artifact_id, version)
    return True


def _record(store: Store, decision: RecordedDecision, version: int, now_ms: int) -> None:
    execution = pb.Execution(
        type_id=ledger.register_types(store)[ledger.RETURN],
        name=_name_of(decision.model_name, decision.artifact_id),
        last_known_state=pb.Execution.COMPLETE,
    )
    values: dict[str, Scalar] = {
        "model_name": decision.model_name,
        "window": decision.window,
        "model_version": decision.model_version,
        "returned_version": version,
        "reason": decision.reason,
        "decision_id": decision.artifact_id,
        "at_ms": now_ms,
    }
    ledger.set_properties(execution, values)
    [artifact] = store.get_artifacts_by_id([decision.artifact_id])
    ledger.put_once(store, execution, ledger.inputs({"decision": artifact}))


def _name_of(model_name: str, decision_id: int) -> str:
    return f"{model_name}/decision/{decision_id}"
