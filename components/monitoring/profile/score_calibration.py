"""Quality of a window whose labels have not come, estimated from the scores alone.

Confidence-based performance estimation: at training time an isotonic map says, for each bin of the
score, how often the label is 1; a window's score histogram then gives the expected number of ones
and zeros in each bin, and from these every metric that is made of counts. It sees what a shift of
the inputs does to quality; it cannot see that labels came to mean something else (concept drift).

Sources: T. Guo et al., "CBPE: confidence-based performance estimation" (NannyML, 2022); B. Zadrozny
and C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD
2002, for the isotonic map; A. Oron and N. Flournoy, "Centered isotonic regression", Statistics in
Biopharmaceutical Research 9 (2017).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError

Array = npt.NDArray[np.float64]

METRICS = ("auc", "accuracy", "precision", "recall", "f1", "positive_rate")
# The 2.5th and 97.5th percentiles then rest on the ten outermost draws each, and a window takes
# milliseconds.
_DRAWS = 400


@dataclass(frozen=True, kw_only=True)
class CalibrationMap:
    """How often the label is 1, by bin of the score, on rows that the model was not trained on.

    Isotonic regression puts neighbouring bins together until their rates rise. Between the centres
    of these blocks the map is linear (centred isotonic regression): a staircase would take every
    two scores of one step for equally good.

    Attributes:
        bins: Bins of the score.
        centres: Mean bin of each block, rising.
        rates: Share of ones in each block, rising.
        rows: Labelled rows of each block.
    """

    bins: int
    centres: tuple[float, ...]
    rates: tuple[float, ...]
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.centres) == len(self.rates) == len(self.rows) or not self.rows:
            raise DataError(
                f"Expected a centre, a rate and rows for each block, received {len(self.centres)}, "
                f"{len(self.rates)} and {len(self.rows)}. Make the profile again."
            )

    @property
    def base_rate(self) -> float:
        """Share of ones in all rows, inside (0, 1): what one more row of a block is taken to be."""
        # Half a row and one: inside (0, 1) whatever the counts (Krichevsky and Trofimov 1981).
        rows = np.asarray(self.rows, float)
        return float((np.dot(self.rates, rows) + 0.5) / (rows.sum() + 1))

    def at_bins(self, rates: Array | None = None) -> Array:
        """Returns the rate of every bin, of shape [bins], or [draws, bins] for drawn rates."""
        values = np.asarray(self.rates) if rates is None else rates
        places = np.clip(np.arange(self.bins), self.centres[0], self.centres[-1])
        above = np.clip(np.searchsorted(self.centres, places), 1, max(1, len(self.centres) - 1))
        above = np.minimum(above, len(self.centres) - 1)
        below = np.maximum(above - 1, 0)
        centres = np.asarray(self.centres)
        gap = np.where(above > below, centres[above] - centres[below], 1.0)
        share = (places - centres[below]) / gap
        at_bins: Array = values[..., below] * (1 - share) + values[..., above] * share
        return at_bins


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric that was estimated, and where the labels of this window would put it.

    Attributes:
        value: Expected value.
        low: 2.5th percentile.
        high: 97.5th percentile: chance in the window's labels and in the map both count.
        chance: Standard deviation that chance in the window's labels alone gives.
    """

    value: float
    low: float
    high: float
    chance: float = 0.0


def fit_calibration(rows: Sequence[int], positives: Sequence[int]) -> CalibrationMap:
    """Returns the isotonic map from score bins to the rate of ones.

    Args:
        rows: Labelled rows by bin of the score, lowest scores first.
        positives: How many of them have label 1.

    Raises:
        DataError: There is no labelled row, or more ones than rows.
    """
    # Imported here: scikit-learn takes a second, and from 1.5.2 on brings pandas with it.
    from sklearn.isotonic import isotonic_regression

    count, ones = np.asarray(rows, float), np.asarray(positives, float)
    if count.shape != ones.shape or not count.sum() or (ones > count).any():
        raise DataError(
            f"Expected labelled rows by bin with at most as many ones, received {count.sum():.0f} "
            f"rows and {ones.sum():.0f} ones."
        )
    filled = np.flatnonzero(count)
    steps = isotonic_regression(
        ones[filled] / count[filled], sample_weight=count[filled], y_min=0.0, y_max=1.0
    )
    # Pooled neighbours have one rate: a block each.
    rates, block = np.unique(steps, return_inverse=True)
    together = np.bincount(block, weights=count[filled])
    # The mean bin of a block's rows: between such centres the map is a line, as isotonic steps
    # would jump there.
    centres = np.bincount(block, weights=count[filled] * filled) / together
    return CalibrationMap(
        bins=len(count),
        centres=tuple(centres.tolist()),
        rates=tuple(rates.tolist()),
        rows=tuple(together.astype(int).tolist()),
    )


