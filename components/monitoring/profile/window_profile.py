"""Exact counts of a window of rows, which merge in any order.

Everything in it is a sum of whole numbers, a maximum, or the smallest of some hashes: merging is
associative and commutative to the bit, with `empty` as identity. So the profiles of hours make
those of days and weeks, and of shards that of the whole, without touching rows again.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile import distinct_values
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.counts import merge as merge_counts
from tfx_loop.monitoring.profile.reference import FrozenProfile, Moments
from tfx_loop.monitoring.profile.row_blocks import RowBlocks, merge_blocks
from tfx_loop.monitoring.profile.row_contents import RowContents, merge_contents
from tfx_loop.monitoring.profile.row_sample import RowSample, merge_samples
from tfx_loop.monitoring.profile.value_sample import FreshValues, merge_fresh

# Deviations from the reference's mean are summed in steps of 1/1024 of its standard deviation,
# and at most 64 of them: whole numbers, which add up to the same in any order.
STEPS = 1024
FARTHEST = 64
# Enough to name what new values look like.
UNSEEN_KEPT = 16


@dataclass(frozen=True, order=True)
class CellKey:
    """What is counted together.

    Attributes:
        model_version: The version that answered; 0 where nobody said.
        window: `2013-04-01T05` or `2013-04-01` by the layout; "" for all rows.
        slice: `origin=JFK`; "" for all rows.
        sampling_rate: Share of the rows that were logged; counts stay whole, and are weighted when
            they are read.
    """

    model_version: int = 0
    window: str = ""
    slice: str = ""
    sampling_rate: float = 1.0


@dataclass(frozen=True)
class FeatureCounts:
    """One feature's rows in a cell.

    Attributes:
        counts: Exact counts on the reference's bins.
        first: Sum of the deviations from the reference's mean, in STEPS to its deviation.
        second: Sum of their squares.
        registers: HyperLogLog registers of the values without a bin of their own; b"" for none.
        unseen: Pairs of row key and value, of the values without a bin of their own: those of the
            rows with the smallest keys, so that a frequent value is frequent among them.
        fresh: Rows with a value that training has and has not, where it has more than bins.
    """

    counts: ColumnCounts
    first: int = 0
    second: int = 0
    registers: bytes = b""
    unseen: tuple[tuple[int, str], ...] = ()
    fresh: FreshValues = field(default_factory=FreshValues)

    def moments(self, reference: Moments | None) -> Moments | None:
        """Returns mean and deviation of the finite numbers, farther ones taken as FARTHEST."""
        measured = self.counts.present - self.counts.infinite
        if reference is None or not measured:
            return None
        # Var = E[d²] - E[d]², in steps; rounding may leave a trace below 0.
        # A constant of training has no deviation to measure in: its own unit then.
        unit = (reference.std or 1.0) / STEPS
        mean = self.first / measured
        variance = max(self.second / measured - mean * mean, 0.0)
        return Moments(reference.mean + unit * mean, unit * math.sqrt(variance))

    def distinct(self, named: int | None = None) -> float:
        """Returns how many distinct values there were, about 5 % exact beyond the bins.

        Args:
            named: How many bins stand for one value each; None for bins of numbers.
        """
        held = np.frombuffer(self.registers, dtype=np.uint8)
        beyond = distinct_values.estimate(held) if len(held) else 0.0
        return beyond + sum(1 for rows in self.counts.bins[: named or 0] if rows)


@dataclass(frozen=True)
class Cell:
    """The rows of one key: how many, and their features' counts."""

    rows: int
    features: Mapping[str, FeatureCounts]

    def __post_init__(self) -> None:
        for name, feature in self.features.items():
            if feature.counts.rows != self.rows:
                raise DataError(
                    f"Expected {self.rows} rows counted for feature {name!r}, received "
                    f"{feature.counts.rows}: rows were lost or counted twice. Count again."
                )


@dataclass(frozen=True)
class WeightedCounts:
    """Counts where each row stands for the rows that were not logged.

    Attributes:
        vector: WeightedCounts rows in each bin, `missing` last, of shape (bins + 1,).
        effective_rows: Rows of equal weight that would tell as much (Kish 1965): (Σw)²/Σw².
    """

    vector: npt.NDArray[np.float64]
    effective_rows: float


