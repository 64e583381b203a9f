"""Models that a table gets, from sound to spoilt: tf_keras networks, forests, boosting, linear."""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ask = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        hidden: Units of its layers.
        epochs: Passes at most.
        rate: Adam's learning rate.
        penalty: Of the squared weights.
        stops: Whether it stops early, by a sixth of its own rows.
        part: The share of the training rows that it gets.
    """

    hidden: tuple[int, ...] = (64,)
    epochs: int = 80
    rate: float = 1e-3
    penalty: float = 0.0
    stops: bool = False
    part: float = 1.0


# As in the trial that the rule comes from, there in NumPy.
NETWORKS: Mapping[str, Recipe] = {
    "sound, small": Recipe(stops=True),
    "sound, large": Recipe(hidden=(128, 128), stops=True),
    "120 epochs": Recipe(hidden=(128, 128), epochs=120),
    "40 epochs": Recipe(hidden=(128, 128), epochs=40),
    "a third of the rows": Recipe(hidden=(128, 128), epochs=150, part=1 / 3),
    "one unit": Recipe(hidden=(1,), epochs=60),
    "rate 2e-5": Recipe(epochs=25, rate=2e-5),
    "rate 2e-4": Recipe(epochs=25, rate=2e-4),
    "regularised away": Recipe(epochs=40, penalty=0.3),
    "regularised much": Recipe(epochs=40, penalty=0.05),
    "2 epochs": Recipe(epochs=2),
}
OVER = ("120 epochs", "40 epochs", "boosting, 150 trees")
UNDER = ("one unit", "rate 2e-5", "rate 2e-4", "regularised away", "regularised much", "2 epochs")
# What the truth is measured by: the best of these on rows that nobody else saw.
SOUND = ("sound, small", "sound, large", "forest", "linear", "boosting, 20 trees")


def train_all(features: Floats, labels: Floats, classes: int, seed: int) -> dict[str, Ask]:
    """Returns what each model answers, once trained."""
    asks = {name: _network(r, features, labels, classes, seed) for name, r in NETWORKS.items()}
    return asks | {
        name: _fitted(model, features, labels, classes)
        for name, model in _of_scikit_learn(classes, seed).items()
    }


def _of_scikit_learn(classes: int, seed: int) -> dict[str, Any]:
    from sklearn import ensemble, linear_model

    suffix = "Classifier" if classes else "Regressor"
    forest = getattr(ensemble, f"RandomForest{suffix}")
    boosting = getattr(ensemble, f"HistGradientBoosting{suffix}")
    return {
        "forest": forest(60, random_state=seed, n_jobs=1),
        "linear": linear_model.LogisticRegression(max_iter=200)
        if classes
        else linear_model.Ridge(),
        "boosting, 20 trees": boosting(
            max_iter=20, learning_rate=0.25, max_leaf_nodes=15, random_state=seed + 77
        ),
        "boosting, 150 trees": boosting(
            max_iter=150, learning_rate=0.5, max_leaf_nodes=15, random_state=seed
        ),
    }


def _fitted(model: Any, features: Floats, labels: Floats, classes: int) -> Ask:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That it stopped before it converged is meant.
        model.fit(features, labels)

    def ask(rows: Floats) -> Floats:
        if not classes:
            return np.asarray(model.predict(rows))
        found = np.zeros((len(rows), classes))
        found[:, model.classes_.astype(int)] = model.predict_proba(rows)
        return found

    return ask


def _network(recipe: Recipe, features: Floats, labels: Floats, classes: int, seed: int) -> Ask:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras

    tf_keras.utils.set_random_seed(seed)
    penalty = tf_keras.regularizers.L2(recipe.penalty / 2) if recipe.penalty else None
    model = tf_keras.Sequential(
        [
            *(
                tf_keras.layers.Dense(units, "relu", kernel_regularizer=penalty)
                for units in recipe.hidden
            ),
            tf_keras.layers.Dense(
                classes or 1, "softmax" if classes else None, kernel_regularizer=penalty
            ),
        ]
    )
    loss = "sparse_categorical_crossentropy" if classes else "mse"
    model.compile(tf_keras.optimizers.Adam(recipe.rate), loss)
    kept = np.random.default_rng(seed).permutation(len(labels))[: int(recipe.part * len(labels))]
    stopping = tf_keras.callbacks.EarlyStopping(patience=8, restore_best_weights=True)
    model.fit(
        features[kept],
        labels[kept],
        batch_size=64,
        epochs=recipe.epochs,
        verbose=0,
        validation_split=1 / 6 if recipe.stops else 0.0,
        callbacks=[stopping] if recipe.stops else [],
    )

    def ask(rows: Floats) -> Floats:
        answers = np.asarray(model(rows.astype(np.float32)), dtype=np.float64)
        return answers if classes else answers[:, 0]

    return ask