def estimate(
    counts: Sequence[float],
    calibration: CalibrationMap,
    positive_from: int,
    seed: int = 0,
    held_out: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Mapping[str, Estimate]:
    """Returns the metrics of METRICS, estimated without labels.

    An isotonic map of few rows fits their chance, too, and makes every window look better than it
    is. With the held-out rows at hand the same error is made on them, and taken off: a window with
    the scores of the held-out rows is estimated as these were measured.

    Args:
        counts: Rows of the window by bin of the score, lowest scores first.
        calibration: What the scores meant at training time.
        positive_from: First bin whose rows are answered with 1.
        seed: Of the draws behind the intervals.
        held_out: Rows and ones that the map was fitted on, by bin; None to take the map as it is.

    Raises:
        DataError: The bins differ, or the window is empty.
    """
    rows = np.asarray(counts, float)
    if len(rows) != calibration.bins or not rows.sum():
        raise DataError(
            f"Expected rows in {calibration.bins} bins of the score, received "
            f"{rows.sum():.0f} rows in {len(rows)}. Use the profile of the model that answered."
        )
    expected = _metrics(rows[None], rows[None] * calibration.at_bins(), positive_from)
    rng = np.random.default_rng(seed)
    drawn = _metrics(rows[None], _drawn_ones(rows, calibration, rng), positive_from)
    # Labels drawn from the map as it is: what chance alone moves a metric by, apart from what is
    # not known of the map.
    labels = rng.binomial(_whole(rows), calibration.at_bins(), (_DRAWS, len(rows))).astype(float)
    by_chance = _metrics(rows[None], labels, positive_from)
    of_map, of_draws = _off(calibration, positive_from, held_out)
    found = {}
    for name in METRICS:
        # Such as precision where nothing is answered with 1.
        if not np.isfinite(expected[name][0]):
            continue
        # What map and draws get wrong of the held-out rows they get wrong of this window, too.
        low, high = np.nanpercentile(drawn[name], [2.5, 97.5]) - of_draws.get(name, 0.0)
        value = min(1.0, max(0.0, float(expected[name][0]) - of_map.get(name, 0.0)))
        found[name] = Estimate(
            value=value,
            low=max(0.0, min(low, value)),
            high=min(1.0, max(high, value)),
            chance=float(np.nanstd(by_chance[name])),
        )
    return found


def _off(
    calibration: CalibrationMap,
    positive_from: int,
    held_out: tuple[Sequence[float], Sequence[float]] | None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns what the map and the mean of its draws get wrong of the rows it was fitted on."""
    if held_out is None:
        return {}, {}
    truth = measured(*held_out, positive_from)
    rows = np.asarray(held_out[0], float)[None]
    behind = np.asarray(calibration.rows)
    # The mean of the Beta posterior that `_drawn_ones` draws from.
    middle = (np.asarray(calibration.rates) * behind + calibration.base_rate) / (behind + 1)
    off = []
    for rates in (None, middle):
        found = _metrics(rows, rows * calibration.at_bins(rates), positive_from)
        off.append({name: float(found[name][0]) - truth[name] for name in truth})
    return off[0], off[1]


def measured(
    rows: Sequence[float], positives: Sequence[float], positive_from: int
) -> Mapping[str, float]:
    """Returns the metrics of METRICS of labelled rows, from their counts alone.

    Args:
        rows: Labelled rows by bin of the score, lowest scores first.
        positives: How many of them have label 1.
        positive_from: First bin whose rows are answered with 1.
    """
    count, ones = np.asarray(rows, float), np.asarray(positives, float)
    found = _metrics(count[None], ones[None], positive_from)
    return {name: float(found[name][0]) for name in METRICS if np.isfinite(found[name][0])}


def squared_error(
    rows: Sequence[float], positives: Sequence[float], edges: Sequence[float]
) -> float:
    """Returns the mean squared error of the scores (Brier), each taken as its bin's middle.

    Args:
        rows: Labelled rows by bin of the score, lowest scores first.
        positives: How many of them have label 1.
        edges: Inner edges of the bins, between 0 and 1.

    Raises:
        DataError: There is no row.
    """
    count, ones, middle = _binned(rows, positives, edges)
    error = (count - ones) * middle**2 + ones * (1 - middle) ** 2
    return float(error.sum() / count.sum())


def log_loss(
    rows: Sequence[float], positives: Sequence[float], edges: Sequence[float]
) -> tuple[float, float]:
    """Returns the mean log loss of the scores (nats) and its standard error.

    Args and errors are those of `squared_error`; each score is taken as its bin's middle here, too.
    """
    count, ones, middle = _binned(rows, positives, edges)
    of_one, of_zero = -np.log(middle), -np.log1p(-middle)
    total = count.sum()
    mean = ((count - ones) * of_zero + ones * of_one).sum() / total
    square = ((count - ones) * of_zero**2 + ones * of_one**2).sum() / total
    return float(mean), float(np.sqrt(max(0.0, square - mean**2) / total))


def _binned(
    rows: Sequence[float], positives: Sequence[float], edges: Sequence[float]
) -> tuple[Array, Array, Array]:
    """Returns rows, ones and middle of each bin."""
    count, ones = np.asarray(rows, float), np.asarray(positives, float)
    if not count.sum():
        raise DataError("Expected labelled rows by bin of the score, received none.")
    # Bins are narrow where scores crowd (score_bins): the middle is off by 0.004 at most.
    limits = np.concatenate([[0.0], edges, [1.0]])
    return count, ones, (limits[1:] + limits[:-1]) / 2


def first_positive(edges: Sequence[float], threshold: float) -> int:
    """Returns the first bin whose scores are above the threshold: the edge nearest to it counts."""
    return int(np.argmin(np.abs(np.asarray(edges) - threshold))) + 1


def _drawn_ones(rows: Array, calibration: CalibrationMap, rng: np.random.Generator) -> Array:
    """Draws the ones of every bin: first the map from its posterior, then the labels from it."""
    rates, behind = np.asarray(calibration.rates), np.asarray(calibration.rows)
    base = calibration.base_rate
    # Beta posterior of each block's rate, on a prior of one row with the base rate.
    posterior = rng.beta(
        rates * behind + base, (1 - rates) * behind + 1 - base, (_DRAWS, len(rates))
    )
    drawn = calibration.at_bins(posterior)
    return rng.binomial(_whole(rows), drawn).astype(float)


def _whole(rows: Array) -> npt.NDArray[np.int64]:
    return np.rint(rows).astype(np.int64)


def _metrics(rows: Array, ones: Array, positive_from: int) -> dict[str, Array]:
    """Metrics from rows and ones by bin, of shape [1 or draws, bins]."""
    zeros = rows - ones
    total, all_ones, all_zeros = rows.sum(1), ones.sum(1), zeros.sum(1)
    hits = ones[:, positive_from:].sum(1)
    alarms = rows[:, positive_from:].sum(1)
    # Zeros in lower bins than each.
    below = np.cumsum(zeros, axis=1) - zeros
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = hits / alarms, hits / all_ones
        return {
            # Mann and Whitney 1947: each one outranks the zeros below it, and half of those beside.
            "auc": ((below + zeros / 2) * ones).sum(1) / (all_ones * all_zeros),
            "accuracy": (hits + zeros[:, :positive_from].sum(1)) / total,
            "precision": precision,
            "recall": recall,
            "f1": 2 * hits / (alarms + all_ones),
            "positive_rate": all_ones / total,
        }
