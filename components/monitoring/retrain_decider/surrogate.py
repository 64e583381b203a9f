"""Surrogate of a training: what a cheap model learns from rows. Pure: tables in, losses out.

The surrogate is a pair from scikit-learn: histogram gradient boosting, and a linear model, both of
the task's loss (surrogate_families.py). Nobody knows here what the champion is; trees overstate
what more rows are worth to it, a linear model misses what it learns from interactions, and the two
pooled are steadier than either. Both take numbers, integers and categories with missing values, so
that none of the champion's transforms is needed.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pandas as pd

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.task_labels import inferred_task
from tfx_loop.models.task_losses import Floats, constant_answer, repeated, row_losses
from tfx_loop.monitoring.retrain_decider.surrogate_families import family_of

# Of a feature, the rest is missing: below _BINS, which boosting codes categories in.
MAX_CATEGORIES = 60
# A quarter of scikit-learn's default: as good for a comparison, in less time.
_BINS = 64
# Deviations at which a number is clipped: one outlier would bend the linear model to itself.
_FAR = 10.0


@dataclass(frozen=True, kw_only=True)
class SurrogateSettings:
    """How the surrogate is fitted.

    Attributes:
        iterations: Boosting rounds.
        leaves: Leaves of a tree at most.
        learning_rate: Shrinkage of a round.
        min_leaf_rows: Rows in a leaf at least.
        seed: Seed of the binning sample.
        task: What the labels are; None for labels of 0 and 1, and for amounts. RetrainDecider takes
            the task of the champion's profile.
    """

    # Few and large steps: a decision makes several fits and is to take seconds, and both sides are
    # fitted alike. Chosen, not measured.
    iterations: int = 20
    leaves: int = 15
    learning_rate: float = 0.25
    min_leaf_rows: int = 20
    seed: int = 0
    task: ModelTask | None = None

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
        # A column of categories that are all missing has no codes, and boosting wants some.
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
        # A column without any value: its mean is 0, and every row takes it.
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
    task: ModelTask
    constant: Floats

    def losses(self, rows: pd.DataFrame) -> Floats:
        """Returns the task's loss of each row, both models in one answer."""
        labels = rows[self.label].to_numpy(dtype=np.float64)
        if self.linear is None:
            return row_losses(labels, repeated(self.constant, len(rows)), self.task)
        codes = self.encoder.codes(rows)
        inputs = (codes, self.linear.matrix(codes))
        with _one_thread():
            answers = family_of(self.task).pooled(self.models, inputs)
        return row_losses(labels, answers, self.task)


def fit_surrogate(
    rows: pd.DataFrame, label: str, features: list[str], settings: SurrogateSettings
) -> Surrogate:
    """Fits the pair on labelled rows.

    Too few rows or one label make them a constant.

    Args:
        rows: Features and encoded labels (models/task_labels.py).
        label: Column of the labels.
        features: Columns of the features.
        settings: How to fit; the task chooses the models and their loss.

    Raises:
        DataError: There are no rows or no features, or nobody said whether labels are classes or
            amounts.
    """
    if rows.empty or not features:
        raise DataError(
            f"Expected labelled rows with features to fit a surrogate on, received {len(rows)} "
            f"rows with {len(features)} features."
        )
    labels = rows[label].to_numpy(dtype=np.float64)
    task = settings.task or inferred_task(labels)
    encoder = _Encoder.fit(rows, features)
    constant = constant_answer(labels, task)
    # With fewer rows than two leaves take no tree splits, and a constant is what could be learnt.
    if len(np.unique(labels)) < 2 or len(rows) < 2 * settings.min_leaf_rows:
        return _SurrogatePair(encoder, None, (), label, task, constant)
    codes = encoder.codes(rows)
    linear = _LinearColumns.fit(encoder, codes)
    from sklearn.exceptions import ConvergenceWarning

    common = {
        "max_iter": settings.iterations,
        "max_leaf_nodes": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_samples_leaf": settings.min_leaf_rows,
        "max_bins": _BINS,
        "categorical_features": encoder.mask(),
        # Stopping early would hold out rows by chance, and make both sides' fits differ by it.
        "early_stopping": False,
        "random_state": settings.seed,
    }
    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = family_of(task).fitted((codes, linear.matrix(codes)), labels, common)
    return _SurrogatePair(encoder, linear, models, label, task, constant)


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
