"""Warning about a model that knows nothing of these rows.

Then rows or labels are not as they were in training: scaled otherwise, or numbered otherwise.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.optimization.metrics.metrics import Metric

Array = npt.NDArray[Any]


def no_better_than_guessing(
    metric: Metric, labels: Array, outputs: Mapping[str, Array]
) -> str | None:
    """Returns a warning when the model is no better than one answer for all rows; else None."""
    value, guess = metric.compute(labels, outputs), _of_one_answer(metric, labels, outputs)
    if guess is None or not value <= guess:
        return None
    return (
        f"Warning: the model reaches {metric.name} {value:.4f} on these rows, no better than one "
        f"answer for all of them ({guess:.4f}). Are they scaled and numbered as in training?"
    )


def _of_one_answer(metric: Metric, labels: Array, outputs: Mapping[str, Array]) -> float | None:
    if metric.is_accuracy:
        truth, _ = metric.scoring.read(labels, outputs)
        _, counts = np.unique(truth, return_counts=True)
        return float(counts.max() / counts.sum())
    # One answer for all rows: ties in AUC count half; the mean explains nothing (R2). What constant
    # is best for other metrics depends on the labels, and no warning is given.
    return {"AUC": 0.5, "R2Score": 0.0}.get(metric.name)
