"""What do the values of a window tell that counts on bins do not: runs, and the values themselves?

Read batch by batch, in the order of the rows; memory holds a sample of a column and one run.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.profile.bins import Bins
from components.profile.columns import FeatureType, numbers, strings
from components.profile.counts import count

FloatArray = npt.NDArray[np.float64]
SAMPLE_ROWS = 20_000


def _no_values() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True)
class Traits:
    """What a column of a window is like.

    Attributes:
        longest_run: Most rows on end with one and the same value.
        run_bin: Bin of that value; None where there is no run.
        values: A sample of the finite numbers, of shape (rows,); none for text.
    """

    longest_run: int = 0
    run_bin: int | None = None
    values: FloatArray = field(default_factory=_no_values)


class TraitsReader:
    """Collects the traits of one column over batches."""

    def __init__(self, kind: FeatureType, bins: Bins, keep: float = 1.0, seed: int = 0) -> None:
        """Starts with no rows.

        Args:
            kind: Type of the feature.
            bins: Its frozen bins.
            keep: Share of the values to keep, in (0, 1].
            seed: Chooses them.
        """
        self._kind, self._bins, self._keep = kind, bins, keep
        self._random = np.random.default_rng(seed)
        self._values: list[FloatArray] = []
        self._run, self._run_value = 0, None
        self._longest, self._longest_value = 0, None

    def add(self, column: Any) -> None:
        """Reads the next rows, a flat column that fits the type."""
        if self._kind is FeatureType.CATEGORICAL:
            column = strings(column)
            encoded = column.dictionary_encode()
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            self._runs(codes, column)
            return
        values = numbers(column, self._kind)
        self._runs(values, column)
        finite = values[np.isfinite(values)]
        if self._keep < 1:
            finite = finite[self._random.random(len(finite)) < self._keep]
        self._values.append(finite)

    def _runs(self, values: npt.NDArray[Any], column: Any) -> None:
        if not len(values):
            return
        starts = np.concatenate([[0], 1 + np.flatnonzero(values[1:] != values[:-1])])
        lengths = np.diff(np.append(starts, len(values)))
        first = column[0].as_py()
        joined = first is not None and first == self._run_value
        if joined:
            self._note(self._run + int(lengths[0]), first)
        place = int(np.argmax(lengths))
        if (value := column[int(starts[place])].as_py()) is not None:
            self._note(int(lengths[place]), value)
        last = column[len(values) - 1].as_py()
        carried = self._run if joined and len(starts) == 1 else 0
        self._run, self._run_value = carried + int(lengths[-1]), last

    def _note(self, length: int, value: Any) -> None:
        if length > self._longest:
            self._longest, self._longest_value = length, value

    def traits(self) -> Traits:
        """Returns what was seen so far."""
        place = None
        if self._longest > 1:
            single = count(pa.array([self._longest_value]), self._kind, self._bins)
            place = int(np.argmax(single.bins)) if single.present else None
        values = np.concatenate(self._values) if self._values else _no_values()
        return Traits(self._longest, place, values[:SAMPLE_ROWS])


def read_traits(column: Any, kind: FeatureType, bins: Bins) -> Traits:
    """Returns the traits of a whole flat column."""
    reader = TraitsReader(kind, bins)
    reader.add(column)
    return reader.traits()
