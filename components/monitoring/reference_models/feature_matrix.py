"""The matrix of numbers that reference models are fitted on, from columns of any kind."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.reference_models.row_losses import FloatArray
from tfx_loop.monitoring.reference_models.wide_features import is_text, shrunk, topics

# A column each: the frequent ones say most, and a linear model on hundreds learns noise.
_MOST_CATEGORIES = 25
# Beyond so many deviations a value counts as so many: one typing error is not to bend a line.
_FAR = 8.0


def feature_matrices(
    members: Mapping[str, Any], others: Mapping[str, Any]
) -> tuple[FloatArray, FloatArray]:
    """Returns columns of both sides as matrices; what is learnt for it is learnt on the members.

    Args:
        members: Columns of shape (rows,) or (rows, …) by name: numbers, texts or bytes.
        others: The same of the other side.

    Raises:
        DataError: There is no column.
    """
    parts: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for name in sorted(members):
        sides = [np.asarray(columns[name]) for columns in (members, others)]
        sides = [shrunk(side) for side in sides]
        for place in range(sides[0].shape[1]):
            for part, made in zip(parts, _columns(*(s[:, place] for s in sides)), strict=True):
                part.append(made)
    if not parts[0]:
        raise DataError("Expected features to judge how hard rows are, received none.")
    return np.hstack(parts[0]), np.hstack(parts[1])


def _columns(members: npt.NDArray[Any], others: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    if members.dtype.kind in "fiub":
        numbers = [side.astype(np.float64) for side in (members, others)]
        known = numbers[0][np.isfinite(numbers[0])]
        # A constant column has no deviation; divided by 1 it stays a constant.
        center, scale = (known.mean(), known.std() or 1.0) if len(known) else (0.0, 1.0)
        scaled = [np.clip((side - center) / scale, -_FAR, _FAR) for side in numbers]
        gaps = [~np.isfinite(side) for side in numbers]
        return tuple(  # type: ignore[return-value]
            # A missing value is the mean, and a column of its own says that it was missing.
            np.stack([np.where(gap, 0.0, side), gap.astype(np.float64)], axis=1)
            for side, gap in zip(scaled, gaps, strict=True)
        )
    texts = [np.array([str(value) for value in side]) for side in (members, others)]
    if is_text(texts[0]):
        return topics(*texts)
    values, rows = np.unique(texts[0], return_counts=True)
    kept = values[np.argsort(-rows, kind="stable")[:_MOST_CATEGORIES]]
    one_hot = [(side[:, None] == kept).astype(np.float64) for side in texts]
    return one_hot[0], one_hot[1]
