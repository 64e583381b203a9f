"""Losses of champions: of each trained after window k in each window s, fitted once.

Policies differ only in when they train, so all of them read from one matrix.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from tests.benchmarks.decide.streams import LABEL, WINDOW, Stream

_HELD_OUT = 10
_FLOOR = 1e-3
_BATCH = 256
_STEPS = 400


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Losses of every champion in every window.

    Attributes:
        mean: Log loss per row, float64 [trained through window, served window]; NaN where a
            champion can't serve, for its labels come one window late.
        deviation: Standard deviation of a row's loss, same shape.
        held_out: Mean loss of each champion on the tenth of its training rows held back.
        held_out_error: Standard error of that mean.
        rows: Rows of each window.
        by_row: By champion, the loss of each row from the window after it on, float32.
    """

    mean: np.ndarray
    deviation: np.ndarray
    held_out: np.ndarray
    held_out_error: np.ndarray
    rows: np.ndarray
    by_row: dict[int, np.ndarray]

    def in_window(self, champion: int, window: int) -> np.ndarray:
        """Returns the loss of each row of a window, float64."""
        starts = np.concatenate([[0], np.cumsum(self.rows)])
        first = starts[champion + 1]
        losses = self.by_row[champion][starts[window] - first : starts[window + 1] - first]
        return losses.astype(float)


def loss_matrix(stream: Stream) -> Losses:
    """Trains a champion after each window and lets it serve every later one."""
    count = stream.windows
    mean, deviation = np.full((2, count, count), np.nan)
    held_out, held_out_error = np.full((2, count), np.nan)
    by_row = {}
    for newest in range(stream.initial_windows - 1, count):
        rows = stream.trained_on(newest)
        held = np.arange(len(rows)) % _HELD_OUT == 0
        model = fit_champion(stream, rows[~held])
        losses = _row_losses(model, rows[held], stream.features)
        held_out[newest] = losses.mean()
        held_out_error[newest] = losses.std() / np.sqrt(len(losses))
        if newest + 1 < count:
            later = stream.between(newest + 1, count - 1)
            each = _row_losses(model, later, stream.features)
            by_row[newest] = each.astype(np.float32)
            by_window = pd.Series(each).groupby(later[WINDOW].to_numpy())
            mean[newest, newest + 1 :] = by_window.mean()
            deviation[newest, newest + 1 :] = by_window.std(ddof=0)
    sizes = stream.rows[WINDOW].value_counts().sort_index().to_numpy()
    return Losses(
        mean=mean,
        deviation=deviation,
        held_out=held_out,
        held_out_error=held_out_error,
        rows=sizes,
        by_row=by_row,
    )


def _row_losses(model: Any, rows: pd.DataFrame, features: list[str]) -> np.ndarray:
    predicted = np.clip(model.predict_proba(rows[features])[:, 1], _FLOOR, 1 - _FLOOR)
    positive = rows[LABEL].to_numpy() > 0.5
    return -np.where(positive, np.log(predicted), np.log1p(-predicted))


def fit_champion(stream: Stream, rows: pd.DataFrame) -> Pipeline:
    """Returns a model of the stream's kind, trained on the rows."""
    model = _pipeline(stream.champion, len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows[stream.features], rows[LABEL].astype(int))


def _pipeline(kind: str, rows: int) -> Pipeline:
    """Builds an unfitted champion: two of the three kinds are not what the surrogate is."""
    words = make_column_selector(dtype_include=object)
    numbers = make_column_selector(dtype_exclude=object)
    if kind == "boosting":
        encode = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-1,
            min_frequency=20,
        )
        return make_pipeline(
            make_column_transformer((encode, words), ("passthrough", numbers)),
            HistGradientBoostingClassifier(
                max_iter=50,
                max_leaf_nodes=31,
                learning_rate=0.12,
                early_stopping=False,
                random_state=0,
            ),
        )
    encode = OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False)
    scale = make_pipeline(SimpleImputer(), StandardScaler())
    if kind == "logistic":
        model: Any = LogisticRegression(max_iter=200)
    else:
        # Steps, not epochs: otherwise more rows would help only because they train it longer. And
        # no early stopping: one bad stop makes a bad champion, which pays to replace without drift.
        epochs = max(2, round(_STEPS * _BATCH / rows))
        model = MLPClassifier(
            (32,),
            batch_size=_BATCH,
            max_iter=epochs,
            learning_rate_init=5e-3,
            alpha=1e-3,
            n_iter_no_change=epochs,
            random_state=0,
        )
    return make_pipeline(make_column_transformer((encode, words), (scale, numbers)), model)
