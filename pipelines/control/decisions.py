"""The decisions of monitoring runs, read back from ML Metadata."""

import logging
import re
from dataclasses import dataclass

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionAction,
    DecisionProperties,
    DecisionRecord,
)
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store

DECIDER = "RetrainDecider"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecordedDecision:
    """A RetrainDecision as the loop needs it.

    Attributes:
        artifact_id: MLMD id; what `Controller.approve` takes.
        uri: Where its JSON is; what the training pipeline imports.
        verdict: `RETRAIN`, `HOLD`, `MODEL_FAULT` or `REINSTATE`.
        asks_for: What the loop is to carry out.
        reason: The decider's reason code.
        explanation: The decider's one sentence.
        policy_version: The decider's policy.
        model_name: The served model.
        model_version: The serving version that was judged.
        window: The monitored window.
        reinstate: The version that is to serve again; 0 for none.
    """

    artifact_id: int
    uri: str
    verdict: str
    asks_for: DecisionAction
    reason: str
    explanation: str
    policy_version: str
    model_name: str
    model_version: int
    window: str
    reinstate: int = 0

    @property
    def serving_version(self) -> int:
        """The version that serves once a reinstatement is carried out."""
        return self.reinstate or self.model_version


def decision_of_run(store: Store, run_id: str) -> RecordedDecision | None:
    """Returns the decision that a monitoring run made; the newest, should there be several.

    Raises:
        DataError: The decision's JSON is missing or lacks a field.
    """
    made = ledger.outputs_of_run(store, run_id, [DECIDER], type_names.RETRAIN_DECISION)
    # A resumed run may hold the decision of each attempt; ids grow, so the last is the newest.
    return decision_from(made[-1]) if made else None


def decision_by_id(store: Store, artifact_id: int) -> RecordedDecision:
    """Returns a decision by its MLMD id.

    Raises:
        DataError: No RetrainDecision has this id.
    """
    found = store.get_artifacts_by_id([artifact_id])
    # Any id of the store may have been typed: that of another artifact must not be approved.
    type_ids = ledger.artifact_type_ids(store, type_names.RETRAIN_DECISION)
    if not found or found[0].type_id not in type_ids:
        raise DataError(
            f"Expected the id of a RetrainDecision, received {artifact_id}. "
            "`loop timeline` shows the ids of all decisions."
        )
    return decision_from(found[0])


def decision_from(artifact: pb.Artifact) -> RecordedDecision:
    """Reads a decision's JSON; raises as `decision_record`."""
    record = decision_record(artifact)
    return RecordedDecision(
        artifact_id=int(artifact.id),
        uri=str(artifact.uri),
        verdict=record.verdict.value,
        asks_for=record.asks_for,
        reason=record.reason,
        explanation=record.explanation,
        policy_version=record.policy_version,
        model_name=record.model_name,
        model_version=record.model_version,
        window=record.window,
        reinstate=record.reinstate or 0,
    )


def decision_record(artifact: pb.Artifact) -> DecisionRecord:
    """Returns what the file of a decision says.

    Raises:
        DataError: The file is missing or damaged.
    """
    uri = str(artifact.uri)
    record = RETRAIN_DECISION.find(uri)
    if record is None:
        raise DataError(
            f"Expected the decision {artifact.id} at {RETRAIN_DECISION.path(uri)}, found none. "
            "Its file was removed or moved; monitor the window again."
        )
    return record


def evidence_uris(store: Store, artifact_id: int) -> dict[str, str]:
    """Returns what a decision was made from: URI by the decider's input, such as `drift_report`."""
    events = store.get_events_by_artifact_ids([artifact_id])
    makers = [event.execution_id for event in events if event.type == pb.Event.OUTPUT]
    read = [
        event
        for event in (store.get_events_by_execution_ids(makers) if makers else [])
        if event.type == pb.Event.INPUT and event.path.steps
    ]
    found = store.get_artifacts_by_id([event.artifact_id for event in read]) if read else []
    uris = {int(artifact.id): str(artifact.uri) for artifact in found}
    return {event.path.steps[0].key: uris[int(event.artifact_id)] for event in read}


def latest_decision(store: Store, model_name: str, before: str) -> RecordedDecision | None:
    """Returns the newest readable decision about a model on a window before the one named.

    Decisions are chosen by their properties, and one file is read: what became of the files of
    other windows and models stops nothing.

    Args:
        store: The metadata store.
        model_name: The served model.
        before: A window's name; names are ordered as `window_order` says.
    """
    made = []
    for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION):
        said = from_properties(DecisionProperties, ledger.properties(artifact))
        earlier = said.window and window_order(said.window) < window_order(before)
        # Earlier releases did not write the model's name: their file has to tell.
        if earlier and said.model_name in ("", model_name):
            made.append((window_order(said.window), int(artifact.id), artifact))
    for _, artifact_id, artifact in sorted(made, key=lambda one: one[:2], reverse=True):
        try:
            decision = decision_from(artifact)
        except DataError as error:
            _LOG.warning("decision=%d unreadable=%s", artifact_id, error)
            continue
        if decision.model_name == model_name:
            return decision
    return None


def window_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a key that orders names of windows: numbers in them count as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
