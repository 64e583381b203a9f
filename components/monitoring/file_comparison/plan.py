"""Plan of a comparison of files, made on the reference alone: columns, bins and slices.

One pass over the reference draws a seeded sample and watches which numbers only ever rise; bins
are frozen on the sample.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.file_comparison.cells import CellReader, ExpectedCells, expected_cells
from tfx_loop.monitoring.file_comparison.roles import (
    TIME,
    UNSUPPORTED,
    ColumnView,
    UntestedColumn,
    is_sequence,
    numeric_view,
    plain_column,
    views_of,
)
from tfx_loop.monitoring.profile.bins import Bins, BinSettings, CategoryBins, freeze
from tfx_loop.monitoring.profile.build import profile_feature
from tfx_loop.monitoring.profile.columns import FeatureType, flat, numbers, strings
from tfx_loop.monitoring.profile.derived_columns import TOKEN, TOKEN_NAMES, aspect_of
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile, SampleInfo

# Bins that are frozen on so many rows hold their mass to a tenth of a bin; counts are of all rows.
SAMPLE_ROWS = 50_000
# The column that says in which slice a row is.
SLICE = "_loop_slice"
# More slices than a person reads; a number is cut into quarters.
_MOST_SLICES = 10
# More categories than a profile of training rows has: nobody chose a file's columns for a model.
_BINS = BinSettings(numeric_bins=32, max_categories=255)
_INTEGER_BINS = BinSettings(numeric_bins=32, max_categories=63)


@dataclass(frozen=True)
class RowSlices:
    """Into which slices rows fall, by one column's bins.

    Attributes:
        profile: The column's feature, with a few bins.
        names: Of each bin, as `column=value`; None for bins that are no slice.
    """

    profile: FeatureProfile
    names: tuple[str | None, ...]

    def of(self, batch: Any) -> Any:
        """Returns the slice of each row of a record batch, as text; null for none."""
        column = plain_column(batch.column(batch.schema.get_field_index(self.profile.column)))
        values, bins = aspect_of(column, self.profile.aspect), self.profile.bins
        if isinstance(bins, CategoryBins):
            known = {str(value): place for place, value in enumerate(bins.categories)}
            texts = _as_text(values, self.profile.type).to_pylist()
            return pa.array([self.names[known.get(text, -1)] for text in texts], pa.string())
        found = numbers(values, self.profile.type)
        places = np.searchsorted(np.asarray(bins.edges), found)
        return pa.array(self.names, pa.string()).take(pa.array(places, mask=np.isnan(found)))


def _as_text(values: Any, kind: FeatureType) -> Any:
    if kind is FeatureType.CATEGORICAL:
        return strings(values)
    whole = numbers(values, kind)
    return pa.array([None if np.isnan(number) else str(int(number)) for number in whole])


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared, and how cells are read for it.

    Attributes:
        reference: The features with their frozen bins, in the order of the columns; the counts are
            those of the sample.
        untested: Columns that are not tested.
        slices: How rows are sliced; None for no slices.
        cells: What the cells of each column are.
        missing: Texts that stand for missing values, beside those that are known.
    """

    reference: FrozenProfile
    untested: tuple[UntestedColumn, ...]
    slices: RowSlices | None
    cells: Mapping[str, ExpectedCells] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def time_column(self) -> str:
        """The first column of times, which orders the rows; empty for none."""
        return next((entry.column for entry in self.untested if entry.role == TIME), "")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns to read, each once."""
        sliced = [self.slices.profile.column] if self.slices else []
        return tuple(dict.fromkeys([*(f.column for f in self.reference.features), *sliced]))


def make_plan(
    table: TableFile,
    ignore: Sequence[str],
    by: str,
    seed: int,
    missing: tuple[str, ...] = (),
    decimal: str = "",
    numeric: Sequence[str] = (),
) -> ComparisonPlan:
    """Reads the reference once and decides how it is compared.

    Args:
        table: The reference.
        ignore: Columns that are not compared.
        by: Column that slices the rows; empty for none.
        seed: Of the sample.
        missing: Texts that stand for missing values, beside those that are known.
        decimal: Decimal mark of numbers that are written as text; told from them unless given.
        numeric: Columns of numbers that are tested whatever they read as.

    Raises:
        DataError: The reference has no rows.
        ConfigError: There is no column `by`, or it cannot slice; or `numeric` names no numbers.
    """
    if not table.rows:
        raise DataError(
            f"Expected rows in {table.path}, received none. Give a reference with rows."
        )
    names = [name for name in table.schema.names if name not in set(ignore)]
    if by and by not in table.schema.names:
        raise ConfigError(
            f"Expected a column of the reference to slice by, received {by!r}. "
            f"It has {table.schema.names}."
        )
    if unknown := sorted(set(numeric) - set(names)):
        raise ConfigError(
            f"Expected columns of the reference that are not ignored as --numeric, "
            f"received {unknown}."
        )
    read = sorted({*names, *([by] if by else [])}, key=table.schema.names.index)
    sample, rising = _sampled(table, read, seed)
    found: list[ColumnView] | UntestedColumn
    features: list[FeatureProfile] = []
    untested: list[UntestedColumn] = []
    plain = {name: plain_column(sample.column(name)) for name in read}
    cells = {
        name: expected_cells(column, decimal, missing)
        for name, column in plain.items()
        if not pa.types.is_null(column.type)
    }
    reader = CellReader(cells, missing)
    columns = {name: reader.read(name, column) for name, column in plain.items()}
    for name in names:
        column = columns[name]
        try:
            if name in numeric:
                found = numeric_view(name, column.type)
            else:
                found = views_of(name, column, name in rising)
            if isinstance(found, UntestedColumn):
                untested.append(found)
            else:
                features += [_profiled(view, column) for view in found]
        except (DataError, pa.ArrowException) as error:
            untested.append(UntestedColumn(name, UNSUPPORTED, str(error).split(". ")[0]))
    slices = _slices(by, columns[by]) if by else None
    reference = FrozenProfile(
        rows_total=sample.num_rows,
        features=tuple(features),
        sample=SampleInfo(sample.num_rows, sample.num_rows / table.rows, seed),
        slices={SLICE: dict.fromkeys(filter(None, slices.names), 0)} if slices else {},
    )
    return ComparisonPlan(reference, tuple(untested), slices, cells, missing)


def _profiled(view: ColumnView, column: Any) -> FeatureProfile:
    seen = aspect_of(column, view.aspect)
    settings = _INTEGER_BINS if view.type is FeatureType.INTEGER else _BINS
    bins = CategoryBins(TOKEN_NAMES) if view.aspect == TOKEN else None
    profile = profile_feature(view.feature, seen, settings, bins)
    return replace(profile, aspect=view.aspect, kind=view.kind)


def _sampled(table: TableFile, names: Sequence[str], seed: int) -> tuple[Any, set[str]]:
    random = np.random.default_rng(seed)
    keep = min(1.0, SAMPLE_ROWS / table.rows)
    rising = {name for name in names if pa.types.is_integer(table.schema.field(name).type)}
    last: dict[str, int] = {}
    batches = []
    for batch in table.batches(names):
        chosen = batch
        if keep < 1:
            chosen = batch.take(pa.array(np.flatnonzero(random.random(batch.num_rows) < keep)))
        batches.append(chosen)
        for name in list(rising):
            if not _rises(batch.column(names.index(name)), last, name):
                rising.discard(name)
    schema = pa.schema([table.schema.field(name) for name in names])
    return pa.Table.from_batches(batches, schema=schema), rising


def _rises(column: Any, last: dict[str, int], name: str) -> bool:
    if column.null_count:
        return False
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    if not len(values):
        return True
    before, last[name] = last.get(name, values[0]), values[-1]
    return bool(values[0] >= before and np.all(values[1:] >= values[:-1]))


def _slices(by: str, column: Any) -> RowSlices:
    found = [] if is_sequence(column.type) else views_of(by, column, rises=False)
    if isinstance(found, UntestedColumn) or not found or found[0].kind is FeatureType.TEXT:
        raise ConfigError(
            f"Expected a column of a few values or a number to slice by, received {by!r}: "
            f"{found.note if isinstance(found, UntestedColumn) else 'it has no such values'}."
        )
    view, values = found[0], aspect_of(column, found[0].aspect)
    bins = freeze(values, view.type, BinSettings(numeric_bins=32, max_categories=_MOST_SLICES))
    names: tuple[str | None, ...]
    if isinstance(bins, CategoryBins):
        names = (*(f"{by}={value}" for value in bins.categories), None)
    elif len(pc.unique(flat(values))) < 4:
        raise ConfigError(f"Expected a column to slice by with several values, received {by!r}.")
    else:
        quarters = np.unique(np.quantile(np.asarray(bins.edges), [0.25, 0.5, 0.75]))
        edges = tuple(float(edge) for edge in quarters)
        limits = [-np.inf, *edges, np.inf]
        names = tuple(f"{low:.4g}<{by}<={high:.4g}" for low, high in itertools.pairwise(limits))
        bins = replace(bins, edges=edges)
    return RowSlices(_slicing(view, values, bins), names)


def _slicing(view: ColumnView, values: Any, bins: Bins) -> FeatureProfile:
    profile = profile_feature(view.feature, values, _BINS, bins)
    return replace(profile, aspect=view.aspect, kind=view.kind)
