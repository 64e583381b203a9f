"""Claims of decisions in ML Metadata: who claimed, approved, held back and carried out what.

Facts, each written once under a unique name:

    loop.Admission    execution   the answer to a decision: `CLAIM/hold`, `CLAIM/launch`, ...
    loop.RetrainClaim artifact    the right to launch for a decision, output of its admission
    loop.Approval     execution   a human's yes to a decision
    loop.Retraining   execution   the outcome of a claim: COMPLETE or FAILED

A claim without a `loop.Retraining` of its name has not ended.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.model_evaluation import JudgedProperties
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import Scalar, from_properties
from tfx_loop.pipelines.control import holds, ledger
from tfx_loop.pipelines.control.admission import (
    Admission,
    AdmissionReason,
    AdmissionVerdict,
    History,
    Launch,
)
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.control.launcher import RunState, RunStatus
from tfx_loop.pipelines.control.ledger import Store

ACTION = "retrain"
# 48 bits of the claim's SHA-256: short enough to read, and no two claims of a model meet.
_RUN_ID_DIGITS = 12
_RUN_PREFIX = "retrain-"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to launch one retraining.

    Attributes:
        artifact_id: Id in MLMD.
        name: The hash of what was claimed.
        run_id: The training run that it stands for.
        model_name: The served model.
        model_version: The serving version that is to be replaced.
        window: The window whose evidence asks for it.
        decision_id: MLMD id of the RetrainDecision.
        decision_uri: Its URI.
        claimed_at_ms: When, by the loop's clock.
    """

    artifact_id: int
    name: str
    run_id: str
    model_name: str
    model_version: int
    window: str
    decision_id: int
    decision_uri: str
    claimed_at_ms: int


@dataclass(frozen=True, kw_only=True)
class RetrainingOutcome:
    """What became of a claim.

    Attributes:
        claim_name: The claim.
        run_id: Its training run.
        state: SUCCEEDED or FAILED.
        pushed_version: The version that now serves; 0 when nothing was pushed.
        node: The node that failed.
        reason: `pushed`, `not_pushed`, or why it failed.
        attempts: How often the run was started.
        detail: Why the gate refused the model; empty where it did not.
    """

    claim_name: str
    run_id: str
    state: RunState
    pushed_version: int
    node: str
    reason: str
    attempts: int
    detail: str = ""


def claim_name(
    model_name: str,
    model_version: int,
    window: str,
    policy_version: str,
    action: str = ACTION,
    retries: int = 0,
) -> str:
    """Returns the unique name of a claim: the same evidence has the same name, whoever asks.

    Each retry of a failed training, by a person's word, is a claim of its own.
    """
    parts = [
        model_name,
        model_version,
        window,
        policy_version,
        action,
        *([retries] if retries else []),
    ]
    # As JSON and not joined: names may hold any separator.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def training_run_id(decision: RecordedDecision, name: str) -> str:
    """Returns the run id that belongs to a claim; it is all that a launch is known by."""
    return f"{_RUN_PREFIX}{decision.model_name}-{decision.window}-{name[:_RUN_ID_DIGITS]}"


def unknown_retrainings(store: Store, model_name: str, run_ids: Sequence[str]) -> list[str]:
    """Returns those ids of a model's retrainings that no claim of the store stands for."""
    claimed = {ledger.properties(a)["run_id"] for a in store.get_artifacts_by_type(ledger.CLAIM)}
    # Claims of all models count: runs of `taxi-2` begin as those of `taxi` do.
    begin = f"{_RUN_PREFIX}{model_name}-"
    return [run_id for run_id in run_ids if run_id.startswith(begin) and run_id not in claimed]


