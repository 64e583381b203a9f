"""Answers of a model put on the scale of the labels, where it loses more than a constant.

A model that loses more than a constant on its own training rows may know nothing, or may be asked
for the wrong thing: another output, another unit, classes that are numbered otherwise. Recalibrated
answers tell the two apart.
"""

import warnings

import numpy as np

from tfx_loop.monitoring.fault_detector.rows import Task
from tfx_loop.monitoring.reference_models.models import chances
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# Of a probability, so that its log odds are finite.
_NEARLY = 1e-6
# L-BFGS on a few standardised columns.
_STEPS = 200
# Share of what there is to learn that recalibrated answers must tell: half of it no untrained model
# does.
_TELLING = 0.5


def rescaled_loss(outputs: FloatArray, labels: FloatArray, task: Task) -> float:
    """Returns the mean loss of answers after the linear map of them that loses least.

    Args:
        outputs: What the model answered, of shape (rows,) or (rows, numbers).
        labels: Of shape (rows,).
        task: What is predicted: of classes a logistic regression maps the answers, of numbers a
            linear one.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    columns = outputs.reshape(len(outputs), -1)
    if columns.min() >= 0 and columns.max() <= 1:
        clipped = np.clip(columns, _NEARLY, 1 - _NEARLY)
        columns = np.log(clipped / (1 - clipped))
    spread = columns.std(axis=0)
    columns = (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if not task.classes:
        predicted = Ridge(alpha=1e-3).fit(columns, labels).predict(columns)
        return float(task.losses(np.asarray(predicted, dtype=np.float64), labels).mean())
    with warnings.catch_warnings():
        # Stopped short of its optimum it tells enough.
        warnings.simplefilter("ignore")
        model = LogisticRegression(max_iter=_STEPS).fit(columns, labels)
    return float(task.losses(chances(model, columns, task.classes), labels).mean())


def tells_on_another_scale(rescaled: float, constant: float, reference: float) -> bool:
    """Says whether rescaled answers tell much of what a reference learns beyond a constant."""
    return constant - rescaled > _TELLING * (constant - reference) > 0
