"""TFMA's metrics of each kind of task, and the thresholds that a challenger must reach.

One table: metrics that are only measured, and those that a gate judges.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.pipelines.config import QualityGate

# Any finite error keeps to it.
_ANY_ERROR = 1e300


@dataclass(frozen=True, kw_only=True)
class _TaskMetrics:
    """Metrics of a kind of task, by their class names.

    Attributes:
        measured: Those that are read and not judged. TFMA walks through the rows once for each
            metric, in Python: these are the ones that are read.
        judged: Those that a gate sets thresholds on.
        micro: Whether answers are sets, whose metrics are over all pairs of row and label.
    """

    measured: tuple[str, ...]
    judged: Mapping[str, Callable[[QualityGate], Any]]
    micro: bool = False


def task_metrics(task: ModelTask, gate: QualityGate | None) -> Any:
    """Returns the MetricsSpec of a task.

    Args:
        task: What the model answers.
        gate: What a challenger must reach; None for metrics of served answers, which are measured
            and not judged, a set of labels as a row for each.
    """
    known = _BY_KIND[task.kind]
    metrics = [
        config_pb2.MetricConfig(class_name=name) for name in (*known.measured, *known.judged)
    ]
    if gate is not None:
        for metric in metrics:
            if metric.class_name in known.judged:
                _judge_overall(metric, known.judged[metric.class_name](gate))
    spec = config_pb2.MetricsSpec(metrics=metrics)
    # Served answers reach TFMA as a row for each label (judged_groups.py): nothing is left to pool.
    if known.micro and gate is not None:
        spec.aggregate.micro_average = True
    return spec


def least_gain(task: ModelTask, gate: QualityGate) -> float | None:
    """Returns what a challenger must gain on a constant answer; None where a metric says it."""
    return None if task.kind is TaskKind.BINARY else gate.min_gain


def _judge_overall(metric: Any, threshold: Any) -> None:
    """Sets a threshold on all rows. Slices are measured, not judged: few rows swing too far."""
    metric.per_slice_thresholds.append(
        config_pb2.PerSliceMetricThreshold(
            slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold
        )
    )


def _no_lower(least: float, most_drop: float) -> Any:
    """Returns the threshold of a metric of which more is better; a change is that to champion."""
    return config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": least}),
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -most_drop}
        ),
    )


def _near_one(most_error: float) -> Any:
    # TFMA's Calibration is the sum of scores over that of labels: 1 where they agree.
    return config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(
            lower_bound={"value": 1 - most_error}, upper_bound={"value": 1 + most_error}
        )
    )


def _at_most(largest: float | None) -> Any:
    """Returns an upper bound; without a threshold Evaluator blesses nothing."""
    bound = _ANY_ERROR if largest is None else largest
    return config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(upper_bound={"value": bound})
    )


_BY_KIND: Mapping[TaskKind, _TaskMetrics] = {
    TaskKind.BINARY: _TaskMetrics(
        measured=("ExampleCount", "BinaryAccuracy", "Precision", "Recall", "F1Score"),
        judged={
            "AUC": lambda gate: _no_lower(gate.min_auc, gate.max_auc_drop),
            "Calibration": lambda gate: _near_one(gate.max_calibration_error),
        },
    ),
    TaskKind.CLASSES: _TaskMetrics(
        measured=("ExampleCount", "SparseCategoricalCrossentropy"),
        judged={
            "SparseCategoricalAccuracy": lambda gate: _no_lower(
                gate.min_accuracy, gate.max_accuracy_drop
            ),
        },
    ),
    TaskKind.LABELS: _TaskMetrics(
        measured=("Precision", "Recall", "F1Score", "BinaryAccuracy"),
        judged={"AUC": lambda gate: _no_lower(gate.min_auc, gate.max_auc_drop)},
        micro=True,
    ),
    TaskKind.REGRESSION: _TaskMetrics(
        measured=("ExampleCount", "MeanSquaredError", "Calibration"),
        # Which error counts is the task's loss: `max_loss_rise` compares by it, row by row.
        judged={"MeanAbsoluteError": lambda gate: _at_most(gate.max_error)},
    ),
}
