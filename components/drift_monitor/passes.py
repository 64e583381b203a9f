"""What does a file have on a plan's bins? One pass, in memory that does not grow with the rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from components.drift_monitor.duplicates import DistinctRows, can_hash, row_hashes
from components.drift_monitor.plan import Plan, Slices
from components.drift_monitor.roles import View, is_sequence
from components.drift_monitor.traits import SAMPLE_ROWS, Traits, TraitsReader
from components.errors import DataError
from components.profile.bins import CategoryBins
from components.profile.columns import FeatureType, fits, numbers, strings
from components.profile.counts import ColumnCounts, count, merge
from components.tables.table_file import TableFile

Key = tuple[str, str]


@dataclass
class Counted:
    """What one pass found.

    Attributes:
        rows: Rows read.
        counts: By slice (empty for all rows) and feature.
        traits: By feature.
        misfits: Features whose column has another type, and which.
        absent: Features whose column is not there.
        distinct: The distinct rows.
        samples: By feature its flat columns of some rows, the same rows for each; none unless
            asked for.
    """

    rows: int = 0
    counts: dict[Key, ColumnCounts] = field(default_factory=dict)
    traits: dict[str, Traits] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    distinct: DistinctRows = field(default_factory=DistinctRows)
    samples: dict[str, list[Any]] = field(default_factory=dict)


def count_table(table: TableFile, plan: Plan, sample_rows: int = 0, seed: int = 0) -> Counted:
    """Reads a file once and counts it on the plan's bins.

    Args:
        table: The file.
        plan: How it is compared.
        sample_rows: About how many rows to keep for tests of all features together.
        seed: Chooses them.

    Raises:
        DataError: The file turns out to be damaged.
    """
    found = Counted()
    there = set(table.schema.names)
    views = []
    for view in plan.views:
        if view.column not in there:
            found.absent.add(view.feature)
        elif not _may_fit(view, table.schema.field(view.column).type):
            found.misfits[view.feature] = str(table.schema.field(view.column).type)
        else:
            views.append(view)
    keep = min(1.0, SAMPLE_ROWS / max(table.rows, 1))
    readers = {v.feature: TraitsReader(v.kind, plan.bins[v.feature], keep) for v in views}
    hashed = _hashed(views, table.schema)
    sliced = plan.slices if plan.slices and plan.slices.view.column in there else None
    wanted = {view.column for view in views} | ({sliced.view.column} if sliced else set())
    columns = [name for name in table.schema.names if name in wanted] or table.schema.names[:1]
    random = np.random.default_rng(seed)
    kept = min(1.0, sample_rows / max(table.rows, 1))
    for batch in table.batches(columns):
        chosen = pa.array(np.flatnonzero(random.random(batch.num_rows) < kept))
        found.rows += batch.num_rows
        if hashed:
            found.distinct.add(row_hashes([batch.column(columns.index(n)) for n in hashed]))
        places = _places(batch, columns, sliced)
        for view in views:
            if view.feature in found.misfits:
                continue
            column = _read(view, batch.column(columns.index(view.column)))
            if column is None or not fits(column, view.kind):
                found.misfits[view.feature] = str(table.schema.field(view.column).type)
                continue
            readers[view.feature].add(column)
            _add(found, "", view, column, plan)
            if sample_rows:
                found.samples.setdefault(view.feature, []).append(column.take(chosen))
            for place, name in enumerate(sliced.names if sliced else ()):
                if name and view.column != (sliced and sliced.view.column):
                    _add(found, name, view, column.filter(pa.array(places == place)), plan)
    found.traits = {name: reader.traits() for name, reader in readers.items()}
    return found


def _may_fit(view: View, kind: Any) -> bool:
    if pa.types.is_null(kind):
        return True
    if view.type == "list":
        return is_sequence(kind)
    text = any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_dictionary,
        )
    )
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if view.type in ("categorical", "text"):
        return text or is_sequence(kind)
    return number or pa.types.is_decimal(kind) or is_sequence(kind)


def _read(view: View, column: Any) -> Any:
    if pa.types.is_null(column.type):
        return column
    try:
        return view.read(column)
    except (DataError, pa.ArrowException):
        return None


def _add(found: Counted, name: str, view: View, column: Any, plan: Plan) -> None:
    counts = count(column, view.kind, plan.bins[view.feature])
    before = found.counts.get((name, view.feature))
    found.counts[name, view.feature] = merge(before, counts) if before else counts


def _hashed(views: list[View], schema: Any) -> list[str]:
    names = {view.column: None for view in views}
    return [name for name in names if can_hash(schema.field(name).type)]


def _places(batch: Any, columns: list[str], slices: Slices | None) -> Any:
    """The slice of each row of a batch."""
    if slices is None:
        return None
    column = slices.view.read(batch.column(columns.index(slices.view.column)))
    if isinstance(slices.bins, CategoryBins):
        known: Mapping[Any, int] = {v: i for i, v in enumerate(slices.bins.categories)}
        kind = slices.view.kind
        values = strings(column).to_pylist() if kind is FeatureType.CATEGORICAL else None
        if values is None:
            values = numbers(column, kind).tolist()
        return np.array([known.get(value, -1) for value in values])
    values = numbers(column, slices.view.kind)
    places = np.searchsorted(np.asarray(slices.bins.edges), values)
    return np.where(np.isnan(values), -1, places)
