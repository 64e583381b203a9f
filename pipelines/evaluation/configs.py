"""TFMA configurations: metrics, slices, and the thresholds that a challenger must reach."""

from collections.abc import Sequence
from typing import Any

import tensorflow_model_analysis as tfma

# TFMA 0.52 no longer has these messages at its top: `tfma.EvalConfig` works with 0.47 alone.
from tensorflow_model_analysis.proto import config_pb2

from tfx_loop.contracts.task import TaskKind
from tfx_loop.monitoring.quality_monitor.judged_groups import LABEL_SLICE
from tfx_loop.pipelines.config import ModelSettings, QualityGate
from tfx_loop.pipelines.evaluation.task_metrics import task_metrics


def challenger_config(model: ModelSettings, gate: QualityGate) -> Any:
    """Returns the EvalConfig of the training pipeline.

    Evaluator adds the champion as the baseline when it is given one, and drops the thresholds on
    the change when it is not.
    """
    spec = config_pb2.ModelSpec(
        signature_name="serving_default", label_key=model.label, prediction_key=model.score
    )
    metrics = task_metrics(model.described, gate)
    return config_pb2.EvalConfig(
        model_specs=[spec], slicing_specs=_slices(model.slices), metrics_specs=[metrics]
    )


def served_config(model: ModelSettings) -> Any:
    """Returns the EvalConfig of labelled predictions: the logged score is judged, no model runs."""
    spec = config_pb2.ModelSpec(label_key=model.label, prediction_key=model.score)
    # A set of labels reaches TFMA as a row for each label, which the window is sliced by.
    by_label = (LABEL_SLICE,) if model.described.kind is TaskKind.LABELS else ()
    return config_pb2.EvalConfig(
        model_specs=[spec],
        slicing_specs=_slices((*model.slices, *by_label)),
        metrics_specs=[task_metrics(model.described, None)],
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


def _slices(features: Sequence[str]) -> list[Any]:
    return [
        config_pb2.SlicingSpec(),
        *(config_pb2.SlicingSpec(feature_keys=[name]) for name in features),
    ]
