"""Models that a surrogate is a pair of, by the loss of the task: how they are made and pooled.

Boosting takes every loss from scikit-learn. Beside it stands a linear model of the same loss.
Sources: Hunter and Lange 2000, "Quantile regression via an MM algorithm", for the linear quantile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_loop.contracts.task import ModelTask, TaskLoss
from tfx_loop.models.task_labels import held_labels
from tfx_loop.models.task_losses import LOSS_FLOOR, Floats

# Iterations of L-BFGS; a few short of the optimum is as good for a comparison.
_STEPS = 60
# Steps of the linear quantile; each is a least-squares fit, and the first few do nearly all.
_QUANTILE_STEPS = 15
# Residuals below this share of the labels' spread weigh as much as one of it.
_NEAR = 1e-3
# A ridge that keeps columns that are sums of others from having no solution.
_RIDGE = 1e-6

Inputs = tuple[Floats, Floats]
Fitted = tuple[Any, ...]


@dataclass(frozen=True)
class SurrogateFamily:
    """The pair of one loss.

    Attributes:
        fitted: From inputs of both models, labels and boosting's arguments to the fitted models.
        pooled: From fitted models and inputs to one answer a row, in the task's shape.
    """

    fitted: Callable[[Inputs, Floats, Mapping[str, Any]], Fitted]
    pooled: Callable[[Fitted, Inputs], Floats]


def family_of(task: ModelTask) -> SurrogateFamily:
    """Returns the pair that a task's surrogate is."""
    assert task.loss is not None  # Set when the task was made.
    return _FAMILIES[task.loss](task)


class LinearQuantile:
    """A linear model of a quantile of the label."""

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._weights = np.zeros(0)

    def fit(self, columns: Floats, labels: Floats) -> "LinearQuantile":
        """Fits by majorising the quantile error with squares, step by step."""
        inputs = _with_one(columns)
        near = _NEAR * float(labels.std() or 1.0)
        weights = np.zeros(inputs.shape[1])
        # From the constant that loses least: the first step's residuals then have the right signs.
        weights[-1] = np.quantile(labels, self._quantile)
        ridge = _RIDGE * len(labels) * np.eye(inputs.shape[1])
        for _ in range(_QUANTILE_STEPS):
            residual = labels - inputs @ weights
            scale = 1.0 / (near + np.abs(residual))
            # The gradient of the majoriser is zero where X'A(y - Xw) + (2q - 1) X'1 is.
            left = (inputs * scale[:, None]).T @ inputs + ridge * scale.mean()
            right = inputs.T @ (scale * labels) + (2 * self._quantile - 1) * inputs.sum(axis=0)
            weights = np.linalg.solve(left, right)
        self._weights = weights
        return self

    def predict(self, columns: Floats) -> Floats:
        """Returns the quantile of each row, float64 [rows]."""
        return np.asarray(_with_one(columns) @ self._weights)


def _with_one(columns: Floats) -> Floats:
    return np.hstack([columns, np.ones((len(columns), 1))])


def _classifiers(task: ModelTask) -> SurrogateFamily:
    return SurrogateFamily(_fit_classifiers, lambda m, x: _positive(_pooled_chances(m, x, 2)))


def _several_classes(task: ModelTask) -> SurrogateFamily:
    return SurrogateFamily(
        _fit_classifiers, lambda models, inputs: _pooled_chances(models, inputs, task.outputs)
    )


def _several_labels(task: ModelTask) -> SurrogateFamily:
    """A pair for each label, fitted on the same rows."""
    one = _classifiers(task)

    def fitted(inputs: Inputs, labels: Floats, common: Mapping[str, Any]) -> Fitted:
        held = held_labels(labels, task)
        # A label that all rows have, or none, leaves nothing to learn.
        return tuple(
            one.fitted(inputs, column, common) if 0 < column.sum() < len(column) else column.mean()
            for column in held.T
        )

    def pooled(models: Fitted, inputs: Inputs) -> Floats:
        rows = len(inputs[0])
        answers = [
            one.pooled(pair, inputs) if isinstance(pair, tuple) else np.full(rows, pair)
            for pair in models
        ]
        return np.stack(answers, axis=1)

    return SurrogateFamily(fitted, pooled)


