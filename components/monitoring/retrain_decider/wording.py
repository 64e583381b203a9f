"""Sentences of a decision, each number named for what it is."""

from tfx_loop.contracts.measured_loss import SavingState, ServedLoss
from tfx_loop.contracts.retrain_decision import (
    BETTER_THAN_PROMISED,
    NO_AVOIDABLE_LOSS,
    PROMISE_WAS_WRONG,
    RETRAINING_PAYS,
    WORSE_THAN_STAND_IN,
    DecisionAction,
)
from tfx_loop.contracts.version_contest import VersionContest
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.hold_gates import Evidence
from tfx_loop.monitoring.retrain_decider.savings import accumulated_loss
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings, PolicySettings

# Of what the served model loses more than its stand-in.
_MOST_OF_IT = 0.5

_ASKED = {
    DecisionAction.RETRAIN: "a retraining is asked for",
    DecisionAction.ROLL_BACK: "the version before is asked for",
    DecisionAction.ALARM: "a person has to look, and nothing is changed",
}


def explain(
    reason: str,
    evidence: Evidence,
    avoidable: AvoidableLoss,
    saving: SavingState,
    settings: DecisionSettings,
) -> str:
    """Tells what a retraining would have saved, and whether that pays."""
    cost = settings.training_cost
    version, measured = evidence.model_version, _measured(evidence, avoidable)
    if reason == PROMISE_WAS_WRONG:
        return f"Hold: {measured}."
    if reason == NO_AVOIDABLE_LOSS:
        return f"Hold: {measured}. {_why_not_believed(avoidable, settings)}"
    if reason == BETTER_THAN_PROMISED:
        return (
            f"Hold: {measured}. The stand-in for version {version} does better than on those "
            "held-out rows: what a retraining gains here it may lose elsewhere."
        )
    total = (
        f"Since version {version} was trained, and with the window whose labels are to come, that "
        f"adds up to {accumulated_loss(saving, settings):.1%} of a window's loss"
    )
    if reason == RETRAINING_PAYS:
        return f"Retrain: {measured}. {total}, and a training costs {cost:.1%}."
    return f"Hold: {measured}. {total}, less than the {cost:.1%} that a training costs."


def wrong_promise(evidence: Evidence, reason: str) -> str:
    """Tells that the champion's promise was wrong, whatever was decided; nothing where it held."""
    promise = evidence.promise
    if promise is None or not promise.wrong:
        return ""
    after = (
        " What the next version promises will be as wrong"
        if reason in (RETRAINING_PAYS, WORSE_THAN_STAND_IN)
        else " A retraining would leak again"
    )
    return (
        f" Its promise was wrong: {promise.promised:.3f} on its held-out rows and "
        f"{promise.live:.3f} on {promise.rows:,} rows that it answered, where a reference went "
        f"from {promise.reference_promised:.3f} to {promise.reference_live:.3f} "
        f"({promise.z:.1f} standard errors).{after}: look for rows, groups or labels that stood on "
        "both sides of the split (FaultDetector), and for values that only training sees."
    )


def left_out(evidence: Evidence, contest: VersionContest | None) -> str:
    """Names the windows and the versions that took no part."""
    older = [w.told for w in evidence.left_out if w.window != evidence.label_window]
    told = f" Quarantined windows left out: {'; '.join(older)}." if older else ""
    unasked = [f"{v.version} ({v.why.rstrip('.')})" for v in contest.left_out] if contest else []
    return told + (f" Versions that could not be asked: {'; '.join(unasked)}." if unasked else "")


def explain_reinstatement(
    evidence: Evidence,
    contest: VersionContest,
    against: AvoidableLoss,
    left: SavingState,
    settings: DecisionSettings,
) -> str:
    """Tells which version is to serve again, by what, and what a retraining would still save."""
    won = contest.winning
    assert won is not None  # A contest that nobody won reinstates nothing.
    share = won.saving / contest.champion_loss if contest.champion_loss > 0 else 0.0
    pool = len(contest.versions)
    return (
        f"Reinstate: in window {evidence.label_window} version {won.version}, which served before, "
        f"loses {won.mean:.3f} where version {evidence.model_version} loses "
        f"{contest.champion_loss:.3f}, asked the same {contest.rows:,} logged rows: {share:.1%} "
        f"less ({won.z:.1f} standard errors, and {contest.asked_z:.1f} are asked for "
        f"{f'of the best of {pool} versions' if pool > 1 else 'where one version is asked'}). "
        f"{_after(won.version, against, left, settings)}"
    )


