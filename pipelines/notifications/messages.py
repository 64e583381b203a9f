"""Messages about a loop: one for a change of state, read from what is recorded.

Messages are derived from facts in ML Metadata. A process that dies between a fact and its message
leaves the message to its successor, and a fact that was told is not told again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionProperties,
    RetrainVerdict,
)
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import Scalar, from_properties
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store

_DECISIONS, _FACTS = "decisions", "facts"
_KINDS = (ledger.ADMISSION, ledger.RETRAINING, ledger.RETURN, ledger.PERSON_HOLD, ledger.SKIP)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One change of state.

    Attributes:
        key: Names the change: the same change has the same key, whoever tells it.
        model_name: The served model.
        window: The window that it is about; empty for none.
        change: What changed, such as `pushed` or `decision`.
        text: The change in one sentence.
        reason: The reason code on record.
        link: Where more is: a report's folder, or the command that shows it.
        at_ms: When it was read, milliseconds since epoch UTC.
    """

    key: str
    model_name: str
    window: str = ""
    change: str
    text: str
    reason: str = ""
    link: str = ""
    at_ms: int = 0

    @property
    def message_id(self) -> str:
        """Its id, by which a receiver knows a message that comes twice."""
        return hashlib.sha256(f"{self.model_name}/{self.key}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class ToldUntil:
    """How far a loop's facts have been told: the largest MLMD ids, and the last decision.

    Attributes:
        decision_id: Of decisions.
        fact_id: Of the loop's own executions.
        verdict: Verdict and reason of the last decision: the same again is no change.
        trouble: What was in the way when it was told last; empty for nothing.
    """

    decision_id: int = 0
    fact_id: int = 0
    verdict: str = ""
    trouble: str = ""


def new_messages(
    store: Store, model_name: str, told: ToldUntil, now_ms: int
) -> tuple[list[Message], ToldUntil]:
    """Returns what changed since it was told last, oldest first, and how far that is now."""
    messages = []
    for number, uri, said in _decisions(store, model_name):
        if number <= told.decision_id:
            continue
        state = f"{said.verdict} {said.reason}"
        # Windows that are held for one reason again and again are no news.
        if state != told.verdict or said.verdict != RetrainVerdict.HOLD.value:
            messages.append(_of_decision(model_name, number, uri, said))
        told = replace(told, decision_id=number, verdict=state)
    for number, kind, fact in _facts(store, model_name):
        if number > told.fact_id:
            messages.append(_of_fact(model_name, number, kind, fact))
            told = replace(told, fact_id=number)
    return [replace(message, at_ms=now_ms) for message in messages], told


def trouble_message(
    model_name: str, trouble: str, kind: str, told: ToldUntil, now_ms: int
) -> tuple[list[Message], ToldUntil]:
    """Returns a message where trouble began, changed its kind or ended."""
    if kind == told.trouble:
        return [], told
    text = f"{model_name}: {trouble}" if kind else f"{model_name}: the loop goes on."
    message = Message(
        key=f"trouble/{kind or 'over'}/{now_ms}",
        model_name=model_name,
        change="trouble" if kind else "trouble_over",
        text=text,
        reason=kind or told.trouble,
        link="loop status",
        at_ms=now_ms,
    )
    return [message], replace(told, trouble=kind)


def _decisions(store: Store, model_name: str) -> list[tuple[int, str, DecisionProperties]]:
    found = []
    for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION):
        said = from_properties(DecisionProperties, ledger.properties(artifact))
        # One without a window is being made.
        if said.model_name == model_name and said.window:
            found.append((int(artifact.id), str(artifact.uri), said))
    return found


def _facts(store: Store, model_name: str) -> list[tuple[int, str, Mapping[str, Scalar]]]:
    found = [
        (int(one.id), kind, said)
        for kind in _KINDS
        for one in store.get_executions_by_type(kind)
        if (said := ledger.properties(one))["model_name"] == model_name
    ]
    return sorted(found, key=lambda one: one[0])


def _of_decision(model_name: str, number: int, uri: str, said: DecisionProperties) -> Message:
    record = RETRAIN_DECISION.find(uri)
    why = record.explanation if record else said.reason
    return Message(
        key=f"decision/{number}",
        model_name=model_name,
        window=said.window,
        change="decision",
        text=f"{model_name}, window {said.window}: {said.verdict}. {why}",
        reason=said.reason,
        link=uri,
    )


def _of_fact(model_name: str, number: int, kind: str, said: Mapping[str, Scalar]) -> Message:
    window, reason = str(said.get("window", "")), str(said.get("reason", ""))
    where = f"{model_name}, window {window}"
    if kind == ledger.ADMISSION:
        change = "launched" if reason == "admitted" else "held"
        text = f"{where}: a retraining was launched."
        if reason == "approval_needed":
            text = f"{where}: a retraining waits for a person. `loop approve` says yes."
        elif change == "held":
            text = f"{where}: a retraining was held back ({reason})."
    elif kind == ledger.RETRAINING:
        version = int(said["pushed_version"])
        change = "pushed" if version else "not_pushed"
        detail = str(said.get("detail", "")) or reason
        text = f"{where}: the retraining brought no new version: {detail}"
        if version:
            text = f"{where}: version {version} serves."
    elif kind == ledger.RETURN:
        change = "returned"
        text = f"{where}: version {said['returned_version']} serves again ({reason})."
    elif kind == ledger.SKIP:
        change = "skipped"
        text = f"{where}: left out by {said['by']}: {reason}"
    else:
        change = "held_by_person" if said["held"] else "let_go_by_person"
        state = "held back" if said["held"] else "let go"
        text = f"{model_name}: launches are {state} by {said['by']}: {reason}"
    return Message(
        key=f"{kind}/{number}",
        model_name=model_name,
        window=window,
        change=change,
        text=text,
        reason=reason,
        link=f"loop why-not --since {window}" if window else "loop status",
    )
