"""Pushes and decisions about one model, with all that followed from each."""

from dataclasses import dataclass

from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionProperties,
    DecisionRecord,
)
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.core.errors import LoopError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.decisions import DECIDER
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph

PUSHER = "ServingPusher"


@dataclass(frozen=True, kw_only=True)
class PushFact:
    """A version that was brought into service.

    Attributes:
        version: Its number.
        pushed_at_ms: When, by the pusher's clock.
        replaced: The version that served before; 0 for none.
        destination: Where the server finds it.
        model_digest: Digest of the served files.
        model: The Model artifact that was pushed; None when the store has lost it.
        run_id: The training run.
        artifact: The PushedModel artifact.
    """

    version: int
    pushed_at_ms: int
    replaced: int
    destination: str
    model_digest: str
    model: Artifact | None
    run_id: str
    artifact: Artifact


@dataclass(frozen=True, kw_only=True)
class DecisionFact:
    """A decision, and all that followed from it.

    Attributes:
        decision_id: MLMD id of the RetrainDecision.
        window: The monitored window.
        model_version: The serving version that was judged.
        verdict: `RETRAIN` or `HOLD`.
        reason: The decider's reason code.
        explanation: Its one sentence; empty when its file is gone.
        avoidable_loss: What a retraining would have saved per row.
        accumulated: That saving, added up since the version serves, in units of a window's loss.
        decided_at_ms: When it was recorded.
        admission: The loop's last answer, `RETRAIN` or `HOLD`; empty when it was not asked.
        admission_reason: Why the loop launched or held it.
        approved_by: Who approved it; empty without an approval, `?` for an unnamed person.
        run_id: The training run that was launched for it; empty for none.
        attempts: How often that run was started.
        outcome: `SUCCEEDED`, `FAILED`, or empty while there is none.
        outcome_reason: `pushed`, `not_pushed`, or why it failed.
        outcome_node: The node that failed.
        pushed_version: The version that came of it; 0 for none.
    """

    decision_id: int
    window: str
    model_version: int
    verdict: str
    reason: str
    explanation: str
    avoidable_loss: float
    accumulated: float
    decided_at_ms: int
    admission: str = ""
    admission_reason: str = ""
    approved_by: str = ""
    run_id: str = ""
    attempts: int = 0
    outcome: str = ""
    outcome_reason: str = ""
    outcome_node: str = ""
    pushed_version: int = 0


def pushes(graph: Graph, model_name: str) -> list[PushFact]:
    """Returns the pushes of a model in the order in which they came into service."""
    found = []
    for execution in graph.of_type(PUSHER):
        for artifact in graph.outputs(execution):
            said = from_properties(PushedProperties, artifact.properties)
            if execution.done and said.model_name == model_name and said.pushed_version:
                found.append(_push(graph, execution, artifact, said))
    return sorted(found, key=lambda push: (push.pushed_at_ms, push.version))


def _push(
    graph: Graph, execution: Execution, artifact: Artifact, said: PushedProperties
) -> PushFact:
    models = graph.inputs(execution, "model")
    return PushFact(
        version=said.pushed_version or 0,
        # Without the property, the time of the execution is the nearest.
        pushed_at_ms=said.pushed_at_ms or execution.updated_at_ms,
        replaced=said.replaced_version or 0,
        destination=said.pushed_destination or "",
        model_digest=said.model_digest or "",
        model=models[0] if models else None,
        run_id=execution.run_id,
        artifact=artifact,
    )


def decisions(graph: Graph, model_name: str) -> list[DecisionFact]:
    """Returns the decisions about a model with what followed from them, oldest first."""
    found = []
    for execution in graph.of_type(DECIDER):
        for artifact in graph.outputs(execution):
            if artifact.type == type_names.RETRAIN_DECISION and execution.done:
                record = decision_record(artifact)
                # Without its file nobody knows whose decision it is; better shown than lost.
                if record is None or record.model_name == model_name:
                    found.append(_decision(graph, execution, artifact, record))
    return sorted(found, key=lambda fact: fact.decision_id)


def decision_record(artifact: Artifact) -> DecisionRecord | None:
    """Returns what a decision's file holds; None when it is gone: MLMD holds what matters."""
    try:
        return RETRAIN_DECISION.find(artifact.uri)
    except LoopError:
        return None


def _decision(
    graph: Graph, execution: Execution, artifact: Artifact, record: DecisionRecord | None
) -> DecisionFact:
    said = from_properties(DecisionProperties, artifact.properties)
    followed = [e for e in graph.readers(artifact) if e.type in ledger.EXECUTION_TYPES]
    admissions = [e for e in followed if e.type == ledger.ADMISSION]
    approvals = [e for e in followed if e.type == ledger.APPROVAL]
    claims = [c for e in admissions for c in graph.outputs(e) if c.type == ledger.CLAIM]
    ends = [e for c in claims for e in graph.readers(c) if e.type == ledger.RETRAINING]
    last = admissions[-1] if admissions else None
    end = ends[-1] if ends else None
    run_id = claims[-1].text("run_id") if claims else ""
    return DecisionFact(
        decision_id=artifact.id,
        window=said.window,
        model_version=said.model_version,
        verdict=said.verdict,
        reason=said.reason,
        explanation=record.explanation if record else "",
        avoidable_loss=said.avoidable_loss,
        accumulated=said.accumulated,
        decided_at_ms=execution.updated_at_ms,
        admission=last.text("verdict") if last else "",
        admission_reason=last.text("reason") if last else "",
        approved_by=(approvals[-1].text("approved_by") or "?") if approvals else "",
        run_id=run_id,
        attempts=starts(graph, run_id),
        outcome=end.text("state") if end else "",
        outcome_reason=end.text("reason") if end else "",
        outcome_node=end.text("node") if end else "",
        pushed_version=int(end.properties.get("pushed_version") or 0) if end else 0,
    )


def starts(graph: Graph, run_id: str) -> int:
    """Returns how often a run was started, as its leases count."""
    leases = graph.artifacts_of_type(ledger.LEASE)
    return sum(lease.text("run_id") == run_id for lease in leases) if run_id else 0


def was_done(fact: DecisionFact) -> bool:
    """Says whether a decision led to a training that ended well."""
    return fact.outcome == RunState.SUCCEEDED.value
