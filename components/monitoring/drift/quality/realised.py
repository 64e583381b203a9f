"""Quality with labels, as QualityMonitor measured it, in the terms of a drift report."""

from collections.abc import Mapping

from tfx_loop.contracts.model_evaluation import OVERALL
from tfx_loop.contracts.quality_report import QualityResult
from tfx_loop.contracts.window_quality import RealisedQuality

# What TFMA's metrics are called by the estimate.
_NAMES = {
    "auc": "auc",
    "binary_accuracy": "accuracy",
    "accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1_score": "f1",
    "mean_label": "positive_rate",
    "calibration": "calibration",
}


def realised_quality(report: QualityResult) -> RealisedQuality | None:
    """Returns the quality of a labelled window; None where it had no labels or nobody named it."""
    slices = {name: _renamed(metrics) for name, metrics in report.slices.items()}
    overall = slices.pop(OVERALL, {})
    if not report.window or not overall:
        return None
    if report.task and report.task.loss and report.loss:
        overall[report.task.loss.value] = report.loss.value
    labels, errors = report.labels, report.sequential
    return RealisedQuality(
        window=report.window,
        labelled_rows=report.rows,
        metrics=overall,
        slices=slices,
        coverage=labels.coverage if labels else None,
        delay_hours=labels.delay_hours if labels else {},
        evidence=errors.evidence if errors else None,
        alarm_at_row=errors.alarm_at_row if errors else None,
    )


def _renamed(metrics: Mapping[str, float]) -> dict[str, float]:
    return {_NAMES[name]: value for name, value in metrics.items() if name in _NAMES}
