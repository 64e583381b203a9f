"""Losses of rows by models that saw none of them: how hard each row is for any model.

The reference models are fitted on four fifths of the rows that the model was trained on.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from tfx_loop.monitoring.reference_models.models import pooled_losses, reference_models
from tfx_loop.monitoring.reference_models.row_losses import FloatArray


def reference_losses(
    features: Sequence[FloatArray],
    labels: Sequence[FloatArray],
    classes: int,
    *,
    folds: int,
    seed: int,
) -> list[FloatArray]:
    """Returns the losses of both sides' rows by models that saw none of them.

    Args:
        features: Of members and others, of shape (rows, columns) each.
        labels: Of both, of shape (rows,).
        classes: How many; 0 for numbers.
        folds: Parts of the members; each fold's models learn from the others.
        seed: Of folds and models.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    random = np.random.default_rng(seed)
    # Others are divided too, so that both sides are scored by models of equally many rows.
    parts = [random.permutation(len(side)) % folds for side in labels]
    found = [np.zeros(len(side)) for side in labels]
    # More threads than one spin while they wait, and slow down whatever else runs.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fold in range(folds):
            learnt = parts[0] != fold
            models = [
                m.fit(features[0][learnt], labels[0][learnt])
                for m in reference_models(classes, seed)
            ]
            for side, part, x, y in zip(found, parts, features, labels, strict=True):
                rows = part == fold
                if rows.any():
                    side[rows] = pooled_losses(models, x[rows], y[rows], classes)
    return found
