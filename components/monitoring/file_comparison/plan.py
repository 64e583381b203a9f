"""Plan of a comparison of files, made on the reference alone: columns, bins and slices.

One pass over the reference draws a seeded sample and watches which numbers only ever rise; bins
are frozen on the sample.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError, DataError, did_you_mean
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.dependence_warning import group_warning, order_warning
from tfx_loop.monitoring.file_comparison.cells import CellReader
from tfx_loop.monitoring.file_comparison.expected_cells import (
    ExpectedCells,
    expected_cells,
    numbers_in,
)
from tfx_loop.monitoring.file_comparison.number_cells import origin_of
from tfx_loop.monitoring.file_comparison.options import ComparisonOptions
from tfx_loop.monitoring.file_comparison.plain_columns import is_sequence, plain_column
from tfx_loop.monitoring.file_comparison.roles import (
    IDENTIFIER,
    RENEWED,
    TIME,
    UNSUPPORTED,
    ColumnView,
    UntestedColumn,
    named_views,
    renews,
    views_of,
)
from tfx_loop.monitoring.profile.bins import Bins, BinSettings, CategoryBins, freeze
from tfx_loop.monitoring.profile.build import profile_feature
from tfx_loop.monitoring.profile.calendar_columns import calendar_note, is_key, order_of
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_number, numbers, strings
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
        time_column: The column of times that orders the rows; empty for none.
        weight_column: The column of the rows' weights; empty for none.
        group_column: The column that says which rows belong together; empty for none.
        depends_on_time: Rows depend on those before: their time was named.
        warnings: What the user may want to name, and did not.
    """

    reference: FrozenProfile
    untested: tuple[UntestedColumn, ...]
    slices: RowSlices | None
    cells: Mapping[str, ExpectedCells] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    time_column: str = ""
    weight_column: str = ""
    group_column: str = ""
    depends_on_time: bool = False
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns to read, each once."""
        sliced = [self.slices.profile.column] if self.slices else []
        return tuple(dict.fromkeys([*(f.column for f in self.reference.features), *sliced]))


def make_plan(
    table: TableFile, options: ComparisonOptions, roles: ColumnRoles, ignore: Sequence[str] = ()
) -> ComparisonPlan:
    """Reads the reference once and decides how it is compared.

    Args:
        table: The reference.
        options: How it is read and sliced.
        roles: What columns are, where that does not show.
        ignore: Columns that are not compared.

    Raises:
        DataError: The reference has no rows.
        ConfigError: A role or `by` names no column, or one that cannot be it.
    """
    if not table.rows:
        raise DataError(
            f"Expected rows in {table.path}, received none. Give a reference with rows."
        )
    names = [name for name in table.schema.names if name not in set(ignore)]
    by = options.by
    if by and by not in table.schema.names:
        raise ConfigError(
            f"Expected a column of the reference to slice by, received {by!r}. "
            f"It has {table.schema.names}.{did_you_mean(by, table.schema.names)}"
        )
    read = sorted({*names, *([by] if by else [])}, key=table.schema.names.index)
    sample, rising = _sampled(table, read, options.seed)
    plain = {name: plain_column(sample.column(name)) for name in read}
    cells = _cells(plain, options, roles, rising)
    reader = CellReader(cells, options.missing_values)
    columns = {name: reader.read(name, column) for name, column in plain.items()}
    features: list[FeatureProfile] = []
    untested: list[UntestedColumn] = []
    for name in names:
        column = columns[name]
        try:
            found = named_views(name, column, roles) or views_of(name, column, name in rising)
            if isinstance(found, UntestedColumn):
                untested.append(found)
            else:
                features += [_profiled(view, column) for view in found]
        # One column that cannot be read leaves the others comparable; the report names it.
        except (DataError, pa.ArrowException) as error:
            untested.append(UntestedColumn(name, UNSUPPORTED, str(error).split(". ")[0]))
    slices = _slices(by, columns[by]) if by else None
    time = roles.time or next((entry.column for entry in untested if entry.role == TIME), "")
    order = order_of(plain[time]) if time in plain else pa.nulls(1, pa.int64())
    # With the time known, which it is only once all columns were looked at.
    renewed = [f.column for f in features if renews(f.column, columns[f.column], order, roles)]
    features = [feature for feature in features if feature.column not in renewed]
    untested += [UntestedColumn(name, IDENTIFIER, RENEWED) for name in dict.fromkeys(renewed)]
    reference = FrozenProfile(
        rows_total=sample.num_rows,
        features=tuple(features),
        sample=SampleInfo(sample.num_rows, sample.num_rows / table.rows, options.seed),
        slices={SLICE: dict.fromkeys(filter(None, slices.names), 0)} if slices else {},
    )
    warnings = (
        group_warning(columns, features, roles, "--group"),
        order_warning(columns, features, roles, (time, order), "--time"),
    )
    return ComparisonPlan(
        reference,
        tuple(untested),
        slices,
        cells,
        options.missing_values,
        time_column=time,
        weight_column=roles.weight,
        group_column=roles.group,
        depends_on_time=bool(roles.time),
        warnings=tuple(filter(None, warnings)),
    )


def _cells(
    columns: Mapping[str, Any], options: ComparisonOptions, roles: ColumnRoles, rising: set[str]
) -> dict[str, ExpectedCells]:
    """What the cells of each column are: as they read, or as the user said."""
    found = {}
    for name, column in columns.items():
        if pa.types.is_null(column.type):
            continue
        if name in (*roles.categorical, *roles.text) and not is_sequence(column.type):
            found[name] = ExpectedCells(FeatureType.CATEGORICAL)
            continue
        held = expected_cells(column, options.decimal, options.missing_values)
        if name in roles.numeric and held.kind is FeatureType.CATEGORICAL:
            held = numbers_in(column, options.decimal, options.missing_values) or held
        if is_number(column.type) and (origin := _origin(name, columns, rising)):
            held = replace(held, origin=origin)
        found[name] = held
    return found


def _origin(name: str, columns: Mapping[str, Any], rising: set[str]) -> int:
    """From where on a feature's whole numbers are counted; times and keys are left as they are."""
    column = columns[name]
    origin = origin_of(column)
    if not origin or calendar_note(name, column, name in rising):
        return 0
    return 0 if is_key(name, column, name in rising) else origin


