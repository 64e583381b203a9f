"""Labels of one class that were lost by chance, as a join does that fills gaps with 0. Pure.

A world in which an event became rarer moves the odds that the model told, or the concept; labels
that were lost leave of each promised rate the same share, also where the model was sure, and leave
it whatever the features are. Both are asked: which of the two explains the labels better by the
model's own answers, and whether any feature tells where labels are missing.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.models.time_blocks import Floats
from tfx_loop.monitoring.retrain_decider.label_faults import LEAST_ROWS

# A fifth of a class: less costs little, and is common as drift.
_LEAST_LOST = 0.2
# Log-likelihood (nats) by which lost labels must explain more than moved odds do, which have one
# number more to be fitted by.
_CLEARLY = 5.0
# Chance that some feature is said to tell where labels are missing though none does.
_FALSE_SHARE = 0.01
# Cells of a number, by its quantiles, and of a category, by how often values stand.
_CELLS = 5
# Rows that a cell is to have for its sum to be nearly normal.
_CELL_ROWS = 30
# Bins of the promised rate; likelihoods are sums over them.
_RATES = 50
# Newton's steps. Two weights that move by 1 at most in each are settled well before.
_STEPS = 25
# Promised rates as near to 0 and 1 as that are not known from a profile's held-out rows; their log
# odds would rule the fit.
_NEARLY = 1e-4


def lost_label_faults(
    labels: Floats, promised: Floats | None, features: pd.DataFrame
) -> tuple[str, ...]:
    """Returns `lost` where labels of one class were lost by chance, as codes of label faults are.

    Args:
        labels: Of 0 and 1, float64 [rows].
        promised: As `labels_were_lost` has it, NaN where the champion did not answer; None where
            nobody knows.
        features: Of the same rows.
    """
    if promised is None:
        return ()
    known = np.isfinite(promised)
    if known.sum() < LEAST_ROWS:
        return ()
    return ("lost",) if labels_were_lost(labels[known], promised[known], features[known]) else ()


def labels_were_lost(labels: Floats, promised: Floats, features: pd.DataFrame) -> bool:
    """Says whether labels of one class were turned into the other by chance.

    Args:
        labels: Of 0 and 1, float64 [rows].
        promised: How often rows with such an answer had label 1 when they were held out, float64
            [rows].
        features: Of the same rows.
    """
    rates = np.clip(promised, _NEARLY, 1 - _NEARLY)
    # Lost ones, or lost zeros: the same question with both turned around.
    return _ones_were_lost(labels, rates, features) or _ones_were_lost(
        1 - labels, 1 - rates, features
    )


def _ones_were_lost(labels: Floats, rates: Floats, features: pd.DataFrame) -> bool:
    tally = _tally(labels, rates)
    kept, by_loss = _best_share(*tally)
    if 1 - kept < _LEAST_LOST or by_loss - _moved_odds(*tally) < _CLEARLY:
        return False
    return not _depends_on(labels - kept * rates, kept * rates * (1 - kept * rates), features)


def _tally(labels: Floats, rates: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns rate, rows and ones of bins of the rate."""
    place = np.minimum((rates * _RATES).astype(np.int64), _RATES - 1)
    rows = np.bincount(place, minlength=_RATES).astype(np.float64)
    filled = rows > 0
    ones = np.bincount(place, weights=labels, minlength=_RATES)[filled].astype(np.float64)
    mean = np.bincount(place, weights=rates, minlength=_RATES)[filled] / rows[filled]
    return mean, rows[filled], ones


def _best_share(rates: Floats, rows: Floats, ones: Floats) -> tuple[float, float]:
    """Returns the share of ones that is left, and the log-likelihood with it."""
    # A hundredth is finer than any window can tell.
    shares = np.arange(1, 101) / 100
    likelihoods = [_likelihood(share * rates, rows, ones) for share in shares]
    best = int(np.argmax(likelihoods))
    return float(shares[best]), likelihoods[best]


def _moved_odds(rates: Floats, rows: Floats, ones: Floats) -> float:
    """Returns the log-likelihood of rates whose log odds were moved and stretched.

    Logistic recalibration (Cox 1958, "Two further applications of a model for binary regression"),
    by Newton's method.
    """
    odds = np.log(rates / (1 - rates))
    inputs, weights = np.stack([np.ones_like(odds), odds], axis=1), np.array([0.0, 1.0])
    for _ in range(_STEPS):
        told = _logistic(inputs @ weights)
        # A ridge keeps the step finite where one bin holds all rows.
        curve = (inputs * (rows * told * (1 - told))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        weights = weights + np.clip(np.linalg.solve(curve, inputs.T @ (ones - rows * told)), -1, 1)
    # Log odds beyond 30 are probabilities of 1 to the last bit of a double, and exp must not
    # overflow.
    return _likelihood(_logistic(inputs @ weights), rows, ones)


def _logistic(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _likelihood(rates: Floats, rows: Floats, ones: Floats) -> float:
    # A share of 1 of a rate of 1 is a sure label: one that is otherwise would make the whole
    # infinite.
    known = np.clip(rates, 1e-9, 1 - 1e-9)
    return float(ones @ np.log(known) + (rows - ones) @ np.log1p(-known))


def _depends_on(beyond: Floats, variance: Floats, features: pd.DataFrame) -> bool:
    """Says whether what the expected rates leave unexplained differs by any feature's values."""
    from scipy.stats import chi2

    tested = []
    for name in features.columns:
        place = _cells(features[name])
        rows = np.bincount(place)
        enough = rows >= _CELL_ROWS
        if enough.sum() < 2:
            continue
        sums = np.bincount(place, weights=beyond)[enough]
        spread = np.bincount(place, weights=variance)[enough]
        # The sum of each cell is nearly normal with the binomial variance, so their squares add to
        # a χ². The degree that the fitted share costs is left in: features are believed a little
        # less for it.
        tested.append(float(chi2.sf(np.sum(sums**2 / np.maximum(spread, 1e-9)), enough.sum())))
    # Bonferroni over the features.
    return bool(tested) and min(tested) * len(tested) < _FALSE_SHARE


def _cells(values: "pd.Series[object]") -> npt.NDArray[np.int64]:
    """Returns a cell of each row: of numbers by their rank, of others the frequent values."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        known = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        found = known[np.isfinite(known)]
        if not len(found):
            return np.zeros(len(values), dtype=np.int64)
        edges = np.unique(np.quantile(found, np.arange(1, _CELLS) / _CELLS))
        # Missing values are a cell of their own: labels may lack where a feature does.
        return np.where(np.isfinite(known), np.searchsorted(edges, known), len(edges) + 1)
    texts = values.astype(str)
    frequent = texts.value_counts().index[: 2 * _CELLS]
    # -1 of the rare ones becomes a cell of its own.
    return np.asarray(frequent.get_indexer(texts), dtype=np.int64) + 1
