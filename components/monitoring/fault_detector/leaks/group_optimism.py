"""Underestimate of the loss on new groups by a split that is made row by row.

Rows of a group share what no feature tells (a customer's habits, the weather of a day), so a model
that has seen some of a group does better on the others than on a new one.
"""

import warnings

import numpy as np

from tfx_loop.monitoring.fault_detector.rows import AnyArray, Task, mean_and_error
from tfx_loop.monitoring.reference_models.models import chances
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# Few folds and small forests: only the difference of two losses by the same model counts.
_FOLDS = 4
_TREES = 40
# A forest that never says never: one sure and wrong leaf is not to decide the mean.
_FLOOR = 0.01


def optimism_of_rows(
    features: FloatArray, labels: FloatArray, groups: AnyArray, task: Task, seed: int
) -> tuple[float, float]:
    """Returns by how much a forest's loss is underestimated where groups are split, and its error.

    Args:
        features: Of shape (rows, columns).
        labels: Of shape (rows,).
        groups: Of shape (rows,).
        task: What is predicted.
        seed: Of folds and forests.
    """
    random = np.random.default_rng(seed)
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    codes = codes.reshape(-1)
    if codes.max() + 1 < 2 * _FOLDS:
        return 0.0, float("inf")  # With so few groups a fold has none, or hardly any.
    by_rows = random.permutation(len(labels)) % _FOLDS
    # The same number of folds, of whole groups: what differs is only whether a row's group was
    # seen.
    by_groups = (random.permutation(codes.max() + 1) % _FOLDS)[codes]
    losses = [_out_of_fold(features, labels, folds, task, seed) for folds in (by_rows, by_groups)]
    return mean_and_error(losses[1] - losses[0], groups)


def _out_of_fold(
    features: FloatArray, labels: FloatArray, folds: AnyArray, task: Task, seed: int
) -> FloatArray:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if task.classes else RandomForestRegressor
    losses = np.zeros(len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fold in range(_FOLDS):
            rest, asked = folds != fold, folds == fold
            model = kind(_TREES, min_samples_leaf=2, random_state=seed, n_jobs=1)
            model.fit(features[rest], labels[rest])
            if task.classes:
                answers = np.clip(chances(model, features[asked], task.classes), _FLOOR, 1)
            else:
                answers = np.asarray(model.predict(features[asked]))
            losses[asked] = task.losses(answers, labels[asked])
    return losses
