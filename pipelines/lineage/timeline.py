"""The events of a model, in the order in which they happened."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.leases import LeaseEnd
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.facts import DecisionFact, RolloutFact
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph, load


@dataclass(frozen=True, kw_only=True)
class TimelineEvent:
    """One thing that happened.

    Attributes:
        at_ms: When it was recorded, by the machine's clock.
        kind: `PUSHED`, `PUSH_STEP`, `CANARY`, `PROMOTED`, `ROLLED_BACK`, `LABELLED`, `DECIDED`,
            `APPROVED`, `RETURNED`, `ADMITTED`, `HELD`, `LAUNCHED`, `RESUMED`, `ENDED` or
            `FAILED`; a failed retraining is FAILED, with its window, and not ENDED.
        text: What happened, in words.
        window: The window that it is about; empty for none.
        version: The version that it is about; 0 for none.
        run_id: The run that it is about; empty for none.
        decision_id: The decision that it is about; 0 for none.
        loop_clock_ms: The loop's clock, which a replay sets to the past; None for what the loop
            did not write.
    """

    at_ms: int
    kind: str
    text: str
    window: str = ""
    version: int = 0
    run_id: str = ""
    decision_id: int = 0
    loop_clock_ms: int | None = None


def timeline(store: ledger.Store | Graph, model_name: str) -> list[TimelineEvent]:
    """Returns the events of a model, oldest first; none for an unknown model."""
    graph = load(store)
    found = [
        *_pushed(graph, model_name),
        *map(_decided, facts.decisions(graph, model_name, told=False)),
        *_answered(graph, model_name),
        *_started(graph, model_name),
        *_ended(graph, model_name),
        *map(_moved, facts.rollouts(graph, model_name)),
        *_failed(graph, model_name),
    ]
    return [event for _, _, event in sorted(found, key=lambda entry: entry[:2])]


# Facts that were recorded in one millisecond stand in the order in which the loop writes them.
_Placed = tuple[int, int, TimelineEvent]
_MOVES = {
    "canary": "CANARY",
    "promote": "PROMOTED",
    "roll_back": "ROLLED_BACK",
    "label": "LABELLED",
}
_ORDER = (
    "DECIDED",
    "APPROVED",
    "RETURNED",
    "HELD",
    "ADMITTED",
    "LAUNCHED",
    "RESUMED",
    "PUSHED",
    "FAILED",
)


def _placed(event: TimelineEvent) -> _Placed:
    place = _ORDER.index(event.kind) if event.kind in _ORDER else len(_ORDER)
    return event.at_ms, place, event


def _pushed(graph: Graph, model_name: str) -> Iterator[_Placed]:
    for push in facts.pushes(graph, model_name):
        replaced = f", replacing {push.replaced}" if push.replaced else ""
        yield _placed(
            TimelineEvent(
                at_ms=push.pushed_at_ms,
                kind="PUSHED",
                text=f"version {push.version} serves{replaced}",
                version=push.version,
                run_id=push.run_id,
            )
        )


def _moved(fact: RolloutFact) -> _Placed:
    # A newer release may know more moves.
    kind = _MOVES.get(fact.action, fact.action.upper())
    text = fact.detail
    if fact.is_push_step:
        kind, text = "PUSH_STEP", f"{fact.action}: {fact.detail}"
    return _placed(TimelineEvent(at_ms=fact.at_ms, kind=kind, text=text, version=fact.version))


def _decided(fact: DecisionFact) -> _Placed:
    return _placed(
        TimelineEvent(
            at_ms=fact.decided_at_ms,
            kind="DECIDED",
            text=(
                f"{fact.verdict} ({fact.reason}), avoidable loss {fact.avoidable_loss:.4g}, "
                f"accumulated {fact.accumulated:.4g}"
            ),
            window=fact.window,
            version=fact.model_version,
            decision_id=fact.decision_id,
        )
    )


def _answered(graph: Graph, model_name: str) -> Iterator[_Placed]:
    for execution in graph.of_type(ledger.APPROVAL):
        if execution.text("model_name") == model_name:
            by = execution.text("approved_by")
            yield _fact(execution, "APPROVED", f"by {by}" if by else "approved", graph)
    for execution in graph.of_type(ledger.ADMISSION):
        if execution.text("model_name") == model_name:
            held = execution.text("verdict") == "HOLD"
            text = f"{execution.text('reason')} ({execution.text('policy_version')})"
            yield _fact(execution, "HELD" if held else "ADMITTED", text, graph)
    for execution in graph.of_type(ledger.RETURN):
        if execution.text("model_name") == model_name:
            back = f"version {execution.text('returned_version')} serves again"
            yield _fact(execution, "RETURNED", f"{back} ({execution.text('reason')})", graph)


def _fact(execution: Execution, kind: str, text: str, graph: Graph) -> _Placed:
    read = graph.inputs(execution, "decision")
    return _placed(
        TimelineEvent(
            at_ms=execution.created_at_ms,
            kind=kind,
            text=text,
            window=execution.text("window"),
            version=int(execution.properties.get("model_version") or 0),
            run_id=execution.text("run_id"),
            decision_id=read[0].id if read else 0,
            loop_clock_ms=int(execution.properties.get("at_ms") or 0),
        )
    )


def _started(graph: Graph, model_name: str) -> Iterator[_Placed]:
    claims = {
        claim.text("run_id"): claim
        for claim in graph.artifacts_of_type(ledger.CLAIM)
        if claim.text("model_name") == model_name
    }
    for lease in graph.artifacts_of_type(ledger.LEASE):
        claim = claims.get(lease.text("run_id"))
        if claim is not None:
            yield _placed(_start(lease, claim))


def _start(lease: Artifact, claim: Artifact) -> TimelineEvent:
    attempt = lease.integer("attempt")
    again = f", start {attempt}" if attempt > 1 else ""
    return TimelineEvent(
        at_ms=lease.created_at_ms,
        kind="LAUNCHED" if attempt == 1 else "RESUMED",
        text=f"training run {lease.text('run_id')}{again}",
        window=claim.text("window"),
        version=claim.integer("model_version"),
        run_id=lease.text("run_id"),
        decision_id=claim.integer("decision_id"),
    )


def _ended(graph: Graph, model_name: str) -> Iterator[_Placed]:
    for execution in graph.of_type(ledger.RETRAINING):
        if execution.text("model_name") != model_name:
            continue
        version = int(execution.properties.get("pushed_version") or 0)
        if execution.text("state") != RunState.SUCCEEDED.value:
            node = execution.text("node")
            where = f" in {node}" if node else ""
            text = f"retraining failed{where}: {execution.text('reason')}"
            yield _fact(execution, "FAILED", _first_line(text), graph)
            continue
        if version:
            text = f"retraining ended, version {version} pushed"
        else:
            why = execution.text("detail") or "the challenger did not pass"
            text = f"retraining ended, nothing was pushed: {why}"
        yield _fact(execution, "ENDED", text, graph)


def _failed(graph: Graph, model_name: str) -> Iterator[_Placed]:
    """Failed runs without a claim: failed starts, and failed nodes of runs without leases."""
    claimed = {end.text("run_id") for end in graph.of_type(ledger.RETRAINING)}
    # How a claimed run ended is an event of its claim already.
    told = set(claimed)
    for lease in graph.artifacts_of_type(ledger.LEASE):
        run_id = lease.text("run_id")
        # A lease names no model, but the ids of our runs hold its name.
        own = model_name in run_id and run_id not in claimed
        if own and lease.text("end") == LeaseEnd.FAILED.value:
            told.add(run_id)
            node = lease.text("node") or _failed_node(graph, run_id)
            yield _failure(lease.updated_at_ms, run_id, node, lease.text("reason"))
    for execution in graph.executions.values():
        of_model = model_name in execution.run_id and execution.run_id not in told
        if execution.state == "FAILED" and of_model:
            yield _failure(
                execution.updated_at_ms, execution.run_id, execution.node, execution.message
            )


def _failed_node(graph: Graph, run_id: str) -> str:
    executions = graph.executions.values()
    return next((e.node for e in executions if e.run_id == run_id and e.state == "FAILED"), "")


def _failure(at_ms: int, run_id: str, node: str, reason: str) -> _Placed:
    where = f"{node} of {run_id}" if node else run_id
    text = _first_line(f"{where}: {reason or 'no reason was recorded'}")
    return _placed(TimelineEvent(at_ms=at_ms, kind="FAILED", text=text, run_id=run_id))


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")
