"""The gates between a window and a new version, as they answered: passed, held, or not asked.

Read from what is recorded. Gates are asked in a fixed order, so the reason on record says which
one held, that those before it let the window pass, and that those after it were not asked. A
reason that asks for something names the gates that it did without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tfx_loop.contracts import retrain_decision as decided
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION, DecisionProperties
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import Scalar, from_properties
from tfx_loop.core.errors import DataError, first_line
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.admission import AdmissionReason
from tfx_loop.pipelines.control.decisions import window_order
from tfx_loop.pipelines.control.ledger import Store

Reasons = tuple[str, ...]
_PROMISE = "what the model promised before its push was true"
_SAVES = "a retraining would save something for sure"
_PAYS = "what it saves pays for it"
# In the order of monitoring/retrain_decider: gates of the data, then what was measured.
DECISION_GATES: tuple[tuple[str, Reasons], ...] = (
    ("the window's data are sound", (decided.DATA_FAULT,)),
    ("it has rows enough", (decided.TOO_FEW_ROWS,)),
    ("the champion answered in it", (decided.CHAMPION_IS_NEW, decided.LOG_DISAGREES)),
    ("the newest labels are not quarantined", (decided.QUARANTINED,)),
    ("labels enough have come", (decided.TOO_FEW_LABELS,)),
    ("they are of more than one class", (decided.LABELS_OF_ONE_CLASS,)),
    ("they are sound", (decided.LABEL_FAULT,)),
    (_PROMISE, (decided.PROMISE_WAS_WRONG,)),
    (_SAVES, (decided.NO_AVOIDABLE_LOSS, decided.BETTER_THAN_PROMISED)),
    (_PAYS, (decided.SAVING_BELOW_COST,)),
)
# Reasons that ask for something, with the gates that they are not asked of: a retraining that pays
# does so whatever was promised; of a broken model, and where another version fits, nothing more.
ASKING: Mapping[str, Reasons] = {
    decided.RETRAINING_PAYS: (_PROMISE,),
    decided.WORSE_THAN_STAND_IN: (_PROMISE, _SAVES, _PAYS),
    decided.OTHER_VERSION_FITS: (_PROMISE, _SAVES, _PAYS),
}
ADMISSION_GATES: tuple[tuple[str, Reasons], ...] = (
    ("nobody launched it before", (AdmissionReason.ALREADY_CLAIMED.value,)),
    ("it is about the version that serves", (AdmissionReason.SUPERSEDED.value,)),
    ("no other retraining is running", (AdmissionReason.IN_FLIGHT.value,)),
    ("no person holds launches back", (AdmissionReason.HELD_BY_PERSON.value,)),
    ("the cooldown is over", (AdmissionReason.COOLDOWN.value,)),
    ("the budget is not spent", (AdmissionReason.BUDGET_SPENT.value,)),
    (
        "the mode allows it, or a person did",
        (AdmissionReason.OBSERVE_MODE.value, AdmissionReason.APPROVAL_NEEDED.value),
    ),
)


class GateState(str, Enum):
    """How a gate answered."""

    PASSED = "passed"
    HELD = "held"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, kw_only=True)
class GateAnswer:
    """One gate.

    Attributes:
        gate: What has to be true.
        state: Whether it was.
        reason: The reason on record, where it held.
    """

    gate: str
    state: GateState
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class WindowGates:
    """The gates of one window.

    Attributes:
        window: Its name.
        decision_id: MLMD id of its decision.
        verdict: What was decided.
        reason: Why.
        explanation: The decision's sentence; empty where its file is gone; of a damaged one,
            why it cannot be read.
        decision: Gates before the decision.
        admission: Gates before a launch; empty where none was asked for.
        outcome: What came of the training: `pushed`, `not_pushed`, why it failed, `running`, or
            empty where none was launched.
        detail: Why the quality gate refused the model; empty otherwise.
        version: The version that came of it; 0 for none.
    """

    window: str
    decision_id: int
    verdict: str
    reason: str
    explanation: str = ""
    decision: tuple[GateAnswer, ...] = ()
    admission: tuple[GateAnswer, ...] = ()
    outcome: str = ""
    detail: str = ""
    version: int = 0


def why_not(
    store: Store, model_name: str, since: str = "", as_of_ms: int | None = None
) -> list[WindowGates]:
    """Returns the gates of a model's windows, oldest first: the newest, or all since one.

    Args:
        store: The metadata store.
        model_name: The served model.
        since: Name of the first window; empty for the newest alone.
        as_of_ms: What was recorded by then alone, milliseconds since epoch; None takes all.
    """
    newest: dict[str, tuple[int, str, DecisionProperties]] = {}
    for artifact in _by(as_of_ms, ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION)):
        said = from_properties(DecisionProperties, ledger.properties(artifact))
        # A window that was monitored again has the answer of its newest run.
        if said.model_name == model_name and int(artifact.id) > newest.get(said.window, (0,))[0]:
            newest[said.window] = (int(artifact.id), str(artifact.uri), said)
    windows = sorted(newest, key=window_order)
    if since:
        windows = [name for name in windows if window_order(name) >= window_order(since)]
    else:
        windows = windows[-1:]
    answers = ledger.newest_by_window(
        _by(as_of_ms, store.get_executions_by_type(ledger.ADMISSION)), model_name
    )
    ends = ledger.newest_by_window(
        _by(as_of_ms, store.get_executions_by_type(ledger.RETRAINING)), model_name
    )
    return [_gates(name, newest[name], answers.get(name), ends.get(name)) for name in windows]


def _by(as_of_ms: int | None, records: Sequence[Any]) -> list[Any]:
    """Returns what was recorded by a time."""
    return [one for one in records if as_of_ms is None or one.create_time_since_epoch <= as_of_ms]


def _gates(
    window: str,
    found: tuple[int, str, DecisionProperties],
    admission: Mapping[str, Scalar] | None,
    end: Mapping[str, Scalar] | None,
) -> WindowGates:
    decision_id, uri, said = found
    try:
        record = RETRAIN_DECISION.find(uri)
        explanation = record.explanation if record else ""
    except DataError as error:
        # Which gate held stands in the store; the file has the sentence alone.
        explanation = first_line(error)
    asked = str(admission["reason"]) if admission else ""
    launched = asked == AdmissionReason.ADMITTED.value
    return WindowGates(
        window=window,
        decision_id=decision_id,
        verdict=said.verdict,
        reason=said.reason,
        explanation=explanation,
        decision=answered(DECISION_GATES, said.reason, ASKING),
        admission=answered(ADMISSION_GATES, asked, {AdmissionReason.ADMITTED.value: ()})
        if admission
        else (),
        outcome=str(end["reason"]) if end else ("running" if launched else ""),
        detail=str(end.get("detail", "")) if end else "",
        version=int(end["pushed_version"]) if end else 0,
    )


def answered(
    gates: Sequence[tuple[str, Reasons]], reason: str, asking: Mapping[str, Reasons]
) -> tuple[GateAnswer, ...]:
    """Returns how gates answered, by the one reason that is on record.

    Args:
        gates: Each gate with its reasons, in the order in which they are asked.
        reason: The reason on record. Of one that stands in neither, as another release may write,
            no gate is known to have been asked.
        asking: Reasons that no gate held, each with the gates that it is not asked of.
    """
    # No gate has the reason: all of them passed, if it is one that asks for something.
    held = next((n for n, (_, reasons) in enumerate(gates) if reason in reasons), len(gates))
    known = held < len(gates) or reason in asking
    passed = {gate for gate, _ in gates[:held] if gate not in asking.get(reason, ())}
    answers = []
    for number, (gate, _) in enumerate(gates):
        if number == held:
            answers.append(GateAnswer(gate=gate, state=GateState.HELD, reason=reason))
        else:
            state = GateState.PASSED if known and gate in passed else GateState.NOT_ASKED
            answers.append(GateAnswer(gate=gate, state=state))
    return tuple(answers)
