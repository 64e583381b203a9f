"""TFMA configurations: metrics, slices, and the thresholds that a challenger must reach."""

from typing import Any

import tensorflow_model_analysis as tfma

# TFMA 0.52 no longer has these messages at its top: `tfma.EvalConfig` works with 0.47 alone.
from tensorflow_model_analysis.proto import config_pb2

from tfx_loop.pipelines.config import ModelSettings, QualityGate

# TFMA walks through the rows once for each metric, in Python: these are the ones that are read.
_PLAIN_METRICS = ("ExampleCount", "BinaryAccuracy", "Precision", "Recall", "F1Score")


def challenger_config(model: ModelSettings, gate: QualityGate) -> Any:
    """Returns the EvalConfig of the training pipeline.

    Evaluator adds the champion as the baseline when it is given one, and drops the thresholds on
    the change when it is not.
    """
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name="serving_default", label_key=model.label)],
        slicing_specs=_slices(model),
        metrics_specs=[_metrics(gate)],
    )


def served_config(model: ModelSettings) -> Any:
    """Returns the EvalConfig of labelled predictions: the logged score is judged, no model runs."""
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key=model.label, prediction_key=model.score)],
        slicing_specs=_slices(model),
        metrics_specs=[_metrics(None)],
    )


def variant_config(label: str, metric: str, max_metric_drop: float, tflite: bool) -> Any:
    """Returns the EvalConfig by which a variant is judged against the model it was made from.

    Evaluator needs `module_path="tfx_loop.pipelines.evaluation.variant_extractors"` for TFLite.

    Args:
        label: Feature with the label.
        metric: Class name as TFMA has it; more is better.
        max_metric_drop: What may be lost, in the metric's unit.
        tflite: Whether the variant is a TFLite file.
    """
    kind = {"model_type": "tf_lite"} if tflite else {"signature_name": "serving_default"}
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(name=tfma.CANDIDATE_KEY, label_key=label, **kind),
            config_pb2.ModelSpec(
                name=tfma.BASELINE_KEY,
                is_baseline=True,
                label_key=label,
                signature_name="serving_default",
            ),
        ],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    config_pb2.MetricConfig(
                        class_name=metric,
                        threshold=config_pb2.MetricThreshold(
                            change_threshold=config_pb2.GenericChangeThreshold(
                                direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
                                # A change of exactly the budget is within it, roundings included.
                                absolute={"value": -max_metric_drop - 1e-6},
                            )
                        ),
                    )
                ]
            )
        ],
    )


def _slices(model: ModelSettings) -> list[Any]:
    return [config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[model.slice_feature])]


def _metrics(gate: QualityGate | None) -> Any:
    plain = [config_pb2.MetricConfig(class_name=name) for name in _PLAIN_METRICS]
    auc = config_pb2.MetricConfig(class_name="AUC")
    calibration = config_pb2.MetricConfig(class_name="Calibration")
    if gate is not None:
        # A change is challenger minus champion.
        _judge_overall(
            auc,
            config_pb2.MetricThreshold(
                value_threshold=config_pb2.GenericValueThreshold(
                    lower_bound={"value": gate.min_auc}
                ),
                change_threshold=config_pb2.GenericChangeThreshold(
                    direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
                    absolute={"value": -gate.max_auc_drop},
                ),
            ),
        )
        _judge_overall(
            calibration,
            config_pb2.MetricThreshold(
                value_threshold=config_pb2.GenericValueThreshold(
                    lower_bound={"value": 1 - gate.max_calibration_error},
                    upper_bound={"value": 1 + gate.max_calibration_error},
                )
            ),
        )
    return config_pb2.MetricsSpec(metrics=[*plain, auc, calibration])


def _judge_overall(metric: Any, threshold: Any) -> None:
    """Sets a threshold on all rows. Slices are measured, not judged: few rows swing too far."""
    metric.per_slice_thresholds.append(
        config_pb2.PerSliceMetricThreshold(
            slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold
        )
    )
