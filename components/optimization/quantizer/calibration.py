"""Draw of the rows that fix the ranges of activations.

Every class should be among them: a range that was never seen is clipped. They are drawn with a
seed, each class in proportion, and kept apart from the rows that judge.
"""

from dataclasses import replace

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.rows.splits import Rows, stratified_sample

_POSITION = "position"


def draw(rows: Rows, count: int, seed: int) -> tuple[Rows, Rows]:
    """Returns `count` rows to calibrate with (at most half of them), and the others.

    Args:
        rows: To draw from; stratified by label where there is one.
        count: Rows wanted; some hundreds fix the ranges.
        seed: The same seed draws the same rows.

    Raises:
        DataError: There are fewer than two rows, or none are wanted.
    """
    if len(rows) < 2 or count < 1:
        raise DataError(
            f"Expected rows to calibrate with and at least 1 to draw, received {len(rows)} rows "
            f"and calibration_rows {count}. Give some hundreds of rows like those to be served."
        )
    # Positions in place of the inputs: the draw then copies no images.
    numbered = replace(rows, inputs={_POSITION: np.arange(len(rows))})
    # Half at most: what is left is what variants are judged on, and no row serves both.
    drawn = stratified_sample(numbered, min(count, len(rows) // 2), seed).inputs[_POSITION]
    others = np.setdiff1d(np.arange(len(rows)), drawn, assume_unique=True)
    return rows.take(drawn), rows.take(others)
