"""The TFX node that judges served predictions by their labels, with TFMA."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import PredictionLog, ReferenceProfile
from tfx_loop.core.node import BeamNode, Input
from tfx_loop.monitoring.quality_monitor.executor import Executor
from tfx_loop.monitoring.quality_monitor.settings import QualityMonitorSettings


class QualityMonitor(BeamNode):
    """Measures the served predictions of a window against their labels; no model runs again.

    The output is one score a row, or one a class, for metrics that take the scores of classes, such
    as SparseCategoricalAccuracy.

    A sequential test follows the stream of squared errors of single scores from window to window:
    it says when they have risen above those of held-out rows, with at least so many rows between
    false alarms, wherever windows begin and end.

    What the model lost above the loss that its held-out rows promised, less the rise of a reference
    that learnt the same rows, tells a promise that was wrong (leakage, over-fitting to the rows
    that it was judged on) from drift, which both suffer.

    Inputs:
        labelled_log: The labelled rows of LabelJoiner.
        prediction_log: The same rows, with those that have no label: how many of them have one.
        reference_profile: Of the model that answered: the errors that its held-out rows showed.
            Without it no test follows them.
        previous_evaluation: Of the window before: where that test stood.

    Outputs:
        evaluation: `ModelEvaluation` as Evaluator writes it, `quality.json` (metrics by slice,
            label coverage and delay, the test, the promise), the same as a page (`quality.html`),
            `sequential.json` (the test's state), and the custom properties `window`,
            `labelled_rows`, and where measured `auc`, `calibration`, `label_coverage`,
            `label_delay_hours_p50`, `error_rise_evidence`, `error_rise_alarm` (0 or 1), `optimism`
            and `promise_was_wrong` (0 or 1). A window without labels has 0 rows and no metrics.

    Example:
        quality = QualityMonitor(
            prediction_log=log.outputs["prediction_log"], eval_config=served_config,
            labelled_log=joiner.outputs["labelled_log"], window="2013-03", start_ms=start_ms,
            reference_profile=profiler.outputs["reference_profile"], end_ms=end_ms,
        )
    """

    SETTINGS = QualityMonitorSettings
    INPUTS: ClassVar = {
        "labelled_log": Input(PredictionLog),
        "prediction_log": Input(PredictionLog, optional=True),
        "reference_profile": Input(ReferenceProfile, optional=True),
        "previous_evaluation": Input(standard_artifacts.ModelEvaluation, optional=True),
    }
    OUTPUTS: ClassVar = {"evaluation": standard_artifacts.ModelEvaluation}
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
