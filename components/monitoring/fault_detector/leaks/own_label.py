"""Features that were encoded with the label of their own row.

The mean label of a category, taken with the row itself in it, tells the row's label in training
and not afterwards: its one-feature loss on held-out rows is above that out of fold in training.
"""

from collections.abc import Sequence

import numpy as np

from tfx_loop.contracts.fault_report import OWN_LABEL_ENCODING, FaultFinding
from tfx_loop.monitoring.fault_detector.leaks.columns import Column
from tfx_loop.monitoring.fault_detector.leaks.single_feature import (
    LabelledBins,
    single_feature_losses,
)
from tfx_loop.monitoring.fault_detector.rows import Task, mean_and_error
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

_FOLDS = 4
# Over all features together.
_FALSE_ALARMS = 0.01
# Of the constant's loss: less harms nobody.
_LEAST = 0.05


def own_label_findings(
    columns: Sequence[Column], training: FloatArray, held_out: FloatArray, task: Task, seed: int
) -> list[FaultFinding]:
    """Returns the features that tell the label of training rows better than that of others.

    Args:
        columns: Of both sides.
        training: Labels of the training rows.
        held_out: Labels of the held-out rows.
        task: What is predicted.
        seed: Of the folds.
    """
    from scipy import stats

    numbers = [column for column in columns if not column.categories]
    if not numbers:
        return []
    # Bonferroni's correction.
    limit = float(stats.norm.isf(_FALSE_ALARMS / len(numbers)))
    folds = np.random.default_rng(seed).permutation(len(training)) % _FOLDS
    weights = _weights(training, held_out, task)
    scale = float(task.losses(task.constant(training, len(training)), training).mean())
    found = []
    for column in numbers:
        inner, outer, bins = column.bins()
        # Out of fold, or a bin of few rows would know its own labels whatever made the feature.
        own = np.zeros(len(training))
        for fold in range(_FOLDS):
            rest, asked = folds != fold, folds == fold
            own[asked] = single_feature_losses(
                LabelledBins(inner[rest], training[rest]),
                LabelledBins(inner[asked], training[asked]),
                bins,
                task,
            )
        others = single_feature_losses(
            LabelledBins(inner, training), LabelledBins(outer, held_out), bins, task
        )
        (left, left_error), (right, right_error) = (
            mean_and_error(own),
            mean_and_error(others * weights),
        )
        # The sides share no rows, so the variances add up.
        gap, error = right - left, float(np.hypot(left_error, right_error))
        if gap > limit * error and gap > _LEAST * scale:
            found.append(
                FaultFinding(
                    kind=OWN_LABEL_ENCODING,
                    feature=column.name,
                    blocks=True,
                    evidence={"gap_share": gap / scale},
                    explanation=f"{column.name} tells the labels of training rows better than "
                    f"those of held-out ones, by {gap / scale:.0%} of what a constant loses: it "
                    "was probably made with each row's own label. Encode out of fold.",
                )
            )
    return found


def _weights(training: FloatArray, held_out: FloatArray, task: Task) -> FloatArray:
    """Returns weights of held-out rows that give their classes the shares of the training rows.

    Where the classes moved between the sides every feature tells less, and no encoding is at fault.
    """
    if not task.classes:
        return np.ones(len(held_out))
    shares = [
        np.bincount(side.astype(np.int64), minlength=task.classes) / len(side)
        for side in (training, held_out)
    ]
    weights = (shares[0] / np.where(shares[1] > 0, shares[1], 1.0))[held_out.astype(np.int64)]
    # Mean 1, so that the weighted loss stays on the scale of the training rows'.
    return np.asarray(weights / weights.mean())
