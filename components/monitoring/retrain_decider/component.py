"""The TFX node that decides, after each window, whether a retraining would pay."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import DriftReport, PredictionLog, ReferenceProfile, RetrainDecision
from tfx_loop.core.node import Input, Node
from tfx_loop.monitoring.retrain_decider.executor import Executor
from tfx_loop.monitoring.retrain_decider.settings import RetrainDeciderSettings


class RetrainDecider(Node):
    """Measures what a retraining would save, and says RETRAIN when that pays for one.

    It measures the avoidable loss: a cheap pair of models (gradient boosting and a linear one) is
    fitted on what the champion was trained on, and on what a retraining would be trained on; on
    rows of the newest labelled window that neither saw, their losses are compared. Savings add up
    from window to window; when they reach what a training costs, the verdict is RETRAIN. A saving
    counts when it is certain by itself, or when the champion's loss has clearly risen above what it
    was on rows held out of its own training; none counts while the champion does clearly better
    than that. Broken data, too few rows and too few labels hold a retraining back before anything
    is measured.

    Both sides of that are stand-ins. The served model's own loss, by its logged answers, is
    measured beside them: a model that is clearly worse than its stand-in on the same rows is a
    MODEL_FAULT, and `on_model_fault` says whether a retraining, the version before or a person is
    asked for. Where a new version turns out just as faulty, it is a person.

    Before a training is asked for, versions that served before are asked (`pool`): the first and
    the newest answer the newest labelled window as the champion does, row by row. One that clearly
    loses less is to serve again, REINSTATE, which costs no training; whether a retraining would pay
    is measured against it then. Versions that cannot answer are left out and named.

    A window whose features or labels are broken is named in the decision. Whoever drives the
    pipeline hands such windows back as `quarantined`, and their rows are left out.

    Reasons: `retraining_pays`; `worse_than_stand_in`; `other_version_fits_better`; `data_fault`,
    `label_fault`, `quarantined`, `log_disagrees`, `champion_is_new`, `too_few_rows`,
    `too_few_labels`, `labels_of_one_class`, `no_avoidable_loss`, `better_than_promised`,
    `promise_was_wrong`, `saving_below_training_cost`.

    Inputs:
        drift_report: What moved in the window that just ended.
        labelled_log: Labelled predictions of all windows since the champion's training data ended,
            the newest labelled window among them.
        reference_profile: The champion's, with the sample of its training rows.
        evaluation: Of QualityMonitor on the label window: whether the champion's promise was
            wrong. Where it was, and no retraining pays, that is the reason.
        previous_decision: The decision of the window before, on whatever champion: savings add up
            while the champion stays the same.

    Outputs:
        decision: `RetrainDecision` (RETRAIN, HOLD, MODEL_FAULT or REINSTATE, a reason, one
            sentence, the evidence): `retrain_decision.json`, and the custom properties `verdict`,
            `reason`, `window`, `model_version`, `retrain` (1 or 0), `reinstate` (a version or 0),
            `avoidable_loss` (in units of one window's loss) and `accumulated`.

    Example:
        decider = RetrainDecider(
            drift_report=drift.outputs["drift_report"], labelled_log=joiner.outputs["labelled_log"],
            reference_profile=profiler.outputs["reference_profile"], model_name="taxi",
            window="2013-03", label_window="2013-03", label_start_ms=start_ms, label_end_ms=end_ms,
        )
    """

    SETTINGS = RetrainDeciderSettings
    INPUTS: ClassVar = {
        "drift_report": Input(DriftReport),
        "labelled_log": Input(PredictionLog),
        "reference_profile": Input(ReferenceProfile),
        "evaluation": Input(standard_artifacts.ModelEvaluation, optional=True),
        "previous_decision": Input(RetrainDecision, optional=True),
    }
    OUTPUTS: ClassVar = {"decision": RetrainDecision}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
