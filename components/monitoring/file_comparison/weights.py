"""Rows of unequal weight, as surveys and samples have them, counted as rows of equal weight.

A row that stands for ten of the world counts ten times in every share, and the tests see as many
rows as would tell as much were they all alike (Kish 1965, "Survey sampling", section 11.7):
(Σw)² / Σw².
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.core.errors import ConfigError, DataError, did_you_mean
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.file_comparison.plain_columns import plain_column
from tfx_loop.monitoring.profile.counts import IntArray
from tfx_loop.monitoring.profile.window_profile import (
    Cell,
    CellKey,
    FeatureCounts,
    WindowProfile,
    merge_features,
)

FloatArray = npt.NDArray[np.float64]
# Rows of about one weight are counted together: steps of 5 %, which average out over the rows.
_STEP = 0.05


def least_weight(table: TableFile, column: str) -> float:
    """Returns the smallest weight above 0 in a column of a table.

    Raises:
        ConfigError: The table has no such column.
        DataError: It holds something else than weights.
    """
    if column not in table.schema.names:
        raise ConfigError(
            f"Expected the column of weights {column!r} in {table.path}, found none."
            f"{did_you_mean(column, table.schema.names) or ' Both files need it.'}"
        )
    least = np.inf
    for batch in table.batches([column]):
        weights = _weights(batch.column(0), column)
        if (weights < 0).any():
            raise DataError(
                f"Expected weights of at least 0 in {column!r} of {table.path}, received "
                f"{weights[weights < 0][0]:g}. Correct them, or name another column."
            )
        least = min(least, float(weights[weights > 0].min(initial=np.inf)))
    if not np.isfinite(least):
        raise DataError(
            f"Expected weights above 0 in {column!r} of {table.path}, received none. Name another "
            "column with --weight."
        )
    return least


def rates_of(column: Any, name: str, least: float) -> FloatArray:
    """Returns how rare each row is beside the one of the least weight; NaN for no weight."""
    weights = _weights(column, name)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.round(np.log(weights / least) / _STEP)
        return np.where(weights > 0, np.exp(-_STEP * steps), np.nan)


def _weights(column: Any, name: str) -> FloatArray:
    column = plain_column(column)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ConfigError(
            f"Expected numbers in the column of weights {name!r}, received {column.type}. Name "
            "another column with --weight."
        )
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(values), values, 0.0)


def of_equal_weight(profile: WindowProfile) -> WindowProfile:
    """Returns the counts of the rows of equal weight that tell as much."""
    groups: dict[CellKey, list[tuple[float, Cell]]] = defaultdict(list)
    for key, cell in profile.cells.items():
        groups[replace(key, sampling_rate=1.0)].append((1 / key.sampling_rate, cell))
    return replace(profile, cells={key: _equal(parts) for key, parts in groups.items()})


def _equal(parts: Sequence[tuple[float, Cell]]) -> Cell:
    total = sum(weight * cell.rows for weight, cell in parts)
    squares = sum(weight**2 * cell.rows for weight, cell in parts)
    # Kish's effective number of rows, with cells of one weight in place of single rows.
    rows = round(total**2 / squares)
    # What a row of each weight counts among so many rows.
    factors = [weight * rows / total for weight, _ in parts]
    features = {
        name: _scaled([cell.features[name] for _, cell in parts], factors, rows)
        for name in parts[0][1].features
    }
    return Cell(rows, features)


def _scaled(parts: Sequence[FeatureCounts], factors: Sequence[float], rows: int) -> FeatureCounts:
    def summed(values: Sequence[int]) -> int:
        return round(sum(f * value for f, value in zip(factors, values, strict=True)))

    merged = reduce(merge_features, parts)
    vector = sum(f * part.counts.vector() for f, part in zip(factors, parts, strict=True))
    whole = _whole(np.asarray(vector, dtype=np.float64), rows)
    kinds = ("infinite", "outside", "unfit", "absent")
    counts = replace(
        merged.counts,
        bins=tuple(whole[:-1].tolist()),
        missing=int(whole[-1]),
        rows=rows,
        **{kind: summed([getattr(part.counts, kind) for part in parts]) for kind in kinds},
    )
    first, second = ([getattr(part, name) for part in parts] for name in ("first", "second"))
    return replace(merged, counts=counts, first=summed(first), second=summed(second))


def _whole(values: FloatArray, total: int) -> IntArray:
    """Whole numbers that add up to the total: the largest remainders are rounded up."""
    whole = np.floor(values).astype(np.int64)
    lacking = total - int(whole.sum())
    if lacking > 0:
        whole[np.argsort(whole - values, kind="stable")[:lacking]] += 1
    return whole
