"""Samples of labelled rows, thinned by one seeded number a row. Pure.

The number hangs on what the row holds and on the seed, on nothing else. So the champion's sample,
the rows that a retraining would keep and the rows held out of both keep or lose a row together, and
in whatever order rows are read, the same ones are kept: a difference between two fits is then one
of their data and not of their draws.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.time_blocks import Floats
from tfx_loop.monitoring.retrain_decider.surrogate import is_categorical

# One row in so many is held out of both samples, to see which loss to expect of
# the champion; one fit serves both questions so.
HELD_OUT = 10
# Independent numbers of a row.
_THINNING, _HOLDING_OUT = 1, 2
# Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, kw_only=True)
class LabelledSample:
    """Labelled rows, and the fraction of all such rows that they are.

    Attributes:
        rows: One row an example, features and label under their plain names.
        fraction: Rows here over rows there were, in (0, 1].
    """

    rows: pd.DataFrame
    fraction: float = 1.0

    def __post_init__(self) -> None:
        """Checks the fraction."""
        if not 0.0 < self.fraction <= 1.0:
            raise ConfigError(f"fraction must be in (0, 1], got {self.fraction}.")


@dataclass(frozen=True)
class NumberedRows:
    """Rows in an order of their own, each with a number by which it is held out.

    Attributes:
        rows: The rows, in order of their first number.
        first: Their first numbers, rising, in [0, 1).
        second: Their second numbers, in [0, 1).
    """

    rows: pd.DataFrame
    first: Floats
    second: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: list[str], seed: int) -> "NumberedRows":
        """Numbers rows by what the columns hold; copies of one row get numbers of their own."""
        content = pd.util.hash_pandas_object(
            pd.DataFrame({name: _plain(rows[name]) for name in columns}), index=False
        ).to_numpy()
        # Copies of one row count as rows: with one number they would all be kept or all be lost.
        copy = pd.Series(content).groupby(content).cumcount().to_numpy().astype(np.uint64)
        first, second = (_numbers(content, copy, seed, kind) for kind in (_THINNING, _HOLDING_OUT))
        order = np.argsort(first, kind="stable")
        return cls(rows.iloc[order], first[order], second[order])

    def thinned(self, share: float) -> "NumberedRows":
        """Returns a uniform subsample of about this share of the rows."""
        # A few rows always: a fit on none is none.
        count = max(int(np.searchsorted(self.first, share)), min(HELD_OUT, len(self.rows)))
        return NumberedRows(self.rows.iloc[:count], self.first[:count], self.second[:count])

    def split(self) -> tuple["NumberedRows", pd.DataFrame]:
        """Splits the rows into those to learn from and about one in `HELD_OUT` to hold out."""
        if len(self.rows) < 2:
            return self, self.rows.iloc[:0]
        # Two at least, in a sample so small that chance might hold out none.
        limit = max(1.0 / HELD_OUT, float(np.partition(self.second, 1)[1]))
        held = self.second <= limit
        learnt = NumberedRows(self.rows[~held], self.first[~held], self.second[~held])
        return learnt, self.rows[held]


def joined_rows(first: NumberedRows, second: NumberedRows) -> pd.DataFrame:
    """Returns the rows of both in order of their numbers."""
    order = np.argsort(np.concatenate([first.first, second.first]), kind="stable")
    return pd.concat([first.rows, second.rows], sort=False).iloc[order]


def share_of_rows(keys: pd.DataFrame, share: float, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Says of each row whether a uniform draw of this share takes it, by what its columns hold."""
    content = pd.util.hash_pandas_object(keys, index=False).to_numpy()
    return np.asarray(_numbers(content, np.zeros_like(content), seed, 0) < share)


def _plain(values: pd.Series) -> npt.NDArray[Any]:
    """Returns values in one type for numbers and one for all else: the same wherever they stand."""
    if is_categorical(values):
        return np.asarray(values.astype(str), dtype=object)
    # + 0.0 makes one number of both zeros.
    return np.asarray(pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan) + 0.0)


def _numbers(
    content: npt.NDArray[np.uint64], copy: npt.NDArray[np.uint64], seed: int, kind: int
) -> Floats:
    # Four kinds a seed: numbers of neighbouring seeds never meet.
    salt = np.uint64(4 * seed + kind + 1)
    # Sums and products wrap around at 64 bits: that is the method.
    with np.errstate(over="ignore"):
        mixed = _mixed(_mixed(content + _GOLDEN * (copy + np.uint64(1))) + _GOLDEN * salt)
    # The upper 53 bits: a double holds them all.
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return np.asarray(values ^ (values >> np.uint64(31)))
