"""Area under the ROC curve of two sides' scores, and what chance makes of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from tfx_loop.monitoring.profile.row_keys import KeyArray

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankArea:
    """An area under the ROC curve, how far chance moves it, and what that is known with.

    Attributes:
        value: The area, 0.5 where the scores do not tell the sides apart.
        spread: Its standard deviation without drift.
        freedom: Degrees of freedom that the spread is known with; infinite for independent rows.
    """

    value: float
    spread: float
    freedom: float = np.inf

    @property
    def chance_above(self) -> float:
        """The chance of a larger area without drift."""
        z = (self.value - 0.5) / self.spread
        known = np.isinf(self.freedom)
        return float(special.ndtr(-z) if known else special.stdtr(self.freedom, -z))


def area_under_curve(
    scores: FloatArray, side: IntArray, blocks: KeyArray | None = None
) -> RankArea:
    """Returns the area from the rank sum with ties (Mann and Whitney).

    Args:
        scores: Of shape (rows,).
        side: 0 for the rows of one side, 1 for those that should score higher.
        blocks: Of each row, where rows of one block depend on each other; None for none that do.
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean rank of those with the same score, which counts a tie as half.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    n, m = int(np.sum(side == 0)), int(np.sum(side == 1))
    # The least rank sum that m rows can have is m (m + 1) / 2: U is what is beyond it.
    auc = (ranks[side == 1].sum() - m * (m + 1) / 2) / (n * m)
    # Var(U) without a difference, less what ties take from it (Lehmann 1975, "Nonparametrics").
    ties = float(np.sum(counts.astype(float) ** 3 - counts)) / ((n + m) * (n + m - 1))
    spread = np.sqrt(max((n + m + 1) - ties, 1e-12) / (12 * n * m))
    if blocks is None:
        return RankArea(float(auc), float(spread))
    # A row's share in the area is how many of the other side it is above or below; shares of a
    # block add up (Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data").
    own = np.zeros(len(scores))
    for of, size, other, sign in ((side == 1, m, n, 1.0), (side == 0, n, m, -1.0)):
        _, at, times = np.unique(scores[of], return_inverse=True, return_counts=True)
        # Rank among all less rank among its own side: how many of the other side are below.
        below = (ranks[of] - (np.cumsum(times) - (times - 1) / 2)[at]) / other
        own[of] = sign * (below - below.mean()) / size
    numbers = np.unique(blocks, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    squares = np.bincount(numbers, weights=own) ** 2
    # Degrees of freedom by the side with fewer blocks, as for Welch's t: few are known badly.
    least = min(len(np.unique(blocks[side == k])) for k in (0, 1))
    # Blocks less one, as the sums around a mean that was taken from the same blocks.
    clustered = np.sqrt(squares.sum() * count / max(count - 1, 1))
    return RankArea(float(auc), float(max(clustered, 1e-12)), float(max(least - 1, 1)))


def ordered_pairs(higher: FloatArray, lower: FloatArray) -> float:
    """Returns the area as the share of pairs that the scores put in order, ties as half.

    Args:
        higher: Scores of the rows that should score higher, of shape (rows,).
        lower: Those of the other rows.
    """
    every = np.concatenate([higher, lower])
    _, places, counts = np.unique(every, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places.ravel()]
    m, n = len(higher), len(lower)
    return float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))


def error_of_area(area: float, higher: int, lower: int) -> float:
    """Returns the standard error of an area by the numbers of rows of both sides.

    Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve", equations 1 and 2:
    of scores that are exponential on both sides, which overstates the error a little for others.
    """
    # Chances that two rows of one side are both on the right side of one of the other.
    two_higher, two_lower = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area)
    variance += (higher - 1) * (two_higher - area * area) + (lower - 1) * (two_lower - area * area)
    # Below zero by rounding where the area is 0 or 1.
    return float(np.sqrt(max(variance, 0.0) / (higher * lower)))
