"""Quality with labels, as QualityMonitor measured it, in the terms of a drift report."""

from collections.abc import Mapping
from typing import Any

from tfx_loop.contracts.window_quality import RealisedQuality
from tfx_loop.core.errors import DataError

QUALITY_FILE = "quality.json"
_OVERALL = "overall"
# What TFMA's metrics are called by the estimate.
_NAMES = {
    "auc": "auc",
    "binary_accuracy": "accuracy",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1_score": "f1",
    "mean_label": "positive_rate",
    "calibration": "calibration",
}


def realised_quality(content: Mapping[str, Any]) -> RealisedQuality | None:
    """Returns the quality of a labelled window; None where it had no labels or nobody named it.

    Args:
        content: Of quality.json.

    Raises:
        DataError: The content is none of QualityMonitor's.
    """
    try:
        slices = {name: _renamed(metrics) for name, metrics in content["slices"].items()}
        labels, errors = content.get("labels") or {}, content.get("sequential") or {}
        window, rows = str(content.get("window") or ""), int(content["rows"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected quality.json of QualityMonitor, received one without or with a wrong "
            f"{error}. Run QualityMonitor on the window again."
        ) from error
    overall = slices.pop(_OVERALL, {})
    if not window or not overall:
        return None
    return RealisedQuality(
        window=window,
        labelled_rows=rows,
        metrics=overall,
        slices=slices,
        coverage=labels.get("coverage"),
        delay_hours=labels.get("delay_hours") or {},
        evidence=errors.get("evidence"),
        alarm_at_row=errors.get("alarm_at_row"),
    )


def _renamed(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {_NAMES[name]: float(value) for name, value in metrics.items() if name in _NAMES}
