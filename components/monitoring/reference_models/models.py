"""Boosting and a linear model, pooled: cheap ones, and honest where they did not see the rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfx_loop.monitoring.reference_models.row_losses import FloatArray, log_losses, softmax

# Where a pool of two is surer than one in ten thousand, one of them has hardly seen the class.
_POOL_FLOOR = 1e-4
# L-BFGS converges on standardised columns in fewer; what does not is near enough for a comparison.
_STEPS = 200


def reference_models(classes: int, seed: int) -> tuple[Any, Any]:
    """Returns boosting and a linear model, both unfitted; regressors for 0 classes."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    # Few and small trees: a reference that over-fits tells less of how hard a row is.
    boosted = boosting(
        max_iter=20,
        learning_rate=0.25,
        max_leaf_nodes=15,
        min_samples_leaf=20,
        max_bins=63,
        early_stopping=False,
        random_state=seed,
    )
    return boosted, LogisticRegression(max_iter=_STEPS) if classes else Ridge()


def pooled_losses(
    models: Sequence[Any], features: FloatArray, labels: FloatArray, classes: int
) -> FloatArray:
    """Returns the row losses of several fitted models pooled, of shape (rows,)."""
    if not classes:
        predicted = np.mean([model.predict(features) for model in models], axis=0)
        return np.asarray((predicted - labels) ** 2)
    return log_losses(pooled_chances([chances(m, features, classes) for m in models]), labels)


def pooled_chances(answers: Sequence[FloatArray]) -> FloatArray:
    """Returns probabilities pooled by their mean logarithm, of shape (rows, classes)."""
    # The geometric mean is proportional to a probability only; softmax makes the classes sum to 1.
    return softmax(np.mean([np.log(np.clip(own, _POOL_FLOOR, 1)) for own in answers], axis=0))


def chances(model: Any, features: FloatArray, classes: int) -> FloatArray:
    """Returns probabilities of all classes, those too that a fold did not have."""
    # scikit-learn answers for the classes of the rows it was fitted on.
    known = np.zeros((len(features), classes))
    known[:, model.classes_.astype(np.int64)] = model.predict_proba(features)
    return known