def _regressors(boosting: Mapping[str, Any], linear: Callable[[], Any]) -> SurrogateFamily:
    def fitted(inputs: Inputs, labels: Floats, common: Mapping[str, Any]) -> Fitted:
        from sklearn.ensemble import HistGradientBoostingRegressor

        boosted = HistGradientBoostingRegressor(**boosting, **common)
        return boosted.fit(inputs[0], labels), linear().fit(inputs[1], labels)

    return SurrogateFamily(fitted, _mean_prediction)


def _squared(task: ModelTask) -> SurrogateFamily:
    def ridge() -> Any:
        from sklearn.linear_model import Ridge

        return Ridge()

    return _regressors({}, ridge)


def _absolute(task: ModelTask) -> SurrogateFamily:
    return _regressors({"loss": "absolute_error"}, lambda: LinearQuantile(0.5))


def _quantile(task: ModelTask) -> SurrogateFamily:
    quantile = task.quantile
    boosting = {"loss": "quantile", "quantile": quantile}
    return _regressors(boosting, lambda: LinearQuantile(quantile))


def _poisson(task: ModelTask) -> SurrogateFamily:
    def linear() -> Any:
        from sklearn.linear_model import PoissonRegressor

        return PoissonRegressor(max_iter=_STEPS)

    family = _regressors({"loss": "poisson"}, linear)
    # Rates multiply: their mean logarithm, as with probabilities.
    return SurrogateFamily(
        family.fitted,
        lambda models, inputs: np.exp(
            np.mean(
                [np.log(np.maximum(m.predict(x), LOSS_FLOOR)) for m, x in _paired(models, inputs)],
                axis=0,
            )
        ),
    )


def _fit_classifiers(inputs: Inputs, labels: Floats, common: Mapping[str, Any]) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    boosted = HistGradientBoostingClassifier(**common).fit(inputs[0], labels)
    return boosted, LogisticRegression(max_iter=_STEPS).fit(inputs[1], labels)


def _pooled_chances(models: Fitted, inputs: Inputs, classes: int) -> Floats:
    """Returns the models' probabilities, [rows, classes], pooled by their mean logarithm."""
    logs = []
    for model, columns in _paired(models, inputs):
        chances = np.zeros((len(columns), classes))
        # Rows to learn from may lack a class.
        chances[:, model.classes_.astype(np.int64)] = model.predict_proba(columns)
        logs.append(np.log(np.clip(chances, LOSS_FLOOR, 1.0)))
    # Logarithms and not probabilities: two models that are sure stay sure.
    raised = np.exp(np.mean(logs, axis=0))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _positive(chances: Floats) -> Floats:
    return np.asarray(chances[:, 1])


def _mean_prediction(models: Fitted, inputs: Inputs) -> Floats:
    return np.asarray(np.mean([m.predict(x) for m, x in _paired(models, inputs)], axis=0))


def _paired(models: Sequence[Any], inputs: Inputs) -> Sequence[tuple[Any, Floats]]:
    return list(zip(models, inputs, strict=True))


_FAMILIES: Mapping[TaskLoss, Callable[[ModelTask], SurrogateFamily]] = {
    TaskLoss.LOG: _classifiers,
    TaskLoss.CROSS_ENTROPY: _several_classes,
    TaskLoss.MEAN_LOG: _several_labels,
    TaskLoss.SQUARED: _squared,
    TaskLoss.ABSOLUTE: _absolute,
    TaskLoss.QUANTILE: _quantile,
    TaskLoss.POISSON: _poisson,
}
