"""Whether a window leads to a retraining. Pure: evidence in, a verdict with its reason out.

The gates come in a fixed order, and the first that holds names the reason: broken data, too few
rows, too few labels, and then the one question that matters, whether retraining would pay.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tfx_loop.contracts.retrain_decision import (
    BETTER_THAN_PROMISED,
    DATA_FAULT,
    LABELS_OF_ONE_CLASS,
    NO_AVOIDABLE_LOSS,
    RETRAINING_PAYS,
    SAVING_BELOW_COST,
    TOO_FEW_LABELS,
    TOO_FEW_ROWS,
    DecisionEvidence,
    DecisionRecord,
    RetrainVerdict,
    SavingState,
)
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.policy import (
    better_than_expected,
    lost,
    observe,
    pays,
)
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings, PolicySettings

POLICY_VERSION = "avoidable-loss/2"


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


def decide(
    evidence: Evidence,
    measure: Callable[[], AvoidableLoss],
    previous: SavingState | None,
    settings: DecisionSettings,
) -> DecisionRecord:
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
            return _record(reason, explanation, evidence, before, None, settings)
    avoidable = measure()
    saving = before
    if evidence.label_window != before.label_window:
        saving = observe(before, avoidable, evidence.label_window, settings)
    reason = _judge(saving, avoidable, settings)
    explanation = _explain(reason, evidence, avoidable, saving, settings)
    return _record(reason, explanation, evidence, saving, avoidable, settings)


def carried_state(previous: DecisionRecord, model_name: str, model_version: int) -> SavingState:
    """Returns what the last decision believed, as far as it holds for this champion."""
    if previous.model_name != model_name:
        raise DataError(
            f"Expected the previous decision to be about model {model_name!r}, received one about "
            f"{previous.model_name!r}."
        )
    return previous.evidence.saving if previous.model_version == model_version else SavingState()


def _record(
    reason: str,
    explanation: str,
    evidence: Evidence,
    saving: SavingState,
    avoidable: AvoidableLoss | None,
    settings: DecisionSettings,
) -> DecisionRecord:
    pays_off = reason == RETRAINING_PAYS
    return DecisionRecord(
        verdict=RetrainVerdict.RETRAIN if pays_off else RetrainVerdict.HOLD,
        reason=reason,
        explanation=explanation,
        policy_version=POLICY_VERSION,
        model_name=evidence.model_name,
        model_version=evidence.model_version,
        window=evidence.window,
        label_window=evidence.label_window,
        evidence=DecisionEvidence(
            avoidable_loss=avoidable.measured() if avoidable else None,
            accumulated=saving.accumulated,
            saving=saving,
            rows=evidence.rows,
            labelled_rows=evidence.labelled_rows,
            one_class=evidence.one_class,
            drifted=evidence.drifted,
            faults=evidence.faults,
            quality=evidence.quality,
        ),
        settings=settings.to_json(),
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
    if avoidable.z > policy.certain_z and better_than_expected(avoidable, policy):
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
        f"rows held out of its own training {avoidable.expected_loss:.3f})"
    )
    if reason == NO_AVOIDABLE_LOSS:
        return f"Hold: {measured}, which does not stand out from chance."
    if reason == BETTER_THAN_PROMISED:
        return (
            f"Hold: {measured}; version {evidence.model_version} does better than expected: "
            "what a retraining gains here it may lose elsewhere."
        )
    total = (
        f"since version {evidence.model_version} was trained, and with the window whose labels are "
        f"to come, that adds up to {lost(saving, settings):.1%} of a window's loss"
    )
    if reason == RETRAINING_PAYS:
        return f"Retrain: {measured}; {total}, and a training costs {cost:.1%}."
    return f"Hold: {measured}; {total}, less than the {cost:.1%} that a training costs."