def _after(
    version: int, against: AvoidableLoss, left: SavingState, settings: DecisionSettings
) -> str:
    saved = (
        f"Against a stand-in for version {version} a retrained model would have saved "
        f"{against.relative:.1%} of the loss there (standard error "
        f"{against.relative_standard_error:.1%})"
    )
    cost = settings.training_cost
    if left.latest <= 0:
        return f"{saved}, which is not believed: no training is asked for beside it."
    total = (
        f"{saved}, with the window whose labels are to come {accumulated_loss(left, settings):.1%}"
    )
    if accumulated_loss(left, settings) >= cost:
        return f"{total}; a training costs {cost:.1%}, so one is asked for, too."
    return f"{total}; that does not pay the {cost:.1%} that a training costs."


def _measured(evidence: Evidence, avoidable: AvoidableLoss) -> str:
    """Tells whose each loss is: the stand-ins' are estimates, the served model's is a fact."""
    error = avoidable.relative_standard_error
    return (
        f"in window {evidence.label_window} a retrained model would have saved "
        f"{avoidable.relative:.1%} of the loss (standard error {error:.1%}, {avoidable.rows:,} "
        f"rows; by stand-ins: that for version {evidence.model_version} lost "
        f"{avoidable.champion_loss:.3f} there, {avoidable.expected_loss:.3f} on rows held out of "
        f"its training); {_served(evidence, avoidable.served)}"
    )


def _served(evidence: Evidence, served: ServedLoss | None) -> str:
    version = evidence.model_version
    if served is None:
        return f"what version {version} itself lost there is not known from the log"
    promised = "" if served.promised is None else f", {served.promised:.3f} on its held-out rows"
    return (
        f"version {version} itself lost {served.mean:.3f} on the {served.rows:,} rows that it "
        f"answered{promised}"
    )


def _why_not_believed(avoidable: AvoidableLoss, settings: PolicySettings) -> str:
    if avoidable.mean <= 0:
        return "There is nothing to save."
    return (
        f"That is {avoidable.z:.1f} standard errors, and {settings.certain_z:g} are asked for "
        "where the stand-in's loss has not clearly risen above that on its held-out rows."
    )


def explain_fault(
    evidence: Evidence, avoidable: AvoidableLoss, before: SavingState, action: DecisionAction
) -> str:
    """Tells by what the served model was found faulty, and what is asked for."""
    served = avoidable.served
    assert served is not None  # Without answers nothing is called faulty.
    what = _ASKED[action]
    if before.faulty_version not in (None, evidence.model_version):
        what += f", as version {before.faulty_version} had the same fault"
    promised = "" if served.promised is None else f" and {served.promised:.3f} on its held-out rows"
    return (
        f"Model fault: in window {evidence.label_window} version {evidence.model_version} lost "
        f"{served.mean:.3f} on {served.rows:,} rows that it answered{promised}, where a stand-in "
        f"with the same training rows lost {served.stand_in:.3f} and one constant answer "
        f"{served.constant:.3f}; look for {_where_to_look(avoidable, served)}; {what}."
    )


def _where_to_look(avoidable: AvoidableLoss, served: ServedLoss) -> str:
    """Tells a model that was weak from the start from one that lost it on the way to its server."""
    if served.promised is not None:
        lacked = served.promised - avoidable.expected_loss
        if lacked >= _MOST_OF_IT * (served.mean - served.stand_in):
            return (
                "a training that ends too early, a model that is too small, or features that it "
                "does not get: most of this was to be seen on its held-out rows, where the "
                f"stand-in lost {avoidable.expected_loss:.3f}"
            )
    return (
        "bad weights, other preprocessing than in training, or a server that sees other values "
        "than it logs"
    )