@dataclass(frozen=True)
class WindowProfile:
    """Counts of a window of rows on a reference's bins.

    Attributes:
        reference: Digest of the reference.
        cells: Counts by key.
        failed_rows: Rows that were answered with an error.
        unknown: Rows with a value, by column that the reference lacks.
        sample: Rows for what counts do not tell.
        contents: Which answered rows repeat another.
        groups: Answered rows by blocks of groups, where a column of groups is named.
        times: Answered rows by stretches of time, where the order of time is.
    """

    reference: str
    cells: Mapping[CellKey, Cell] = field(default_factory=dict)
    failed_rows: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    sample: RowSample = field(default_factory=RowSample)
    contents: RowContents = field(default_factory=RowContents)
    groups: RowBlocks = field(default_factory=RowBlocks)
    times: RowBlocks = field(default_factory=RowBlocks)

    @property
    def rows(self) -> int:
        """Answered rows."""
        # Cells of slices hold the same rows again.
        return sum(cell.rows for key, cell in self.cells.items() if not key.slice)

    @property
    def slices(self) -> tuple[str, ...]:
        """The slices that have rows."""
        return tuple(sorted({key.slice for key in self.cells if key.slice}))

    def has(self, feature: str, slice_: str = "") -> bool:
        """Says whether a feature was counted in a slice."""
        return any(k.slice == slice_ and feature in c.features for k, c in self.cells.items())

    def total(self, feature: str, slice_: str = "") -> FeatureCounts:
        """Returns one feature's counts over versions, windows and rates, each row once.

        Raises:
            DataError: Nothing was counted for it.
        """
        parts = [cell.features[feature] for _, cell in self._of(feature, slice_)]
        result = parts[0]
        for part in parts[1:]:
            result = merge_features(result, part)
        return result

    def weighted(self, feature: str, slice_: str = "") -> WeightedCounts:
        """Returns one feature's counts where a row that was logged at rate r counts 1/r."""
        parts = sorted(self._of(feature, slice_), key=lambda part: part[0])
        by_rate: dict[float, npt.NDArray[np.int64]] = {}
        for key, cell in parts:
            vector = cell.features[feature].counts.vector()
            by_rate[key.sampling_rate] = by_rate.get(key.sampling_rate, 0) + vector
        vector = np.sum([by_rate[rate] / rate for rate in sorted(by_rate)], axis=0)
        # Σw² over rows: those of one rate have the same weight 1/rate.
        # In order of rates: sums of doubles depend on it, and shards come in any.
        squares = sum(int(by_rate[rate].sum()) / rate**2 for rate in sorted(by_rate))
        total = float(vector.sum())
        # Kish 1965, "Survey sampling": as many rows of one weight give a share the same variance.
        return WeightedCounts(vector, total * total / squares if squares else 0.0)

    def _of(self, feature: str, slice_: str) -> list[tuple[CellKey, Cell]]:
        found = [
            (key, cell)
            for key, cell in self.cells.items()
            if key.slice == slice_ and feature in cell.features
        ]
        if not found:
            raise DataError(
                f"Expected counts of feature {feature!r} in slice {slice_!r}, received none. "
                f"Slices with rows: {list(self.slices)}."
            )
        return found


def empty(reference: FrozenProfile | str) -> WindowProfile:
    """Returns the profile of no rows: the identity of `merge`."""
    return WindowProfile(reference if isinstance(reference, str) else reference.digest())


def merge(left: WindowProfile, right: WindowProfile) -> WindowProfile:
    """Adds two profiles of different rows; associative and commutative, exactly.

    Raises:
        DataError: They were counted on different references.
    """
    if left.reference != right.reference:
        raise DataError(
            f"Expected profiles on one reference, received {left.reference[:19]} and "
            f"{right.reference[:19]}. Profile the rows again on one."
        )
    return WindowProfile(
        reference=left.reference,
        cells=_merged(left.cells, right.cells, merge_cells),
        failed_rows=left.failed_rows + right.failed_rows,
        unknown=_merged(left.unknown, right.unknown, int.__add__),
        sample=merge_samples(left.sample, right.sample),
        contents=merge_contents(left.contents, right.contents),
        groups=merge_blocks(left.groups, right.groups),
        times=merge_blocks(left.times, right.times),
    )


def regrouped(profile: WindowProfile, key_of: Callable[[CellKey], CellKey]) -> WindowProfile:
    """Returns the same counts under coarser keys: hours as days, all versions as one."""
    cells: dict[CellKey, Cell] = {}
    for key, cell in profile.cells.items():
        cells = _merged(cells, {key_of(key): cell}, merge_cells)
    return replace(profile, cells=cells)


def daily(profile: WindowProfile) -> WindowProfile:
    """Returns the profile of hours as one of days."""
    return regrouped(
        profile,
        lambda key: CellKey(key.model_version, key.window[:10], key.slice, key.sampling_rate),
    )


def merge_cells(left: Cell, right: Cell) -> Cell:
    """Adds the counts of two cells."""
    return Cell(left.rows + right.rows, _merged(left.features, right.features, merge_features))


def merge_features(left: FeatureCounts, right: FeatureCounts) -> FeatureCounts:
    """Adds the counts of one feature in two cells."""
    return FeatureCounts(
        counts=merge_counts(left.counts, right.counts),
        first=left.first + right.first,
        second=left.second + right.second,
        registers=_highest(left.registers, right.registers),
        unseen=smallest([*left.unseen, *right.unseen]) if left.unseen or right.unseen else (),
        fresh=merge_fresh(left.fresh, right.fresh),
    )


def smallest(pairs: list[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    """Returns the pairs that are kept of unseen values, each once."""
    return tuple(sorted(set(pairs))[:UNSEEN_KEPT])


def _highest(left: bytes, right: bytes) -> bytes:
    if not left or not right:
        return left or right
    return np.maximum(np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)).tobytes()


def _merged(left: Mapping[Any, Any], right: Mapping[Any, Any], add: Any) -> dict[Any, Any]:
    result = dict(left)
    for key, value in right.items():
        result[key] = add(result[key], value) if key in result else value
    return result
