"""Admission of a decision to retrain. Pure: no clock, no files, no store."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from tfx_loop.core.durations import MS_PER_SECOND
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings


class AdmissionVerdict(enum.Enum):
    """What the loop does with a decision."""

    RETRAIN = "RETRAIN"
    HOLD = "HOLD"


class AdmissionReason(enum.Enum):
    """Why a decision was launched or held back; stable names, they stand in MLMD."""

    ADMITTED = "admitted"
    ALREADY_CLAIMED = "already_claimed"
    SUPERSEDED = "superseded"
    IN_FLIGHT = "in_flight"
    HELD_BY_PERSON = "held_by_person"
    COOLDOWN = "cooldown"
    BUDGET_SPENT = "budget_spent"
    OBSERVE_MODE = "observe_mode"
    APPROVAL_NEEDED = "approval_needed"


@dataclass(frozen=True, kw_only=True)
class RetrainRequest:
    """A decision that asks for a retraining.

    Attributes:
        claim_name: The unique name that this request would claim.
        model_version: The serving version that the decision is about.
        window: The window whose evidence asks for it.
        stable_version: The version that the deployment record calls stable now; 0 where it is not
            known.
        retried: Whether a person asked for a training that failed to be tried again.
    """

    claim_name: str
    model_version: int
    window: str
    stable_version: int = 0
    retried: bool = False


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A launch of the past.

    Attributes:
        claim_name: The claim that allowed it.
        claimed_at_ms: When it was claimed, by the loop's clock.
        ended: Whether its outcome is recorded.
        pushed_version: The version that it brought into service; 0 for none.
    """

    claim_name: str
    claimed_at_ms: int
    ended: bool = False
    pushed_version: int = 0


@dataclass(frozen=True, kw_only=True)
class History:
    """All that the gates may look at.

    Attributes:
        launches: Every launch for this model, oldest first.
        approvals: Claim names of the decisions that somebody approved.
        held: Whether a person holds all launches back.
    """

    launches: tuple[Launch, ...] = ()
    approvals: frozenset[str] = frozenset()
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The answer to a retrain request."""

    verdict: AdmissionVerdict
    reason: AdmissionReason


Gate = Callable[[RetrainRequest, History, LoopSettings, int], AdmissionReason | None]


def claim_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds a request whose claim was taken: the same evidence launches once."""
    # Before all other gates: a claim that was launched says so for good, whatever cooldown and
    # budget say today.
    if any(launch.claim_name == request.claim_name for launch in history.launches):
        return AdmissionReason.ALREADY_CLAIMED
    return None


def superseded_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds a request about a model that is no more the one that serves."""
    # The record decides: after a roll-back by hand, the newest push is not what serves.
    if request.stable_version:
        replaced = request.stable_version != request.model_version
        return AdmissionReason.SUPERSEDED if replaced else None
    # 0 is a launch that pushed nothing; versions begin with 1.
    newest = max((launch.pushed_version for launch in history.launches), default=0)
    return AdmissionReason.SUPERSEDED if newest > request.model_version else None


def in_flight_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds a request while another retraining of the model has not ended."""
    # Two trainings of one model would both push, and the later one replace what nobody judged yet.
    return None if all(launch.ended for launch in history.launches) else AdmissionReason.IN_FLIGHT


def person_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds a request while a person holds all back, unless a person approved it."""
    held = history.held and request.claim_name not in history.approvals
    return AdmissionReason.HELD_BY_PERSON if held else None


def cooldown_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds a request until the quiet time since a launch has passed.

    That is `cooldown_seconds` after one that brought a version, which has yet to show what it is
    worth, and `retry_seconds` after one that failed or was refused, which changed nothing. The
    budget bounds how often the same failure is paid for. A person who fixed what failed need not
    wait.
    """
    for launch in history.launches:
        brought = launch.pushed_version > 0
        if request.retried and not brought:
            continue
        seconds = settings.cooldown_seconds
        quiet = seconds if brought else min(seconds, settings.retry_seconds)
        if now_ms - launch.claimed_at_ms < quiet * MS_PER_SECOND:
            return AdmissionReason.COOLDOWN
    return None


def budget_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds a request when the last `budget_seconds` have seen `max_launches` launches."""
    since = now_ms - settings.budget_seconds * MS_PER_SECOND
    # Failed launches count, or a training that always fails would be started for ever.
    spent = sum(launch.claimed_at_ms > since for launch in history.launches)
    return AdmissionReason.BUDGET_SPENT if spent >= settings.max_launches else None


def approval_gate(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> AdmissionReason | None:
    """Holds every request in mode `observe`, and unapproved ones in mode `suggest`."""
    if settings.mode is LoopMode.OBSERVE:
        return AdmissionReason.OBSERVE_MODE
    if settings.mode is LoopMode.SUGGEST and request.claim_name not in history.approvals:
        return AdmissionReason.APPROVAL_NEEDED
    return None


# The order is part of the contract: the reason that is recorded is the first that holds.
ADMISSION_GATES: tuple[Gate, ...] = (
    claim_gate,
    superseded_gate,
    in_flight_gate,
    person_gate,
    cooldown_gate,
    budget_gate,
    approval_gate,
)


def admit(
    request: RetrainRequest, history: History, settings: LoopSettings, now_ms: int
) -> Admission:
    """Returns the first gate that holds the request back, or RETRAIN.

    Args:
        request: The decision that asks.
        history: Launches and approvals of this model.
        settings: The operator's limits.
        now_ms: The loop's clock, milliseconds since epoch UTC.
    """
    for gate in ADMISSION_GATES:
        if reason := gate(request, history, settings, now_ms):
            return Admission(verdict=AdmissionVerdict.HOLD, reason=reason)
    return Admission(verdict=AdmissionVerdict.RETRAIN, reason=AdmissionReason.ADMITTED)
