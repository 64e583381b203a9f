"""Surrogate of a training: what a cheap model learns from rows. Pure: tables in, losses out.

The surrogate is a pair from scikit-learn: histogram gradient boosting, and a linear model. Nobody
knows here what the champion is; trees overstate what more rows are worth to it, a linear model
misses what it learns from interactions, and the mean of their log odds is steadier than either.
Both take numbers, integers and categories with missing values, so that none of the champion's
transforms is needed.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.core.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]

# Of a feature, the rest is missing: below _BINS, which boosting codes categories in.
MAX_CATEGORIES = 60
# A quarter of scikit-learn's default: as good for a comparison, in less time.
_BINS = 64
# Deviations at which a number is clipped: one outlier would bend the linear model to itself.
_FAR = 10.0
# Iterations of L-BFGS; a few short of the optimum is as good for a comparison.
_STEPS = 60
# Of a probability: one row that is surely wrong costs 9 nats, and does not decide the mean alone.
_FLOOR = 1e-4


@dataclass(frozen=True, kw_only=True)
class SurrogateSettings:
    """How the surrogate is fitted.

    Attributes:
        iterations: Boosting rounds.
        leaves: Leaves of a tree at most.
        learning_rate: Shrinkage of a round.
        min_leaf_rows: Rows in a leaf at least.
        seed: Seed of the binning sample.
    """

    iterations: int = 20
    leaves: int = 15
    learning_rate: float = 0.25
    min_leaf_rows: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("iterations", "min_leaf_rows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.leaves < 2:
            raise ConfigError(f"leaves must be at least 2, got {self.leaves}.")
        if not 0.0 < self.learning_rate <= 1.0:
            raise ConfigError(f"learning_rate must be in (0, 1], got {self.learning_rate}.")


class Surrogate(Protocol):
    """A fitted surrogate."""

    def losses(self, rows: pd.DataFrame) -> Floats:
        """Returns the loss of each row, shape [rows]."""
        ...


class FitSurrogate(Protocol):
    """How a surrogate is fitted; a parameter, so that a caller can share fits."""

    def __call__(
        self, rows: pd.DataFrame, label: str, features: list[str], settings: SurrogateSettings
    ) -> Surrogate:
        """Returns a surrogate fitted on `rows`."""
        ...


def is_binary(labels: pd.Series) -> bool:
    """Says whether all labels are 0 or 1: then the loss is log loss, otherwise squared error."""
    return bool(labels.isin((0, 1)).all())


def is_categorical(values: pd.Series) -> bool:
    """Says whether a feature is one of categories: strings, bytes or anything not a number."""
    return not pd.api.types.is_numeric_dtype(values.dtype)


@dataclass(frozen=True)
class _Encoder:
    """Turns rows into a float matrix; categories into codes, the rare and unseen into missing."""

    features: list[str]
    categories: dict[str, pd.Index]

    @classmethod
    def fit(cls, rows: pd.DataFrame, features: list[str]) -> "_Encoder":
        """Learns the most frequent categories of each categorical feature."""
        categories = {
            name: pd.Index(rows[name].dropna().astype(str).value_counts().index[:MAX_CATEGORIES])
            for name in features
            if is_categorical(rows[name])
        }
        return cls(features, categories)

    def codes(self, rows: pd.DataFrame) -> Floats:
        """Returns float64 [rows, features], NaN where missing."""
        columns = np.empty((len(rows), len(self.features)), dtype=np.float64)
        for position, name in enumerate(self.features):
            values = rows[name]
            if name in self.categories:
                present = values.notna().to_numpy()
                codes = self.categories[name].get_indexer(values.astype(str)).astype(np.float64)
                # -1 is a category that was not kept; missing values became the text "nan".
                codes[(codes < 0) | ~present] = np.nan
                columns[:, position] = codes
            else:
                columns[:, position] = pd.to_numeric(values, errors="coerce").to_numpy(
                    dtype=np.float64, na_value=np.nan
                )
        # Infinities have no place in a linear model; boosting takes missing values as they are.
        columns[~np.isfinite(columns)] = np.nan
        return columns

    def mask(self) -> list[bool]:
        """Says of each column whether it holds category codes."""
        return [bool(len(self.categories.get(name, ()))) for name in self.features]


@dataclass(frozen=True)
class _LinearColumns:
    """Standardised numbers, one column a category, and what a missing value becomes: the mean."""

    encoder: _Encoder
    center: Floats
    scale: Floats

    @classmethod
    def fit(cls, encoder: _Encoder, codes: Floats) -> "_LinearColumns":
        """Learns mean and deviation of each column, of known values alone."""
        known = np.isfinite(codes)
        count = np.maximum(known.sum(axis=0), 1)
        center = np.where(known, codes, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, codes - center, 0.0) ** 2).sum(axis=0) / count)
        return cls(encoder, center, np.where(spread > 0, spread, 1.0))

    def matrix(self, codes: Floats) -> Floats:
        """Returns float64 [rows, columns] without missing values."""
        parts = []
        for position, categorical in enumerate(self.encoder.mask()):
            column = codes[:, position]
            if categorical:
                count = len(self.encoder.categories[self.encoder.features[position]])
                # No code equals NaN: a row without a category has a 0 everywhere.
                parts.append((column[:, None] == np.arange(count)).astype(np.float64))
            else:
                scaled = (column - self.center[position]) / self.scale[position]
                scaled = np.clip(scaled, -_FAR, _FAR)
                parts.append(np.nan_to_num(scaled, nan=0.0)[:, None])
        return np.hstack(parts)


@dataclass(frozen=True)
class _SurrogatePair:
    """Both models behind their encoder; `constant` stands in where nothing could be learnt."""

    encoder: _Encoder
    linear: _LinearColumns | None
    models: tuple[Any, ...]
    label: str
    binary: bool
    constant: float

    def losses(self, rows: pd.DataFrame) -> Floats:
        """Returns log loss (nats) or squared error of each row, both models in one prediction."""
        labels = rows[self.label].to_numpy(dtype=np.float64)
        if self.linear is None:
            return self._loss(labels, np.full(len(rows), self.constant))
        codes = self.encoder.codes(rows)
        inputs = (codes, self.linear.matrix(codes))
        with _one_thread():
            if not self.binary:
                predicted = [m.predict(x) for m, x in zip(self.models, inputs, strict=True)]
                return self._loss(labels, np.mean(predicted, axis=0))
            scores = [
                _log_odds(m.predict_proba(x)[:, 1])
                for m, x in zip(self.models, inputs, strict=True)
            ]
        return self._loss(labels, 1.0 / (1.0 + np.exp(-np.mean(scores, axis=0))))

    def _loss(self, labels: Floats, predicted: Floats) -> Floats:
        if not self.binary:
            return np.asarray((labels - predicted) ** 2)
        predicted = np.clip(predicted, _FLOOR, 1.0 - _FLOOR)
        return np.asarray(-np.where(labels > 0.5, np.log(predicted), np.log1p(-predicted)))


def _log_odds(probability: Floats) -> Floats:
    clipped = np.clip(probability, _FLOOR, 1.0 - _FLOOR)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def fit_surrogate(
    rows: pd.DataFrame, label: str, features: list[str], settings: SurrogateSettings
) -> Surrogate:
    """Fits the pair on labelled rows.

    Labels of 0 and 1 alone make them classifiers, anything else regressors. Too few rows or one
    class make them a constant.

    Raises:
        DataError: There are no rows or no features.
    """
    if rows.empty or not features:
        raise DataError(
            f"Expected labelled rows with features to fit a surrogate on, received {len(rows)} "
            f"rows with {len(features)} features."
        )
    labels = rows[label].to_numpy(dtype=np.float64)
    binary = is_binary(rows[label])
    encoder = _Encoder.fit(rows, features)
    # Half a one among one row more: a constant of 0 or 1 would cost without bound.
    constant = float((labels.sum() + 0.5) / (len(labels) + 1)) if binary else float(labels.mean())
    if len(np.unique(labels)) < 2 or len(rows) < 2 * settings.min_leaf_rows:
        return _SurrogatePair(encoder, None, (), label, binary, constant)
    codes = encoder.codes(rows)
    linear = _LinearColumns.fit(encoder, codes)
    boosted, flat = _unfitted(binary, encoder, settings)
    from sklearn.exceptions import ConvergenceWarning

    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        boosted.fit(codes, labels)
        flat.fit(linear.matrix(codes), labels)
    return _SurrogatePair(encoder, linear, (boosted, flat), label, binary, constant)


def _unfitted(binary: bool, encoder: _Encoder, settings: SurrogateSettings) -> tuple[Any, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    boosting = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    boosted = boosting(
        max_iter=settings.iterations,
        max_leaf_nodes=settings.leaves,
        learning_rate=settings.learning_rate,
        min_samples_leaf=settings.min_leaf_rows,
        max_bins=_BINS,
        categorical_features=encoder.mask(),
        early_stopping=False,
        random_state=settings.seed,
    )
    return boosted, LogisticRegression(max_iter=_STEPS) if binary else Ridge()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keeps OpenMP and BLAS to one thread.

    Its threads spin while they wait: on a machine with other work, two took 9 s for what one does
    in 0.2 s.
    """
    with _pools().limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _pools() -> Any:
    """Finds the thread pools once, which takes milliseconds; after scikit-learn was imported."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
