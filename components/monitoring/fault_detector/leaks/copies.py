"""Rows that stand on both sides of the split: exact copies and near ones."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.contracts.fault_report import COPIED_ROWS, NEAR_COPIES, FaultFinding
from tfx_loop.monitoring.fault_detector.leaks.columns import Column
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# Twins by chance differ in one column as often as in none where columns have few values.
_COPIES = 0.5
# One pair may be chance on any table.
_FEWEST_PAIRS = 2
# Of the held-out rows: from there on a metric moves.
_BLOCKS_FROM = 0.005
# The lower bounds are one-sided at 1 %.
_TAIL = 0.01
# A copy with noise lies so much nearer than the third neighbour.
_NEAR = 0.1
# Enough for the dimension (Levina and Bickel take 10 to 20), few enough to stay local.
_NEIGHBOURS = 12
# Neighbours in many dimensions take time linear in both sides, and a share of 3,000 is known to 1
# %.
_MOST_ASKED = 3_000
# Chance by which near copies may be reported where there are none: a warning, for each training.
_SURE = 0.001
# Share of near copies beyond what chance allows that is worth a word.
_LEAST_NEAR = 0.001
# Splitting hairs beyond: (1 - 0.1^50) is 1 to the last digit.
_MOST_DIMENSIONS = 50

_Hashes = npt.NDArray[np.uint64]


def copy_findings(
    columns: Sequence[Column], losses: FloatArray, drawn: float
) -> list[FaultFinding]:
    """Returns copies across the split, exact ones or else near ones.

    Args:
        columns: Of both sides.
        losses: Of the model on the held-out rows.
        drawn: The share of the training rows that was looked at.
    """
    copied, pairs, alike = twins(columns)
    if pairs >= _FEWEST_PAIRS and (not alike or _lower_bound(pairs, alike) > _COPIES):
        return [_copied(copied, losses, drawn)]
    if alike and pairs / (pairs + alike) < _COPIES:
        return []  # Categories of few values: near ones can't be told from chance there.
    return _near_copies(columns)


def twins(columns: Sequence[Column]) -> tuple[npt.NDArray[np.bool_], int, int]:
    """Returns which held-out rows have an equal training row, and pairs across the split.

    Returns:
        Whether each held-out row has a twin; the pairs that agree in all columns; and those that
        differ in one alone.
    """
    training, held_out = (
        np.stack([_hashed(getattr(c, side), place) for place, c in enumerate(columns)], axis=1)
        for side in ("training", "held_out")
    )
    # Sums modulo 2^64: leaving a column out takes its hash off.
    with np.errstate(over="ignore"):
        whole = training.sum(axis=1), held_out.sum(axis=1)
        pairs = _pairs(*whole)
        alike = sum(
            _pairs(whole[0] - training[:, place], whole[1] - held_out[:, place]) - pairs
            for place in range(len(columns))
        )
    return np.isin(whole[1], whole[0]), pairs, int(alike)


def _hashed(values: FloatArray, place: int) -> _Hashes:
    # NaN equals NaN here, as two missing values of twins should.
    hashes = pd.util.hash_array(np.ascontiguousarray(values))
    # Another constant a column (Knuth's and Stafford's mixers), so that columns don't cancel out.
    with np.errstate(over="ignore"):
        mixed = hashes ^ np.uint64((place + 1) * 0x9E3779B97F4A7C15 & (2**64 - 1))
        return np.asarray(mixed * np.uint64(0xBF58476D1CE4E5B9))


def _pairs(training: _Hashes, held_out: _Hashes) -> int:
    # A held-out row with three twins is three pairs.
    values, counts = np.unique(training, return_counts=True)
    places = np.minimum(np.searchsorted(values, held_out), len(values) - 1)
    return int(np.where(values[places] == held_out, counts[places], 0).sum())


def _lower_bound(successes: int, failures: int) -> float:
    """Clopper and Pearson 1934: the lower bound of a share."""
    from scipy import stats

    return float(stats.beta.ppf(_TAIL, successes, failures + 1)) if successes else 0.0


def _copied(copied: npt.NDArray[np.bool_], losses: FloatArray, drawn: float) -> FaultFinding:
    rows, count = len(copied), int(copied.sum())
    # Of a part of the training rows only that part of the copies is found.
    share = min(count / rows / drawn, 1.0)
    low = min(_lower_bound(count, rows - count) / drawn, 1.0)
    evidence = {"share": share, "share_low": low, "loss_with": float(losses.mean())}
    said = f"{share:.1%} of the held-out rows stand among the training rows, too"
    if drawn < 1:
        said = (
            f"About {share:.1%} of the held-out rows ({count} of {rows:,} among the {drawn:.0%} of "
            "the training rows that were looked at) stand among the training rows, too"
        )
    if count < rows:
        evidence["loss_without"] = float(losses[~copied].mean())
        said += (
            f": the model loses {evidence['loss_with']:.4g} with them and "
            f"{evidence['loss_without']:.4g} without"
        )
    return FaultFinding(
        kind=COPIED_ROWS,
        blocks=low >= _BLOCKS_FROM,
        evidence=evidence,
        explanation=f"{said}. Remove repeated rows before the split, or split by what they share.",
    )


def _near_copies(columns: Sequence[Column]) -> list[FaultFinding]:
    """Finds held-out rows that lie too near a training row for the dimension of the rows.

    Of points without copies the chance that the nearest is nearer than a tenth of the third is
    1 - (1 - 0.1^D)^2, with D the intrinsic dimension (Levina and Bickel 2005, "Maximum likelihood
    estimation of intrinsic dimension").
    """
    from scipy import stats
    from scipy.spatial import cKDTree

    numbers = [c for c in columns if not c.categories]
    if len(numbers) < 2:
        return []
    training, held_out = _standardised(numbers)
    if training.shape[1] < 2 or len(training) <= _NEIGHBOURS:
        return []
    distances, _ = cKDTree(training).query(held_out[:_MOST_ASKED], k=_NEIGHBOURS)
    third = distances[:, 2]
    ratio = np.where(third > 0, distances[:, 0] / np.where(third > 0, third, 1.0), 1.0)
    count, rows = int((ratio < _NEAR).sum()), len(ratio)
    # Two neighbours, the first and the second, may each be the one that is too near.
    expected = 1 - (1 - _NEAR ** min(_dimension(distances), _MOST_DIMENSIONS)) ** 2
    chance = float(stats.binom.sf(count - 1, rows, expected))
    if chance >= _SURE or _lower_bound(count, rows - count) <= expected + _LEAST_NEAR:
        return []
    share = count / rows
    return [
        FaultFinding(
            kind=NEAR_COPIES,
            blocks=False,
            evidence={"share": share, "expected": expected},
            explanation=f"{share:.1%} of the held-out rows lie nearer to a training row than "
            f"chance allows ({expected:.1%}): copies with noise, or rows of one thing. Split by "
            "what they share.",
        )
    ]


def _standardised(columns: Sequence[Column]) -> tuple[FloatArray, FloatArray]:
    training, held_out = (
        np.stack([getattr(column, side) for column in columns], axis=1)
        for side in ("training", "held_out")
    )
    # A distance needs all coordinates; filled-in values would make rows alike that are not.
    known = np.isfinite(training).all(axis=1)
    training, held_out = training[known], held_out[np.isfinite(held_out).all(axis=1)]
    if not len(training) or not len(held_out):
        return np.zeros((0, 0)), np.zeros((0, 0))
    spread = training.std(axis=0)
    moves = spread > 0
    centre = training.mean(axis=0)[moves]
    return (training[:, moves] - centre) / spread[moves], (held_out[:, moves] - centre) / spread[
        moves
    ]


def _dimension(distances: FloatArray) -> float:
    """Returns the intrinsic dimension by the neighbours from the second on.

    The logarithms of T_k / T_j, with T the distances in their order, have the mean
    (H_{k-1} - H_{j-1}) / D (Levina and Bickel 2005), over j from 2 so that a copy has no say. The
    inverse is averaged over the points (MacKay and Ghahramani 2005, comment on the same), as its
    mean is not biased and that of D is.
    """
    further = distances[:, 1:]
    further = further[further[:, 0] > 0]
    if len(further) <= 20:  # Too few for a mean.
        return 1.0
    count = distances.shape[1]
    harmonic = np.sum(1 / np.arange(1, count))
    sums = np.log(further[:, -1:] / further[:, :-1]).sum(axis=1)
    return max(float((count - 1 - harmonic) / max(sums.mean(), 1e-9)), 1.0)
