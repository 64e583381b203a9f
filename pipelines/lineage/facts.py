"""Pushes and decisions about one model, with all that followed from each."""

from dataclasses import dataclass

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftProperties, DriftResult
from tfx_loop.contracts.push_steps import PUSH_STEPS
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionProperties,
    DecisionRecord,
)
from tfx_loop.contracts.version_contest import VersionContest
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.core.errors import LoopError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.decisions import DECIDER
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph


@dataclass(frozen=True, kw_only=True)
class PushFact:
    """A version that was brought into service.

    Attributes:
        model_name: The served model.
        version: Its number.
        pushed_at_ms: When, by the pusher's clock.
        replaced: The version that served before; 0 for none.
        destination: Where the server finds it.
        model_digest: Digest of the served files.
        model: The Model artifact that was pushed; None when the store has lost it.
        run_id: The run that pushed it.
        artifact: The PushedModel artifact.
    """

    model_name: str
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
        verdict: `RETRAIN`, `HOLD`, `MODEL_FAULT` or `REINSTATE`.
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
        refused_because: Why the gate refused its model; empty where it did not, or is not known.
        pushed_version: The version that came of it; 0 for none.
        reinstate: The version that it asks to serve again; 0 for none.
        returned_version: The version that served once that was carried out; 0 until then.
        label_window: The window whose labels were measured.
        contest: What versions that served before would have lost there; None where none was asked,
            or the decision's file is gone.
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
    refused_because: str = ""
    pushed_version: int = 0
    reinstate: int = 0
    returned_version: int = 0
    label_window: str = ""
    contest: VersionContest | None = None


@dataclass(frozen=True, kw_only=True)
class WindowFact:
    """A window that was compared with what a version was trained on.

    Attributes:
        window: Its name.
        verdict: DriftMonitor's verdict.
        reason: Its reason code.
        rows: Rows of the window.
        drifted_features: How many features moved.
        faulty_features: How many are broken.
        uri: The DriftReport artifact.
    """

    window: str
    verdict: str
    reason: str
    rows: int
    drifted_features: int
    faulty_features: int
    uri: str


def windows(graph: Graph, push: PushFact) -> list[WindowFact]:
    """Returns the windows whose DriftReports name a version, oldest first.

    A report's property names the latest of the versions that answered, its file all of them. Files
    are read beside the windows that a property names, and after the push: a version that answers
    does so in windows that follow each other.
    """
    reports = [
        (report, from_properties(DriftProperties, report.properties), maker)
        for report in graph.artifacts_of_type(type_names.DRIFT_REPORT)
        if (maker := graph.maker(report)) is not None and maker.done
    ]
    reports = [one for one in reports if _may_watch(graph, one[2], push)]
    pusher = graph.maker(push.artifact)
    # The first window after the push, where the version began to answer even if an older one
    # answered most of it.
    after = [n for n, one in enumerate(reports) if pusher and one[2].id > pusher.id][:1]
    named = [n for n, (_, said, _) in enumerate(reports) if said.model_version == push.version]
    found, ahead, seen = [], [*{*named, *after}], {*named, *after}
    while ahead:
        place = ahead.pop()
        report, said, maker = reports[place]
        if not _watches(graph, report, said, maker, push):
            continue
        found.append((place, _window(report, said)))
        beside = {n for n in (place - 1, place + 1) if 0 <= n < len(reports)} - seen
        seen |= beside
        ahead += beside
    return [fact for _, fact in sorted(found, key=lambda entry: entry[0])]


def _window(report: Artifact, said: DriftProperties) -> WindowFact:
    return WindowFact(
        window=said.window,
        verdict=said.verdict,
        reason=said.reason,
        rows=said.rows,
        drifted_features=said.drifted_features,
        faulty_features=said.faulty_features,
        uri=report.uri,
    )


def _may_watch(graph: Graph, monitor: Execution, push: PushFact) -> bool:
    """Says whether a window is about a version's model, as far as its log tells."""
    return logged_names(graph, monitor) <= {push.model_name}


def _watches(
    graph: Graph, report: Artifact, said: DriftProperties, monitor: Execution, push: PushFact
) -> bool:
    """Says whether a version answered in the window of a report."""
    names = logged_names(graph, monitor)
    if names and said.model_version == push.version:
        return True
    content = _drift_report(report)
    versions = set(content.model_versions) if content else set()
    if content is not None and content.model_name:
        names = {content.model_name}
    mine = push.model_name in names if names else _shares_profile(graph, monitor, push)
    return mine and push.version in versions | {said.model_version}


def _drift_report(report: Artifact) -> DriftResult | None:
    try:
        return DRIFT_REPORT.find(report.uri)
    except LoopError:
        return None


def logged_names(graph: Graph, monitor: Execution) -> set[str]:
    """Returns the name of the model whose log a monitor read; none where the log does not tell."""
    return {log.text("model_name") for log in graph.inputs(monitor, "prediction_log")} - {""}


def _shares_profile(graph: Graph, monitor: Execution, push: PushFact) -> bool:
    """Says whether a window was compared with the profile that a version was pushed with."""
    pusher = graph.maker(push.artifact)
    pushed = graph.inputs(pusher, "reference_profile") if pusher else []
    same = {node.id for profile in pushed for node in graph.same(profile)}
    return any(profile.id in same for profile in graph.inputs(monitor, "reference_profile"))