class ClaimBook:
    """Reads and writes the facts about one model's claims."""

    def __init__(self, store: Store, model_name: str) -> None:
        self._store = store
        self._model_name = model_name
        self._types = ledger.register_types(store)

    def claims(self) -> list[Claim]:
        """Returns all claims for this model, oldest first."""
        found = [_claim_from(a) for a in self._store.get_artifacts_by_type(ledger.CLAIM)]
        own = [claim for claim in found if claim.model_name == self._model_name]
        return sorted(own, key=lambda claim: claim.artifact_id)

    def claim(self, name: str) -> Claim | None:
        """Returns the claim of a name, or None."""
        artifact = self._store.get_artifact_by_type_and_name(ledger.CLAIM, name)
        return _claim_from(artifact) if artifact is not None else None

    def open_claims(self) -> list[Claim]:
        """Returns the claims without a recorded outcome, oldest first."""
        ended = set(self.outcomes())
        return [claim for claim in self.claims() if claim.name not in ended]

    def outcomes(self) -> dict[str, RetrainingOutcome]:
        """Returns the recorded outcomes by claim name."""
        found = self._store.get_executions_by_type(ledger.RETRAINING)
        return {outcome.claim_name: outcome for outcome in map(_outcome_from, found)}

    def approvals(self) -> dict[str, int]:
        """Returns the approved decisions: claim name to the decision's MLMD id."""
        found = map(ledger.properties, self._store.get_executions_by_type(ledger.APPROVAL))
        return {
            str(values["claim_name"]): int(values["decision_id"])
            for values in found
            if values["model_name"] == self._model_name
        }

    def history(self) -> History:
        """Returns what the admission gates may look at."""
        ended = self.outcomes()
        launches = tuple(
            Launch(
                claim_name=claim.name,
                claimed_at_ms=claim.claimed_at_ms,
                ended=claim.name in ended,
                pushed_version=ended[claim.name].pushed_version if claim.name in ended else 0,
            )
            for claim in self.claims()
        )
        return History(
            launches=launches,
            approvals=frozenset(self.approvals()),
            held=holds.is_held(self._store, self._model_name),
        )

    def held(self, name: str) -> Admission | None:
        """Returns the recorded answer that held a request back, or None."""
        found = self._store.get_execution_by_type_and_name(ledger.ADMISSION, f"{name}/hold")
        if found is None:
            return None
        return Admission(
            verdict=AdmissionVerdict.HOLD,
            reason=AdmissionReason(str(ledger.properties(found)["reason"])),
        )

    def record_hold(
        self,
        decision: RecordedDecision,
        name: str,
        reason: AdmissionReason,
        policy_version: str,
        now_ms: int,
    ) -> None:
        """Records that a decision was held back, and why.

        The first answer is recorded once, and each other reason once after an approval.
        """
        approved = name in self.approvals()
        # Under one name a later answer could not be written: the gates are asked again after an
        # approval.
        key = f"{name}/approved/{reason.value}" if approved else f"{name}/hold"
        admission = Admission(verdict=AdmissionVerdict.HOLD, reason=reason)
        execution = self._admission(decision, name, key, admission, policy_version, now_ms)
        ledger.put_once(self._store, execution, self._decision_edge(decision))

    def record_launch(
        self, decision: RecordedDecision, name: str, launches: int, policy_version: str, now_ms: int
    ) -> Claim | None:
        """Claims a decision and records its admission, both in one transaction.

        Two names must be free: the claim's own (the same evidence launches once), and as external
        id the number of this launch among the model's launches. The second makes the gates safe:
        if another decision was claimed after the history was read, the number is taken, and the
        gates must be asked again.

        Args:
            decision: The admitted decision.
            name: Its claim's name.
            launches: Launches in the history that the gates saw.
            policy_version: The admission rules.
            now_ms: The loop's clock.

        Returns:
            The claim, or None when either name was taken and nothing was written.
        """
        artifact = pb.Artifact(
            type_id=self._types[ledger.CLAIM],
            name=name,
            # The second unique name (ADR 6): of two loops that counted the same launches and admit
            # different evidence, one fails, so cooldown and budget stay true.
            external_id=f"{self._model_name}/launch/{launches + 1}",
            # As TFX marks what it has published.
            state=pb.Artifact.LIVE,
        )
        values: dict[str, Scalar] = {
            "run_id": training_run_id(decision, name),
            "model_name": decision.model_name,
            "model_version": decision.serving_version,
            "window": decision.window,
            "policy_version": policy_version,
            "action": ACTION,
            "decision_id": decision.artifact_id,
            "decision_uri": decision.uri,
            "claimed_at_ms": now_ms,
        }
        ledger.set_properties(artifact, values)
        admission = Admission(verdict=AdmissionVerdict.RETRAIN, reason=AdmissionReason.ADMITTED)
        key = f"{name}/launch"
        execution = self._admission(decision, name, key, admission, policy_version, now_ms)
        edges = self._decision_edge(decision)
        edges.append((artifact, ledger.event(pb.Event.OUTPUT, "claim")))
        # Admission and claim in one transaction: no process can die between them (ADR 6).
        if ledger.put_once(self._store, execution, edges) is None:
            return None
        return self.claim(name)

    def record_approval(self, decision: RecordedDecision, name: str, by: str, now_ms: int) -> None:
        """Records that somebody approved a decision; the first approval counts."""
        execution = self._execution(ledger.APPROVAL, name)
        values: dict[str, Scalar] = {
            "claim_name": name,
            "decision_id": decision.artifact_id,
            "model_name": decision.model_name,
            "model_version": decision.model_version,
            "window": decision.window,
            "approved_by": by,
            "at_ms": now_ms,
        }
        ledger.set_properties(execution, values)
        ledger.put_once(self._store, execution, self._decision_edge(decision))

    def record_outcome(
        self, claim: Claim, status: RunStatus, attempts: int, now_ms: int
    ) -> RetrainingOutcome:
        """Records how a claim ended; whoever comes second changes nothing."""
        # A run may succeed and push nothing: the gates refused its model.
        pushed = self._pushed(claim.run_id) if status.state is RunState.SUCCEEDED else []
        version = int(ledger.properties(pushed[-1]).get("pushed_version", 0)) if pushed else 0
        reason = status.reason
        if status.state is RunState.SUCCEEDED:
            reason = "pushed" if version else "not_pushed"
        succeeded = status.state is RunState.SUCCEEDED
        execution = self._execution(
            ledger.RETRAINING,
            claim.name,
            pb.Execution.COMPLETE if succeeded else pb.Execution.FAILED,
        )
        values: dict[str, Scalar] = {
            "claim_name": claim.name,
            "run_id": claim.run_id,
            "model_name": claim.model_name,
            "model_version": claim.model_version,
            "window": claim.window,
            "state": status.state.value,
            "pushed_version": version,
            "node": status.node,
            "reason": reason,
            "attempts": attempts,
            "detail": "" if version or not succeeded else self._refusal(claim.run_id),
            "at_ms": now_ms,
        }
        ledger.set_properties(execution, values)
        [artifact] = self._store.get_artifacts_by_id([claim.artifact_id])
        edges = ledger.inputs({"claim": artifact})
        # The edge by which a served version is traced back to the decision that asked for it.
        if version:
            edges += ledger.inputs({"pushed_model": pushed[-1]})
        ledger.put_once(self._store, execution, edges)
        # Read back: another process may have written the outcome first, and that one stands.
        return self.outcomes()[claim.name]

    def _pushed(self, run_id: str) -> list[pb.Artifact]:
        return ledger.outputs_of_run(self._store, run_id, ledger.PUSHERS, ledger.PUSHED_MODEL)

    def _refusal(self, run_id: str) -> str:
        """Returns why the gates of a run refused its model; empty where they told nothing."""
        made = [
            *ledger.outputs_of_run(self._store, run_id, ["Evaluator"], "ModelEvaluation"),
            *ledger.outputs_of_run(self._store, run_id, ["FaultDetector"], type_names.FAULT_REPORT),
        ]
        said = [from_properties(JudgedProperties, ledger.properties(one)) for one in made]
        return next((one.refused_because for one in said if one.refused_because), "")

    def _decision_edge(self, decision: RecordedDecision) -> list[tuple[pb.Artifact, pb.Event]]:
        [artifact] = self._store.get_artifacts_by_id([decision.artifact_id])
        return ledger.inputs({"decision": artifact})

    def _execution(self, kind: str, name: str, state: int = pb.Execution.COMPLETE) -> pb.Execution:
        return pb.Execution(type_id=self._types[kind], name=name, last_known_state=state)

    def _admission(
        self,
        decision: RecordedDecision,
        name: str,
        key: str,
        admission: Admission,
        policy_version: str,
        now_ms: int,
    ) -> pb.Execution:
        execution = self._execution(ledger.ADMISSION, key)
        values: dict[str, Scalar] = {
            "verdict": admission.verdict.value,
            "reason": admission.reason.value,
            "policy_version": policy_version,
            "window": decision.window,
            "model_name": decision.model_name,
            "model_version": decision.model_version,
            "claim_name": name,
            "at_ms": now_ms,
        }
        ledger.set_properties(execution, values)
        return execution


def _claim_from(artifact: pb.Artifact) -> Claim:
    values = ledger.properties(artifact)
    return Claim(
        artifact_id=int(artifact.id),
        name=str(artifact.name),
        run_id=str(values["run_id"]),
        model_name=str(values["model_name"]),
        model_version=int(values["model_version"]),
        window=str(values["window"]),
        decision_id=int(values["decision_id"]),
        decision_uri=str(values["decision_uri"]),
        claimed_at_ms=int(values["claimed_at_ms"]),
    )


def _outcome_from(execution: pb.Execution) -> RetrainingOutcome:
    values = ledger.properties(execution)
    return RetrainingOutcome(
        claim_name=str(values["claim_name"]),
        run_id=str(values["run_id"]),
        state=RunState(values["state"]),
        pushed_version=int(values["pushed_version"]),
        node=str(values["node"]),
        reason=str(values["reason"]),
        attempts=int(values["attempts"]),
        # Earlier releases did not write it.
        detail=str(values.get("detail", "")),
    )
