"""Models of all kinds that a table gets, from honest to over-fitted."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

Maker = Callable[[bool, int], Any]


def _net(hidden: tuple[int, ...], epochs: int, *, stops: bool = False) -> Maker:
    def make(classes: bool, seed: int) -> Any:
        kind = MLPClassifier if classes else MLPRegressor
        return kind(
            hidden_layer_sizes=hidden,
            max_iter=epochs,
            batch_size=64,
            early_stopping=stops,
            validation_fraction=1 / 6,
            # Without early stopping all epochs are run, whatever the loss does.
            n_iter_no_change=8 if stops else epochs,
            tol=1e-4 if stops else 0.0,
            random_state=seed,
        )

    return make


def _boosting(iterations: int, rate: float) -> Maker:
    def make(classes: bool, seed: int) -> Any:
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return kind(max_iter=iterations, learning_rate=rate, max_leaf_nodes=15, random_state=seed)

    return make


MODELS: dict[str, Maker] = {
    "linear": lambda classes, seed: LogisticRegression(max_iter=200) if classes else Ridge(),
    "boosting, 20 trees": _boosting(20, 0.25),
    "net, early stopping": _net((64,), 80, stops=True),
    "net, 40 epochs": _net((128, 128), 40),
    "net, 120 epochs": _net((128, 128), 120),
    "boosting, 150 trees": _boosting(150, 0.5),
    "forest": lambda classes, seed: (RandomForestClassifier if classes else RandomForestRegressor)(
        50, random_state=seed, n_jobs=1
    ),
}
# Those that are trained on a third set of rows, too: then neither side was trained on.
NULL_MODELS = ("linear", "net, 120 epochs", "forest")


def answers(
    maker: Maker,
    features: npt.NDArray[np.float64],
    labels: npt.NDArray[np.float64],
    classes: int,
    seed: int,
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Returns what a model trained on some rows answers: probabilities of classes, or numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That it stopped before it converged is meant.
        model = maker(bool(classes), seed).fit(features, labels)

    def ask(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not classes:
            return np.asarray(model.predict(rows))
        found = np.zeros((len(rows), classes))
        found[:, model.classes_.astype(int)] = model.predict_proba(rows)
        return found

    return ask
