"""Should this window lead to a retraining? Pure: evidence in, a verdict with its reason out.

The gates come in a fixed order, and the first that holds names the reason: broken data, too few
rows, too few labels, and then the one question that matters, whether retraining would pay.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.policy import (
    PolicySettings,
    SavingState,
    better_than_promised,
    observe,
    pays,
)
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings

POLICY_VERSION = "avoidable-loss/2"

# Reasons, one for each way to a verdict.
DATA_FAULT = "data_fault"
TOO_FEW_ROWS = "too_few_rows"
TOO_FEW_LABELS = "too_few_labels"
LABELS_OF_ONE_CLASS = "labels_of_one_class"
NO_AVOIDABLE_LOSS = "no_avoidable_loss"
BETTER_THAN_PROMISED = "better_than_promised"
SAVING_BELOW_COST = "saving_below_training_cost"
RETRAINING_PAYS = "retraining_pays"


class Verdict(str, Enum):
    """What to do about the champion."""

    RETRAIN = "RETRAIN"
    HOLD = "HOLD"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a decision rests on.

    Attributes:
        model_name: Name that the model is served under.
        model_version: The champion's version.
        window: The window that just ended.
        label_window: The newest window whose labels have arrived.
        rows: Rows of the window.
        labelled_rows: Labelled rows of the label window.
        one_class: Whether those labels are all of one class.
        drifted: Features that drifted.
        faults: Features that are broken, or `feature: fault`.
        quality: Metrics of the champion on the label window, for the record.
    """

    model_name: str
    model_version: int
    window: str
    label_window: str
    rows: int
    labelled_rows: int
    one_class: bool = False
    drifted: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    quality: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict, its reason, and the numbers that it rests on.

    Attributes:
        verdict: What to do.
        reason: A constant of this module.
        explanation: One plain sentence.
        evidence: What was seen.
        saving: What is believed about the saving; carried to the next decision on this champion.
        avoidable: What was measured; None where a gate held before.
        settings: What was decided with.
        policy_version: Names the rule.
    """

    verdict: Verdict
    reason: str
    explanation: str
    evidence: Evidence
    saving: SavingState
    avoidable: AvoidableLoss | None
    settings: DecisionSettings
    policy_version: str = POLICY_VERSION


def decide(
    evidence: Evidence,
    measure: Callable[[], AvoidableLoss],
    previous: SavingState | None,
    settings: DecisionSettings,
) -> Decision:
    """Returns the first gate that holds, or what the measured saving says.

    Args:
        evidence: What was seen.
        measure: Measures the avoidable loss; called only when no gate holds, for it takes seconds.
        previous: What was believed after the last decision on this champion; None for the first.
        settings: When to retrain.
    """
    before = previous or SavingState()
    for gate in _GATES:
        if held := gate(evidence, settings):
            reason, explanation = held
            return Decision(
                verdict=Verdict.HOLD,
                reason=reason,
                explanation=explanation,
                evidence=evidence,
                saving=before,
                avoidable=None,
                settings=settings,
            )
    avoidable = measure()
    saving = before
    if evidence.label_window != before.label_window:
        saving = observe(before, avoidable, evidence.label_window, settings)
    reason = _judge(saving, avoidable, settings)
    return Decision(
        verdict=Verdict.RETRAIN if reason == RETRAINING_PAYS else Verdict.HOLD,
        reason=reason,
        explanation=_explain(reason, evidence, avoidable, saving, settings),
        evidence=evidence,
        saving=saving,
        avoidable=avoidable,
        settings=settings,
    )


Held = tuple[str, str] | None


def _hold_broken_data(evidence: Evidence, settings: DecisionSettings) -> Held:
    if not evidence.faults:
        return None
    return DATA_FAULT, (
        f"Hold: the data of window {evidence.window} is broken ({', '.join(evidence.faults)}); "
        "a model trained on it would learn the fault."
    )


def _hold_few_rows(evidence: Evidence, settings: DecisionSettings) -> Held:
    if evidence.rows >= settings.min_rows:
        return None
    return TOO_FEW_ROWS, (
        f"Hold: window {evidence.window} has {evidence.rows:,} rows, "
        f"fewer than the {settings.min_rows:,} needed to judge it."
    )


def _hold_few_labels(evidence: Evidence, settings: DecisionSettings) -> Held:
    if evidence.labelled_rows >= settings.min_labelled_rows:
        return None
    return TOO_FEW_LABELS, (
        f"Hold: {evidence.labelled_rows:,} rows of window {evidence.label_window} have labels, "
        f"fewer than the {settings.min_labelled_rows:,} needed to measure what a retraining saves."
    )


def _hold_one_class(evidence: Evidence, settings: DecisionSettings) -> Held:
    if not evidence.one_class:
        return None
    return LABELS_OF_ONE_CLASS, (
        f"Hold: all {evidence.labelled_rows:,} labels of window {evidence.label_window} are of "
        "one class; check where the labels come from."
    )


_GATES = (_hold_broken_data, _hold_few_rows, _hold_few_labels, _hold_one_class)


def _judge(saving: SavingState, avoidable: AvoidableLoss, policy: PolicySettings) -> str:
    if pays(saving, policy):
        return RETRAINING_PAYS
    if saving.latest > 0:
        return SAVING_BELOW_COST
    if avoidable.z > policy.certain_z and better_than_promised(avoidable, policy):
        return BETTER_THAN_PROMISED
    return NO_AVOIDABLE_LOSS


def _explain(
    reason: str,
    evidence: Evidence,
    avoidable: AvoidableLoss,
    saving: SavingState,
    settings: DecisionSettings,
) -> str:
    cost = settings.training_cost
    error = avoidable.relative_standard_error
    measured = (
        f"in window {evidence.label_window} a retrained model would have saved "
        f"{avoidable.relative:.1%} of the loss (standard error {error:.1%}, "
        f"{avoidable.rows:,} rows; the champion's loss there is {avoidable.champion_loss:.3f}, on "
        f"rows held out of its own training {avoidable.promised_loss:.3f})"
    )
    if reason == NO_AVOIDABLE_LOSS:
        return f"Hold: {measured}, which does not stand out from chance."
    if reason == BETTER_THAN_PROMISED:
        return (
            f"Hold: {measured}; version {evidence.model_version} does better than it promised: "
            "what a retraining gains here it may lose elsewhere."
        )
    total = (
        f"since version {evidence.model_version} was trained, and with the window whose labels are "
        f"to come, that adds up to {saving.lost(settings):.1%} of a window's loss"
    )
    if reason == RETRAINING_PAYS:
        return f"Retrain: {measured}; {total}, and a training costs {cost:.1%}."
    return f"Hold: {measured}; {total}, less than the {cost:.1%} that a training costs."
