"""Counts of a file on the bins of a plan, in one pass, whole or by parts."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.statistics.multivariate import MOST_ROWS
from tfx_loop.monitoring.file_comparison.cells import CellReader, CellTally
from tfx_loop.monitoring.file_comparison.chunks import Chunks
from tfx_loop.monitoring.file_comparison.known_values import (
    KnownValues,
    UnseenRows,
    many_valued,
    texts_of,
)
from tfx_loop.monitoring.file_comparison.plain_columns import plain_column
from tfx_loop.monitoring.file_comparison.plan import SLICE, ComparisonPlan
from tfx_loop.monitoring.file_comparison.weights import least_weight, of_equal_weight, rates_of
from tfx_loop.monitoring.profile.calendar_columns import order_of
from tfx_loop.monitoring.profile.columns import is_number
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.reference import FrozenProfile, Moments
from tfx_loop.monitoring.profile.window_profile import (
    Cell,
    WindowProfile,
    empty,
    merge,
    regrouped,
)

# The column that numbers a file's rows, which have no other identity.
_ROW = "_loop_row"
# The column that orders them, where the file has times. How rows lie in a file is no order: a
# query's ORDER BY changes it, and nothing in the data.
_TIME = "_loop_time"
# The column that says how many rows of the world a row stands for, as the log says it.
_RATE = "_loop_rate"
# The column that says which rows belong together.
_GROUP = "_loop_group"
# Share of cells with a fraction from which a column of whole numbers is none any more.
_MOST_FRACTIONS = 0.5
# Two files have no envelope: each column but the row's number and its slice is a feature.
_LAYOUT = Layout(
    identity=(_ROW,),
    event_time=_TIME,
    model_version="",
    sampling_rate=_RATE,
    status="",
    ignored=(SLICE,),
    sample_rows=MOST_ROWS,
)


def _layout(plan: ComparisonPlan) -> Layout:
    if not plan.group_column:
        return replace(_LAYOUT, in_order=plan.depends_on_time)
    ignored = (*_LAYOUT.ignored, _GROUP)
    return replace(_LAYOUT, group=_GROUP, ignored=ignored, in_order=plan.depends_on_time)


@dataclass
class _RunningMoments:
    """Mean and variance of a column that comes in pieces, by weight."""

    count: float = 0.0
    mean: float = 0.0
    # Sum of the squared deviations from the mean.
    squares: float = 0.0

    def add(self, column: Any, weights: Any = None) -> None:
        """Takes more numbers; those that are not finite are left out.

        Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
        sample variances".
        """
        values = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        # The sum shows at once whether all are finite, and is needed anyway.
        total = float(values.sum())
        if not math.isfinite(total):
            finite = np.isfinite(values)
            values, weights = values[finite], None if weights is None else weights[finite]
            total = float(values.sum())
        count = len(values) if weights is None else float(weights.sum())
        if not count:
            return
        mean = total / count if weights is None else float(weights @ values) / count
        off, together = mean - self.mean, self.count + count
        deviations = values - mean
        weighted = deviations if weights is None else deviations * weights
        # Not np.dot: its threads cost more than they gain.
        self.squares += float(np.einsum("i,i->", weighted, deviations))
        self.squares += off * off * self.count * count / together
        self.mean += off * count / together
        self.count = together

    def moments(self) -> Moments:
        return Moments(self.mean, math.sqrt(self.squares / self.count))


@dataclass(frozen=True)
class CountedRows:
    """Some rows of a file, counted.

    Attributes:
        counts: On the plan's bins.
        moments: Mean and deviation by column of numbers.
        tallies: By column, cells that did not fit.
        unseen: By feature of many values, rows with one that the reference does not have.
        rows: Rows that were read; more than were counted where their weights differ.
    """

    counts: WindowProfile
    rows: int = 0
    moments: Mapping[str, Moments] = field(default_factory=dict)
    tallies: Mapping[str, CellTally] = field(default_factory=dict)
    unseen: Mapping[str, UnseenRows] = field(default_factory=dict)


def count_reference(
    table: TableFile, plan: ComparisonPlan
) -> tuple[CountedRows, FrozenProfile, dict[str, KnownValues]]:
    """Returns the reference's counts, the profile with them, and the values of long columns."""
    watched = many_valued(plan.reference)
    # The least of all rows: rates are of one scale in every batch.
    known = {name: KnownValues() for name in watched}
    least = least_weight(table, plan.weight_column) if plan.weight_column else 0.0
    counter = _PartCounter(plan, Profiler(plan.reference, _layout(plan)), least)
    for batch in _batches(table, plan):
        rows = counter.add(batch)
        for name, values in known.items():
            if (column := texts_of(rows, watched[name])) is not None:
                values.add(column)
    counted = counter.result(plan.reference)
    features = [
        replace(f, counts=counted.counts.total(f.name).counts) for f in plan.reference.features
    ]
    profile = replace(plan.reference, rows_total=counted.counts.rows, features=tuple(features))
    return counted, profile, known


def count_rows(
    table: TableFile,
    plan: ComparisonPlan,
    profile: FrozenProfile,
    known: Mapping[str, KnownValues],
    chunks: Chunks | None = None,
) -> tuple[CountedRows, list[CountedRows]]:
    """Returns the counts of a table, and those of each chunk of it.

    Args:
        table: The file.
        plan: What is read.
        profile: The reference's, with the counts of all its rows.
        known: Its values, by feature of many values.
        chunks: How the rows are cut; None for not at all.
    """
    # As the reference was counted: coarse cells of rows that belong together rest on its sample.
    profiler = Profiler(plan.reference, _layout(plan))
    least = least_weight(table, plan.weight_column) if plan.weight_column else 0.0
    whole = _PartCounter(plan, profiler, least, known)
    parts = [_PartCounter(plan, profiler, least, known) for _ in (chunks.names if chunks else ())]
    for batch in _batches(table, plan):
        whole.look_up(whole.add(batch))
        if chunks:
            for place, rows in chunks.split(batch, batch.column(batch.num_columns - 1)):
                parts[place].look_up(parts[place].add(rows))
    return whole.result(profile), [part.result(profile) for part in parts]