def pushes(graph: Graph, model_name: str) -> list[PushFact]:
    """Returns the pushes of a model in the order in which they came into service."""
    return [push for push in all_pushes(graph) if push.model_name == model_name]


def all_pushes(graph: Graph) -> list[PushFact]:
    """Returns the pushes of all models, in the same order."""
    found = []
    for execution in (one for kind in ledger.PUSHERS for one in graph.of_type(kind)):
        for artifact in graph.outputs(execution):
            said = from_properties(PushedProperties, artifact.properties)
            if execution.done and said.pushed_version:
                found.append(_push(graph, execution, artifact, said))
    return sorted(found, key=lambda push: (push.pushed_at_ms, push.version))


def _push(
    graph: Graph, execution: Execution, artifact: Artifact, said: PushedProperties
) -> PushFact:
    models = graph.inputs(execution, "model") or _validated(graph, execution)
    return PushFact(
        model_name=said.model_name or "",
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


def _validated(graph: Graph, pusher: Execution) -> list[Artifact]:
    """Returns the model that InfraValidator handed on, where the pusher was given that alone."""
    blessings = graph.inputs(pusher, "infra_blessing")
    maker = graph.maker(blessings[0]) if blessings else None
    return graph.inputs(maker, "model") if maker else []


@dataclass(frozen=True, kw_only=True)
class RolloutFact:
    """What was done to a version: a step of its push, or a move after it.

    Attributes:
        version: Its number.
        action: A `PushStep`, `canary`, `promote`, `roll_back` or `label`.
        detail: What the step made, the share, the version it replaced, the reason or the label.
        at_ms: When, by the clock of who did it.
    """

    version: int
    action: str
    detail: str
    at_ms: int

    @property
    def is_push_step(self) -> bool:
        """Whether it belongs to the push of the version."""
        return self.action in PUSH_STEPS


def rollouts(graph: Graph, model_name: str) -> list[RolloutFact]:
    """Returns what was done to the versions of a model, oldest first."""
    found = []
    for execution in graph.of_type(ledger.ROLLOUT):
        if execution.text("model_name") == model_name:
            at_ms, version = (
                int(execution.properties.get(name) or 0) for name in ("at_ms", "model_version")
            )
            fact = RolloutFact(
                version=version,
                action=execution.text("action"),
                detail=execution.text("detail"),
                at_ms=at_ms,
            )
            found.append((at_ms, int(execution.properties.get("revision") or 0), fact))
    return [fact for *_, fact in sorted(found, key=lambda entry: entry[:2])]


def decisions(
    graph: Graph, model_name: str, about: int | None = None, told: bool = True
) -> list[DecisionFact]:
    """Returns the decisions about a model with what followed from them, oldest first.

    Args:
        graph: The store.
        model_name: The served model.
        about: A version: decisions that judge it or ask for it alone; None takes all.
        told: Whether their files are read, for the explanation and the contest.
    """
    found = []
    for execution in graph.of_type(DECIDER):
        for artifact in graph.outputs(execution):
            if artifact.type == type_names.RETRAIN_DECISION and execution.done:
                fact = _decision_about(graph, execution, artifact, model_name, about, told)
                found += [fact] if fact is not None else []
    return sorted(found, key=lambda fact: fact.decision_id)


def decision_of(graph: Graph, artifact: Artifact, model_name: str) -> DecisionFact | None:
    """Returns the decision that an artifact stands for, imported or not; None of another model."""
    maker = graph.maker(artifact)
    if maker is None or not maker.done:
        return None
    made = [one for one in graph.same(artifact) if one in graph.outputs(maker)]
    return _decision_about(graph, maker, made[-1], model_name, None, True) if made else None


def _decision_about(
    graph: Graph,
    execution: Execution,
    artifact: Artifact,
    model_name: str,
    about: int | None,
    told: bool,
) -> DecisionFact | None:
    said = from_properties(DecisionProperties, artifact.properties)
    if said.model_name not in ("", model_name):
        return None
    if about is not None and about not in (said.model_version, said.reinstate):
        return None
    # Earlier releases did not write the model's name: the file has to tell.
    record = decision_record(artifact) if told or not said.model_name else None
    # Without its file nobody knows whose decision it is; better shown than lost.
    if record is not None and record.model_name != model_name:
        return None
    return _decision(graph, execution, artifact, record)


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
    returned = [e for e in followed if e.type == ledger.RETURN]
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
        attempts=graph.starts_of_runs.get(run_id, 0),
        outcome=end.text("state") if end else "",
        outcome_reason=end.text("reason") if end else "",
        outcome_node=end.text("node") if end else "",
        refused_because=end.text("detail") if end else "",
        pushed_version=int(end.properties.get("pushed_version") or 0) if end else 0,
        reinstate=said.reinstate,
        label_window=said.label_window,
        contest=record.evidence.contest if record else None,
        returned_version=(
            int(returned[-1].properties.get("returned_version") or 0) if returned else 0
        ),
    )


def was_done(fact: DecisionFact) -> bool:
    """Says whether a decision led to a training that ended well."""
    return fact.outcome == RunState.SUCCEEDED.value
