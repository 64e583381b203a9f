"""The SkewMonitor node: says whether the server saw what training saw, for the same rows."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec

from tfx_loop.core.artifacts import PredictionLog, ReferenceProfile, SkewReport
from tfx_loop.core.node import Input, Node
from tfx_loop.monitoring.skew_monitor.executor import Executor
from tfx_loop.monitoring.skew_monitor.settings import SkewMonitorSettings


class SkewMonitor(Node):
    """Compares rows of the training sample with the same rows as the server saw them.

    Rows are found by keys. There is no test and no threshold of chance: what differs beyond
    rounding is a fault in one of two feature pipelines. Rounding to float32 is no skew, whole
    numbers must be equal, and of a row that was served twice the first counts. What the reference
    ignores (label, calendar, keys) is not compared; a feature that only one side has is skew unless
    it is ignored. Nothing is held back by the verdict; gate on its property where you want to.

    Reasons: `no_skew`; `type_changed`, `feature_absent` (one side lacks it), `feature_missing` (one
    side never has a value), `values_differ`; `no_common_rows`, `too_few_common_rows`,
    `no_common_features`; `columns_not_compared`, where the rest agrees.

    Inputs:
        reference_profile: The frozen profile of a model, with the keys in its training sample:
            SpanExampleGen's `keep_key`, or columns of the spans, named in ReferenceProfiler's
            `ignore_features`.
        prediction_log: A log of a time that was trained on, of any model with these features.

    Outputs:
        skew_report: `SkewReport` (CONSISTENT, PARTLY_COMPARED, SKEWED or NOT_ENOUGH_DATA):
            `skew_report.json`, the same as a page (`skew_report.html`), and the custom properties
            `verdict`, `reason`, `window`, `rows` and `skewed_features`.

    Example:
        skew = SkewMonitor(
            reference_profile=profiler.outputs["reference_profile"],
            prediction_log=log.outputs["prediction_log"],
            keys=["trip_id=request_id"],
        )
    """

    SETTINGS = SkewMonitorSettings
    INPUTS: ClassVar = {
        "reference_profile": Input(ReferenceProfile),
        "prediction_log": Input(PredictionLog),
    }
    OUTPUTS: ClassVar = {"skew_report": SkewReport}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
