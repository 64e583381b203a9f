"""Decision about a retraining. Pure: evidence in, a verdict with its reason out.

The gates (hold_gates.py) come first. Then the served model is checked: is it broken, and does
a version that served before fit the newest labels better? Last comes whether a training would pay,
against the version that is to serve.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tfx_loop.contracts.measured_loss import SavingState
from tfx_loop.contracts.retrain_decision import (
    BETTER_THAN_PROMISED,
    NO_AVOIDABLE_LOSS,
    OTHER_VERSION_FITS,
    PROMISE_WAS_WRONG,
    RETRAINING_PAYS,
    SAVING_BELOW_COST,
    WORSE_THAN_STAND_IN,
    DecisionAction,
    DecisionEvidence,
    DecisionRecord,
    RetrainVerdict,
)
from tfx_loop.contracts.version_contest import VersionContest
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.retrain_decider import wording
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.hold_gates import Evidence, first_hold
from tfx_loop.monitoring.retrain_decider.model_fault import model_is_faulty
from tfx_loop.monitoring.retrain_decider.reinstatement import HeldContest
from tfx_loop.monitoring.retrain_decider.savings import (
    better_than_expected,
    observe,
    pays,
)
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings, PolicySettings
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample

# Recorded with each decision: another number, another rule, so that histories are compared as such.
POLICY_VERSION = "avoidable-loss/5"
# All other reasons hold.
_VERDICTS = {
    RETRAINING_PAYS: RetrainVerdict.RETRAIN,
    WORSE_THAN_STAND_IN: RetrainVerdict.MODEL_FAULT,
    OTHER_VERSION_FITS: RetrainVerdict.REINSTATE,
}

Measure = Callable[[LabelledSample | None], AvoidableLoss]


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """What a decision says, beside the evidence that all decisions record."""

    reason: str
    explanation: str
    saving: SavingState
    avoidable: AvoidableLoss | None = None
    action: DecisionAction = DecisionAction.NONE
    contest: VersionContest | None = None


def decide(
    evidence: Evidence,
    measure: Measure,
    previous: SavingState | None,
    settings: DecisionSettings,
    contest: Callable[[], HeldContest | None] = lambda: None,
) -> DecisionRecord:
    """Returns the first gate that holds, or what the measurements say.

    Args:
        evidence: What was seen.
        measure: Measures the avoidable loss against the champion, or against a version with another
            training sample; called only when no gate holds, for it takes seconds.
        previous: What was believed after the last decision on this champion; None for the first.
        settings: When to retrain.
        contest: Lets versions that served before answer the newest labelled rows; None where there
            is none to ask.
    """
    before = previous or SavingState()
    if evidence.model_version:
        before = replace(before, model_version=evidence.model_version)
    if held := first_hold(evidence, settings):
        reason, explanation = held
        found = _Finding(reason=reason, explanation=explanation, saving=before)
    else:
        found = _measured(evidence, measure, before, settings, contest)
    return _record(found, evidence, settings)


def _measured(
    evidence: Evidence,
    measure: Measure,
    before: SavingState,
    settings: DecisionSettings,
    contest: Callable[[], HeldContest | None],
) -> _Finding:
    avoidable = measure(None)
    saving = before
    # Labels may come less often than windows end: a label window's saving counts once.
    if evidence.label_window != before.label_window:
        saving = observe(before, avoidable, evidence.label_window, settings)
    if model_is_faulty(avoidable, settings):
        # Savings are told by stand-ins: of a broken model they say nothing.
        saving = replace(saving, faulty_version=evidence.model_version)
        action = _against_fault(evidence, before, settings)
        return _Finding(
            reason=WORSE_THAN_STAND_IN,
            explanation=wording.explain_fault(evidence, avoidable, before, action),
            saving=saving,
            avoidable=avoidable,
            action=action,
        )
    # A champion whose answers were seen and are sound clears what was found before.
    if avoidable.served:
        saving = replace(saving, faulty_version=None)
    held = contest()
    if held is not None and held.sample is not None:
        return _reinstated(evidence, measure, saving, settings, held, avoidable)
    reason = _judge(saving, avoidable, settings)
    # A retraining that pays is launched even so; wording.wrong_promise then says it beside.
    if reason != RETRAINING_PAYS and evidence.promise and evidence.promise.wrong:
        reason = PROMISE_WAS_WRONG
    retrains = reason == RETRAINING_PAYS
    return _Finding(
        reason=reason,
        explanation=wording.explain(reason, evidence, avoidable, saving, settings),
        saving=saving,
        avoidable=avoidable,
        action=DecisionAction.RETRAIN if retrains else DecisionAction.NONE,
        contest=held.contest if held else None,
    )


def _reinstated(
    evidence: Evidence,
    measure: Measure,
    saving: SavingState,
    settings: DecisionSettings,
    held: HeldContest,
    avoidable: AvoidableLoss,
) -> _Finding:
    """Returns the verdict for a version that fits better, and whether a training pays even so."""
    # Against the winner and not the champion: it is what would serve if no training were launched.
    against = measure(held.sample)
    # Savings against the champion say nothing of what is saved against another version.
    fresh = SavingState(faulty_version=saving.faulty_version, model_version=held.contest.winner)
    left = observe(fresh, against, evidence.label_window, settings)
    contest = replace(held.contest, avoidable_loss=against.measured(), saving=left)
    retrains = pays(left, settings)
    return _Finding(
        reason=OTHER_VERSION_FITS,
        explanation=wording.explain_reinstatement(evidence, contest, against, left, settings),
        saving=saving,
        avoidable=avoidable,
        action=DecisionAction.REINSTATE_AND_RETRAIN if retrains else DecisionAction.REINSTATE,
        contest=contest,
    )


def _against_fault(
    evidence: Evidence, before: SavingState, settings: PolicySettings
) -> DecisionAction:
    """Returns what is asked for: a person, where a new version was found just as faulty."""
    # A fault that a new version has too lies in data or code, which no training repairs.
    first = before.faulty_version in (None, evidence.model_version)
    return settings.on_model_fault if first else DecisionAction.ALARM


def carried_state(previous: DecisionRecord, model_name: str, model_version: int) -> SavingState:
    """Returns what the last decision believed, as far as it holds for this champion.

    Args:
        previous: The last decision.
        model_name: The model that is judged now.
        model_version: Its champion; 0 where nobody answered in the window and no record says which
            it is. What was believed then waits for its version.
    """
    if previous.model_name != model_name:
        raise DataError(
            f"Expected the previous decision to be about model {model_name!r}, received one about "
            f"{previous.model_name!r}."
        )
    saving, contest = previous.evidence.saving, previous.evidence.contest
    if saving.model_version is None:
        saving = replace(saving, model_version=previous.model_version or None)
    if not model_version or saving.model_version == model_version:
        return saving
    # Reinstated by the last decision: what was measured against it then is its first saving.
    won = contest.saving if contest else None
    if won is not None and won.model_version == model_version:
        return won
    # A new champion starts at zero; the fault is kept, to tell one that repeats.
    return SavingState(faulty_version=saving.faulty_version)


def _record(found: _Finding, evidence: Evidence, settings: DecisionSettings) -> DecisionRecord:
    contest = found.contest
    return DecisionRecord(
        verdict=_VERDICTS.get(found.reason, RetrainVerdict.HOLD),
        action=found.action,
        reason=found.reason,
        explanation=found.explanation
        + wording.wrong_promise(evidence, found.reason)
        + wording.left_out(evidence, contest),
        policy_version=POLICY_VERSION,
        model_name=evidence.model_name,
        model_version=evidence.model_version,
        window=evidence.window,
        label_window=evidence.label_window,
        reinstate=contest.winner if contest else None,
        evidence=DecisionEvidence(
            avoidable_loss=found.avoidable.measured() if found.avoidable else None,
            accumulated=found.saving.accumulated,
            saving=found.saving,
            rows=evidence.rows,
            labelled_rows=evidence.labelled_rows,
            one_class=evidence.one_class,
            drifted=evidence.drifted,
            faults=evidence.faults,
            quality=evidence.quality,
            faulty_windows=evidence.faulty_windows,
            left_out=evidence.left_out,
            contest=contest,
            promise=evidence.promise,
        ),
        settings=settings.to_json(),
    )


def _judge(saving: SavingState, avoidable: AvoidableLoss, policy: PolicySettings) -> str:
    if pays(saving, policy):
        return RETRAINING_PAYS
    # A saving that is certain and adds to the sum, which the training cost is still above.
    if saving.latest > 0:
        return SAVING_BELOW_COST
    if avoidable.z > policy.certain_z and better_than_expected(avoidable, policy):
        return BETTER_THAN_PROMISED
    return NO_AVOIDABLE_LOSS