def _profiled(view: ColumnView, column: Any) -> FeatureProfile:
    seen = aspect_of(column, view.aspect)
    settings = _INTEGER_BINS if view.type is FeatureType.INTEGER else _BINS
    bins = CategoryBins(TOKEN_NAMES) if view.aspect == TOKEN else None
    profile = profile_feature(view.feature, seen, settings, bins)
    return replace(profile, aspect=view.aspect, kind=view.kind)


def _sampled(table: TableFile, names: Sequence[str], seed: int) -> tuple[Any, set[str]]:
    random = np.random.default_rng(seed)
    # Bernoulli draws, row by row: the number of rows is known beforehand, the rows themselves pass
    # by once.
    keep = min(1.0, SAMPLE_ROWS / table.rows)
    ordered = {
        name: _Order() for name in names if pa.types.is_integer(table.schema.field(name).type)
    }
    batches = []
    for batch in table.batches(names):
        chosen = batch
        if keep < 1:
            chosen = batch.take(pa.array(np.flatnonzero(random.random(batch.num_rows) < keep)))
        batches.append(chosen)
        for name, order in ordered.items():
            if order.holds:
                order.look_at(batch.column(names.index(name)))
    schema = pa.schema([table.schema.field(name) for name in names])
    held = {name for name, order in ordered.items() if order.holds}
    return pa.Table.from_batches(batches, schema=schema), held


@dataclass
class _Order:
    """Whether whole numbers never fall from row to row, or never rise, through a whole file."""

    rises: bool = True
    falls: bool = True
    _last: Any = None

    @property
    def holds(self) -> bool:
        """Newest rows come first as often as last: ORDER BY id DESC."""
        return self.rises or self.falls

    def look_at(self, column: Any) -> None:
        """Takes more rows."""
        if column.null_count:
            self.rises = self.falls = False
            return
        values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        if not len(values):
            return
        # Across the border of batches, too: a key rises through the whole file.
        before = values[0] if self._last is None else self._last
        self.rises &= bool(values[0] >= before and np.all(values[1:] >= values[:-1]))
        self.falls &= bool(values[0] <= before and np.all(values[1:] <= values[:-1]))
        self._last = values[-1]


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
    # Quarters of fewer values would be empty.
    elif len(pc.unique(flat(values))) < 4:
        raise ConfigError(f"Expected a column to slice by with several values, received {by!r}.")
    else:
        # Of the edges, which are quantiles themselves: quarters of the rows, nearly.
        quarters = np.unique(np.quantile(np.asarray(bins.edges), [0.25, 0.5, 0.75]))
        edges = tuple(float(edge) for edge in quarters)
        limits = [-np.inf, *edges, np.inf]
        names = tuple(f"{low:.4g}<{by}<={high:.4g}" for low, high in itertools.pairwise(limits))
        bins = replace(bins, edges=edges)
    return RowSlices(_slicing(view, values, bins), names)


def _slicing(view: ColumnView, values: Any, bins: Bins) -> FeatureProfile:
    profile = profile_feature(view.feature, values, _BINS, bins)
    return replace(profile, aspect=view.aspect, kind=view.kind)
