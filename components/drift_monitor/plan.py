"""How are two files compared? Decided on the reference alone: columns, bins and slices.

One pass over the reference draws a seeded sample and watches which numbers only ever rise; bins
are frozen on the sample.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.drift_monitor.roles import UNSUPPORTED, Untested, View, is_sequence, views_of
from components.errors import ConfigError, DataError
from components.profile.bins import Bins, BinSettings, CategoryBins, freeze
from components.profile.columns import flat
from components.tables.table_file import TableFile

SAMPLE_ROWS = 50_000
_MOST_SLICES = 10
_BINS = BinSettings(numeric_bins=32, max_categories=255)
_INTEGER_BINS = BinSettings(numeric_bins=32, max_categories=63)


@dataclass(frozen=True)
class Slices:
    """Into which slices rows fall, by one view's bins.

    Attributes:
        view: How the column is read.
        bins: Its bins, a few.
        names: Of each bin, as `column=value`; empty for bins that are no slice.
    """

    view: View
    bins: Bins
    names: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        views: The features, in the order of the columns.
        bins: Frozen bins by feature.
        untested: Columns that are not tested.
        slices: How rows are sliced; None for no slices.
        sample: Sampled rows of the reference.
    """

    views: tuple[View, ...]
    bins: Mapping[str, Bins]
    untested: tuple[Untested, ...]
    slices: Slices | None
    sample: Any


def make_plan(table: TableFile, ignore: Sequence[str], by: str, seed: int) -> Plan:
    """Reads the reference once and decides how it is compared.

    Raises:
        DataError: The reference has no rows.
        ConfigError: There is no column `by`, or it cannot slice.
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
    sample, rising = _sampled(
        table, sorted({*names, by} - {""}, key=table.schema.names.index), seed
    )
    views: list[View] = []
    untested: list[Untested] = []
    for name in names:
        try:
            found = views_of(name, _whole(sample.column(name)), name in rising)
        except (DataError, pa.ArrowException) as error:
            found = Untested(name, UNSUPPORTED, str(error).split(". ")[0])
        if isinstance(found, Untested):
            untested.append(found)
        else:
            views.extend(found)
    bins = {}
    for view in list(views):
        try:
            bins[view.feature] = _frozen(view, sample)
        except (DataError, pa.ArrowException) as error:
            views.remove(view)
            untested.append(Untested(view.column, UNSUPPORTED, str(error).split(". ")[0]))
    return Plan(tuple(views), bins, tuple(untested), _slices(by, sample) if by else None, sample)


def _frozen(view: View, sample: Any) -> Bins:
    column = view.read(_whole(sample.column(view.column)))
    settings = _INTEGER_BINS if view.kind.value == "integer" else _BINS
    return freeze(column, view.kind, settings)


def _whole(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


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


def _slices(by: str, sample: Any) -> Slices:
    column = _whole(sample.column(by))
    found = [] if is_sequence(column.type) else views_of(by, column, rises=False)
    if isinstance(found, Untested) or not found or found[0].type == "text":
        raise ConfigError(
            f"Expected a column of a few values or a number to slice by, received {by!r}: "
            f"{found.note if isinstance(found, Untested) else 'it has no such values'}."
        )
    view = found[0]
    values = view.read(column)
    bins = freeze(values, view.kind, BinSettings(numeric_bins=32, max_categories=_MOST_SLICES))
    if isinstance(bins, CategoryBins):
        return Slices(view, bins, (*(f"{by}={value}" for value in bins.categories), ""))
    if len(pc.unique(flat(values))) < 4:
        raise ConfigError(f"Expected a column to slice by with several values, received {by!r}.")
    quarters = np.unique(np.quantile(np.asarray(bins.edges), [0.25, 0.5, 0.75]))
    edges = tuple(float(edge) for edge in quarters)
    limits = [-np.inf, *edges, np.inf]
    names = tuple(f"{low:.4g}<{by}<={high:.4g}" for low, high in itertools.pairwise(limits))
    return Slices(view, type(bins)(edges, bins.low, bins.high), names)
