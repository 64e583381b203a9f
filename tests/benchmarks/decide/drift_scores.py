"""PSI of each window's features against each champion's training rows, computed as customary."""

import numpy as np
import pandas as pd

from tests.benchmarks.decide.streams import WINDOW, Stream

_BINS = 10
_EMPTY_SHARE = 1e-4


def psi_matrix(stream: Stream) -> np.ndarray:
    """Returns the highest PSI of all features, float64 [trained through window, window]."""
    count = stream.windows
    highest = np.full((count, count), np.nan)
    codes = {name: _codes(stream.rows[name]) for name in stream.features}
    window = stream.rows[WINDOW].to_numpy()
    for newest in range(stream.initial_windows - 1, count - 1):
        trained = stream.trained_on(newest).index.to_numpy()
        later = window > newest
        highest[newest, newest + 1 :] = np.max(
            [_psi(values, trained, later, window, newest, count) for values in codes.values()],
            axis=0,
        )
    return highest


def _codes(values: pd.Series) -> np.ndarray:
    """Turns text into whole numbers, the most frequent first; numbers stay."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=np.float64)
    order = values.value_counts().index
    return order.get_indexer(values).astype(np.float64)


def _psi(
    values: np.ndarray,
    trained: np.ndarray,
    later: np.ndarray,
    window: np.ndarray,
    newest: int,
    count: int,
) -> np.ndarray:
    reference = values[trained]
    known = reference[~np.isnan(reference)]
    inner = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else []
    # NaN is a bin of its own, the last.
    bins = np.where(np.isnan(values), len(inner) + 1, np.searchsorted(inner, values, side="right"))
    expected = np.bincount(bins[trained], minlength=len(inner) + 2)
    table = np.zeros((count - newest - 1, len(inner) + 2))
    np.add.at(table, (window[later] - newest - 1, bins[later]), 1)
    before = np.maximum(expected / expected.sum(), _EMPTY_SHARE)
    now = np.maximum(table / table.sum(axis=1, keepdims=True), _EMPTY_SHARE)
    return np.sum((now - before) * np.log(now / before), axis=1)
