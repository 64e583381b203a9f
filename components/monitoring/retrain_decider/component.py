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

    Reasons: `retraining_pays`; `data_fault`, `too_few_rows`, `too_few_labels`,
    `labels_of_one_class`, `no_avoidable_loss`, `better_than_promised`,
    `saving_below_training_cost`.

    Inputs:
        drift_report: What moved in the window that just ended.
        labelled_log: Labelled predictions of all windows since the champion's training data ended,
            the newest labelled window among them.
        reference_profile: The champion's, with the sample of its training rows.
        evaluation: The champion's quality on the labelled rows: evidence in the lineage.
        previous_decision: The decision of the window before, on whatever champion: savings add up
            while the champion stays the same.

    Outputs:
        decision: `RetrainDecision` (RETRAIN or HOLD, a reason, one sentence, the evidence):
            `retrain_decision.json`, and the custom properties `verdict`, `reason`, `window`,
            `model_version`, `retrain` (1 or 0), `avoidable_loss` (in units of one window's loss)
            and `accumulated`.

    Example:
        decider = RetrainDecider(
            drift_report=drift.outputs["drift_report"],
            labelled_log=joiner.outputs["labelled_log"],
            reference_profile=profiler.outputs["reference_profile"],
            evaluation=quality.outputs["evaluation"],
            model_name="taxi",
            window="2013-03",
            label_window="2013-03",
            label_start_ms=1_362_096_000_000,
            label_end_ms=1_364_774_400_000,
            training_cost=0.02,
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