def _batches(table: TableFile, plan: ComparisonPlan) -> Iterator[Any]:
    """Yields what is read of a table, the number of each row as the last column."""
    there = set(table.schema.names)
    others = (plan.time_column, plan.weight_column, plan.group_column)
    names = [name for name in (*plan.columns, *others) if name in there]
    # One column at least, or nothing would say how many rows there are.
    names = list(dict.fromkeys(names)) or table.schema.names[:1]
    first = 0
    for batch in table.batches(names):
        numbers = pa.array(np.arange(first, first + batch.num_rows))
        first += batch.num_rows
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], names=[*names, _ROW])


class _PartCounter:
    """Counts the rows of one part of a file."""

    def __init__(
        self,
        plan: ComparisonPlan,
        profiler: Profiler,
        least_weight: float,
        known: Mapping[str, KnownValues] | None = None,
    ) -> None:
        self._plan, self._profiler, self._known = plan, profiler, known or {}
        self._least_weight, self._rows = least_weight, 0
        self._reader = CellReader(plan.cells, plan.missing)
        self._profile = empty(profiler.reference)
        self._moments: dict[str, _RunningMoments] = {}
        self._unseen = {name: UnseenRows() for name in self._known}
        self._watched = many_valued(plan.reference) if self._known else {}

    def add(self, batch: Any) -> Any:
        """Counts a batch; returns its rows as they were read."""
        rates = None
        if self._plan.weight_column:
            name = self._plan.weight_column
            place = batch.schema.get_field_index(name)
            rates = rates_of(batch.column(place), name, self._least_weight)
            batch, rates = batch.filter(pa.array(rates > 0)), rates[rates > 0]
        self._rows += batch.num_rows
        rows = self._read(batch, rates)
        counted = self._profiler.profile(rows, self._profile.sample.limit)
        self._profile = merge(self._profile, counted)
        return rows

    def look_up(self, rows: Any) -> None:
        """Counts the rows whose value the reference does not have."""
        for name, unseen in self._unseen.items():
            known = self._known[name]
            if known.overflown:
                continue
            if (column := texts_of(rows, self._watched[name])) is not None:
                unseen.add(column, known)

    def result(self, reference: FrozenProfile) -> CountedRows:
        """Returns what was counted."""
        tallies = self._reader.tallies
        counts = of_equal_weight(self._profile) if self._least_weight else self._profile
        counts = replace(counts, reference=reference.digest())
        counts = _with_unfit(counts, reference, tallies, counts.rows / max(self._rows, 1))
        # Slices under the names that the plan gave them, without the column that carries them.
        prefix = f"{SLICE}="
        counts = regrouped(counts, lambda key: replace(key, slice=key.slice.removeprefix(prefix)))
        moments = {name: found.moments() for name, found in self._moments.items() if found.count}
        return CountedRows(counts, self._rows, moments, tallies, self._unseen)

    def _read(self, batch: Any, rates: Any) -> Any:
        """Returns the planned columns of a batch, each row with its number, time and slice."""
        plan, columns = self._plan, {}
        self._reader.row_numbers = batch.column(batch.num_columns - 1).to_numpy()
        weights = None if rates is None else 1 / rates
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in plan.columns:
                columns[name] = self._reader.read(name, plain_column(column))
                if is_number(columns[name].type):
                    moments = self._moments.setdefault(name, _RunningMoments())
                    moments.add(columns[name], weights)
        if rates is not None:
            columns[_RATE] = pa.array(rates)
        columns[_ROW] = batch.column(batch.num_columns - 1)
        if plan.time_column in batch.schema.names:
            place = batch.schema.get_field_index(plan.time_column)
            columns[_TIME] = order_of(plain_column(batch.column(place)))
        if plan.group_column in batch.schema.names:
            place = batch.schema.get_field_index(plan.group_column)
            columns[_GROUP] = plain_column(batch.column(place))
        if plan.slices and plan.slices.profile.column in columns:
            columns[SLICE] = plan.slices.of(pa.RecordBatch.from_pydict(columns))
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _with_unfit(
    counts: WindowProfile,
    reference: FrozenProfile,
    tallies: Mapping[str, CellTally],
    weight: float,
) -> WindowProfile:
    """Adds the cells that the reader found unfit: Profiler saw them as missing."""
    columns = {profile.name: profile.column for profile in reference.features}

    def added(cell: Cell) -> Cell:
        features = {
            name: replace(f, counts=replace(f.counts, unfit=f.counts.unfit + unfit))
            for name, f in cell.features.items()
            if (tally := tallies.get(columns.get(name, "")))
            and (unfit := round(weight * _unfit(tally, cell.rows / (weight or 1))))
        }
        return Cell(cell.rows, {**cell.features, **features})

    cells = {key: cell if key.slice else added(cell) for key, cell in counts.cells.items()}
    return replace(counts, cells=cells)


def _unfit(tally: CellTally, rows: float) -> int:
    """Cells that do not fit: those with fractions, too, once they are most of a column."""
    return tally.unfit + (tally.fractions if tally.fractions > _MOST_FRACTIONS * rows else 0)
