"""Two-sample tests on binned counts whose rows depend on each other.

The statistics are those of independent rows (two_sample.py); what chance makes of them follows from
the estimated covariance of the cells' shares, and the tests know how well that is known.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.drift.statistics.row_dependence import RowDependence
from tfx_loop.monitoring.drift.statistics.two_sample import (
    LEAST_EXPECTED,
    most_changed_cell,
    weighted_chi_square_tail,
)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShareDifference:
    """The shares of two sides in the same cells, and what chance makes of their difference.

    Attributes:
        difference: Current less reference, of shape (cells,).
        pooled: Shares of both sides together.
        covariance: Of `difference` without drift, of shape (cells, cells).
        freedom: Degrees of freedom that the covariance is known with.
        expected: Effective rows of the smaller side in each cell.
    """

    difference: FloatArray
    pooled: FloatArray
    covariance: FloatArray
    freedom: float
    expected: FloatArray

    def map(self, matrix: FloatArray) -> "ShareDifference":
        """Returns linear combinations of the cells, such as sums of them."""
        return ShareDifference(
            matrix @ self.difference,
            matrix @ self.pooled,
            matrix @ self.covariance @ matrix.T,
            self.freedom,
            matrix @ self.expected,
        )


def share_difference(
    reference: Any, current: Any, sides: tuple[RowDependence, RowDependence]
) -> ShareDifference:
    """Returns the difference of two sides, cell by cell, `missing` last.

    Args:
        reference: Rows in each bin, `missing` last, of shape (bins + 1,).
        current: The same of the other side.
        sides: How the rows of either depend on each other.
    """
    counts = [side.joined(rows) for side, rows in zip(sides, (reference, current), strict=True)]
    rows = [float(count.sum()) for count in counts]
    # The covariance is that of one row's cells times the design effect: a share's is a rows-th of
    # it.
    noises = [side.covariance / n for side, n in zip(sides, rows, strict=True)]
    # Welch and Satterthwaite, by the traces: the noisier side decides how well the sum is known.
    sizes = [float(np.trace(noise)) for noise in noises]
    doubt = sum(size**2 / side.freedom for size, side in zip(sizes, sides, strict=True))
    pooled: FloatArray = (counts[0] + counts[1]) / sum(rows)
    # The side that knows less sets which cells are rare: Cochran's 5 is of expected rows of the
    # smaller sample.
    effective = min(n / side.design_effect for n, side in zip(rows, sides, strict=True))
    return ShareDifference(
        counts[1] / rows[1] - counts[0] / rows[0],
        pooled,
        noises[0] + noises[1],
        sum(sizes) ** 2 / doubt if doubt else np.inf,
        pooled * effective,
    )


def among_present(found: ShareDifference) -> ShareDifference:
    """Returns the shares among the rows that have a value, without the cell `missing`."""
    there = float(found.pooled[:-1].sum())
    # No row has a value on either side: there are no shares among them, and no test.
    if there <= 0:
        return found.map(np.zeros((0, len(found.pooled))))
    shares = found.pooled[:-1] / there
    # d(p / P) = (dp - p / P · dP) / P, with P the share of rows that have a value.
    slopes = (np.eye(len(shares)) - shares[:, None]) / there
    given = found.map(np.hstack([slopes, np.zeros((len(shares), 1))]))
    return ShareDifference(
        given.difference, shares, given.covariance, given.freedom, found.expected[:-1]
    )


def anderson_darling(found: ShareDifference) -> float:
    """Returns the p-value of the Anderson-Darling test on cells in order (two_sample.py)."""
    used = found.pooled > 0
    if np.count_nonzero(used) < 2:
        return 1.0
    part = found.map(np.eye(len(used))[used])
    shares = part.pooled / part.pooled.sum()
    # H at each inner edge; at the last one it is 1, where the weight would divide by 0.
    below = np.cumsum(shares)[:-1]
    # dH / (H (1 - H)), as two_sample.anderson_darling takes it for independent rows.
    weights = (shares[:-1] + shares[1:]) / 2 / (below * (1 - below))
    # Sums of cells from the left are F - G at the edges, their covariance that of a bridge whose
    # rows depend on each other.
    edges = part.map(np.tril(np.ones((len(shares), len(shares))))[:-1])
    roots = np.sqrt(weights)
    # A quadratic form of a normal vector is Σ λ χ²(1), with λ the eigenvalues of √W Σ √W.
    values = np.linalg.eigvalsh(edges.covariance * np.outer(roots, roots))
    statistic = float(np.sum(weights * edges.difference**2))
    return weighted_chi_square_tail(values, statistic, part.freedom)


def chi_square(found: ShareDifference) -> float:
    """Returns the p-value of Pearson's statistic, rare cells pooled (Rao and Scott 1981)."""
    part = _with_rare_pooled(found)
    if len(part.pooled) < 2:
        return 1.0
    roots = 1 / np.sqrt(part.pooled)
    # Rao and Scott's generalised design effects: equal to each other where rows are independent,
    # beside one that is 0 as shares add up to 1.
    values = np.linalg.eigvalsh(part.covariance * np.outer(roots, roots))
    statistic = float(np.sum(part.difference**2 / part.pooled))
    return weighted_chi_square_tail(values, statistic, part.freedom)


def most_changed(found: ShareDifference, reference: Any, current: Any) -> float:
    """Returns the p-value of the cell that changed most, times the number of cells.

    Args:
        found: Cells of the most frequent categories, the last one of all others.
        reference: Effective rows of all categories, where there are more than cells.
        current: The same of the other side.
    """
    part = _with_rare_pooled(found)
    chances = [_student(*cell, part.freedom) for cell in _cells(part)]
    others = most_changed_cell(reference, current) if len(reference) > 1 else 1.0
    # Bonferroni over the cells; where the exact test of single categories is made as well, over
    # both.
    cells = len(chances) * min(chances, default=1.0)
    return float(min(1.0, cells if len(reference) <= 1 else 2 * min(cells, others)))


def missing_share(found: ShareDifference) -> float:
    """Returns the p-value of the change of the last cell, that of missing values."""
    return _student(*_cells(found)[-1], found.freedom)


def _cells(found: ShareDifference) -> list[tuple[float, float]]:
    variances = np.diag(found.covariance)
    return list(zip(found.difference.tolist(), variances.tolist(), strict=True))


def _student(difference: float, variance: float, freedom: float) -> float:
    # All rows of both sides are in this cell or none is: it cannot have changed.
    if variance <= 0:
        return 1.0
    return weighted_chi_square_tail(np.array([variance]), difference**2, freedom)


def _with_rare_pooled(found: ShareDifference) -> ShareDifference:
    """Joins cells of fewer than 5 expected effective rows (Cochran 1954), which are no normal."""
    used = np.flatnonzero(found.pooled > 0)
    order = used[np.argsort(found.expected[used], kind="stable")]
    rare = int(np.count_nonzero(found.expected[order] < LEAST_EXPECTED))
    if not rare:
        return found.map(np.eye(len(found.pooled))[used])
    # The pool takes further cells until it is not rare itself.
    enough = 1 + int(np.searchsorted(np.cumsum(found.expected[order]), LEAST_EXPECTED))
    pool, rest = order[: max(rare, enough)], order[max(rare, enough) :]
    # One row of sums for the pool, one of the identity for each cell that stays alone.
    matrix = np.eye(len(found.pooled))
    return found.map(np.vstack([matrix[pool].sum(axis=0), matrix[rest]]))
