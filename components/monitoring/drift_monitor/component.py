"""The DriftMonitor node: says what moved between a model's training rows and a window."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import DriftReport, PredictionLog, ReferenceProfile
from tfx_loop.core.node import BeamNode, Input
from tfx_loop.monitoring.drift_monitor.executor import Executor
from tfx_loop.monitoring.drift_monitor.settings import DriftMonitorSettings


class DriftMonitor(BeamNode):
    """Compares a window of the prediction log with the model's frozen reference.

    On the reference's bins it measures PSI, KS, Jensen-Shannon, Hellinger and Wasserstein. A
    feature has drifted when Benjamini-Hochberg over all features (Anderson-Darling and chi-square
    on the counts) and a floor for the PSI agree. A broken feature is a fault and not drift, and
    holds retraining back: `absent_feature`, `not_in_reference`, `type_changed`, `infinite_values`,
    `all_missing`, `missing_flood`, `constant_value`, `stuck_value`, `new_category_flood`,
    `unit_changed`, `out_of_range`, `duplicate_flood`, `silent_source`, `late_source`, and with a
    schema `schema_anomaly`.

    The window is counted by Beam, and its exact counts stand beside the report: those of hours
    merge into those of days and weeks to the same bits, however rows were sharded (`loop monitor`
    judges several reports' counts as one window). Where the reference has `slice_features`, slices
    are compared with the same slices of training. Mondays are not Sundays: the training rows,
    counted by day, are cut into windows as long as the one that is judged, and how far these lie
    from each other is the floor that a feature has to exceed (`calibrate`).

    Rows may depend on each other: with `roles` of a `group`, such as the customer, or of the
    `time`, here and in ReferenceProfiler, every test rests on the effective number of rows, and
    the report tells it for each feature (`design_effect`).

    Quality is estimated before labels come, from the scores alone (an isotonic map frozen at
    training time), with an interval; that labels came to mean something else cannot be seen that
    way, and the report says so. Labels of earlier windows (`evaluation`) correct the estimate by as
    much as those before were off, and the interval holds what may have changed since. Hold out
    whole days (machines, accounts) when training (`group_column` of SpanExampleGen): quality on
    rows of days that were trained on is overestimated.

    Inputs:
        prediction_log: The log of one window.
        reference_profile: The frozen profile of the model that answered in it.
        previous_report: The report of the window before; k of n windows and `release` need it.
        evaluation: QualityMonitor's, of the newest window whose labels have come: shown beside the
            estimate, which it corrects.
        schema: TFDV's schema of the data, to which the log's features have to keep.

    Outputs:
        drift_report: `DriftReport` (STABLE, DRIFT, DATA_FAULT or NOT_ENOUGH_DATA, with a reason and
            the numbers): `drift_report.json`, the same as a page (`drift_report.html`) and as
            Prometheus gauges (`drift_report.prom`), the window's exact counts
            (`window_profile.json`, all of them in `window_profile.packed`), and the custom
            properties `verdict`, `reason`, `window`, `model_version`, `drifted_features`,
            `faulty_features`, `rows`, and `estimated_auc` where there is an estimate. The same
            numbers go to OpenTelemetry's global meter provider, which is yours to configure.

    Example:
        drift = DriftMonitor(
            prediction_log=log.outputs["prediction_log"],
            reference_profile=profiler.outputs["reference_profile"],
            ignore_features=["trip_start_timestamp"],
        )
    """

    SETTINGS = DriftMonitorSettings
    INPUTS: ClassVar = {
        "prediction_log": Input(PredictionLog),
        "reference_profile": Input(ReferenceProfile),
        "previous_report": Input(DriftReport, optional=True),
        "evaluation": Input(standard_artifacts.ModelEvaluation, optional=True),
        "schema": Input(standard_artifacts.Schema, optional=True),
    }
    OUTPUTS: ClassVar = {"drift_report": DriftReport}
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
