"""How likely is a weighted sum of squared normals beyond a value?

The Anderson-Darling statistic has this distribution without drift, with weights that the ties of
the data decide. The saddlepoint approximation holds far out in the tail, where Benjamini-Hochberg
over many features looks: Kuonen 1999, "Saddlepoint approximations for distributions of quadratic
forms in normal variables".
"""

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

FloatArray = npt.NDArray[np.float64]


def weighted_chi_square_tail(weights: FloatArray, value: float) -> float:
    """Returns the chance that the sum of weights[i] · χ²(1) exceeds `value`.

    Args:
        weights: Of shape (terms,); those that are 0 or below, but for rounding, add nothing.
        value: The statistic.
    """
    used = weights[weights > 1e-9 * weights.max(initial=0.0)]
    if not len(used) or value <= 0:
        return 1.0
    largest, mean = float(used.max()), float(used.sum())
    if abs(value / mean - 1) < 1e-4:
        value = mean * (1 + 1e-4)  # The formula is 0/0 at the mean, and smooth around it.

    def slope(point: float) -> float:
        return float(np.sum(used / (1 - 2 * point * used))) - value

    low = min(-len(used) / (2 * value), -1e-3 / largest) if value < mean else 0.0
    point = float(optimize.brentq(slope, low, (1 - 1e-12) / (2 * largest), xtol=1e-15 / largest))
    generating = -0.5 * float(np.sum(np.log1p(-2 * point * used)))
    curvature = 2 * float(np.sum((used / (1 - 2 * point * used)) ** 2))
    root = np.sign(point) * np.sqrt(2 * (point * value - generating))
    ratio = point * np.sqrt(curvature) / root
    return float(np.clip(special.ndtr(-(root + np.log(ratio) / root)), 0.0, 1.0))
