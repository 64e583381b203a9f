"""Faults of columns that are not tested: keys and times that are gone, or that say nothing.

Their values differ between any two files, so only what no later file may do is a fault.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.data_faults.faults import (
    ABSENT_FEATURE,
    ALL_MISSING,
    CONSTANT_VALUE,
    TYPE_CHANGED,
)
from tfx_loop.monitoring.file_comparison.plain_columns import is_sequence, plain_column
from tfx_loop.monitoring.file_comparison.roles import (
    EMPTY,
    IDENTIFIER,
    NAMED_ID,
    RENEWED,
    ROW_NUMBERS,
    TIME,
    UntestedColumn,
)
from tfx_loop.monitoring.profile.calendar_columns import is_time
from tfx_loop.monitoring.profile.columns import flat, is_text_type

# Ids of which a file may hold one alone: that of a batch, of a shop.
_MAY_REPEAT = (NAMED_ID, RENEWED)


def faults_of_untested(
    table: TableFile, untested: Sequence[UntestedColumn], awaited: Collection[str], min_rows: int
) -> dict[str, str]:
    """Returns the fault of each column that is broken.

    Args:
        table: The current file. It is read until each column has shown that it is whole, which in
            most files its first rows do.
        untested: Columns of the reference that are not tested, and why.
        awaited: Columns that may lack.
        min_rows: Rows below which all may be alike by chance.
    """
    # Of nothing, and of what pandas writes by itself, nothing is lost.
    meant = [u for u in untested if u.role != EMPTY and u.note != ROW_NUMBERS]
    there = set(table.schema.names)
    found = {
        entry.column: ABSENT_FEATURE
        for entry in meant
        if entry.column not in there and entry.column not in awaited
    }
    waiting = {
        entry.column: entry
        for entry in meant
        if entry.column in there and entry.role in (IDENTIFIER, TIME)
    }
    return {**found, **_without_sense(table, waiting, min_rows)}


def _without_sense(
    table: TableFile, waiting: Mapping[str, UntestedColumn], min_rows: int
) -> dict[str, str]:
    open_ones, first, rows = dict(waiting), dict[str, Any](), 0
    for batch in table.batches(list(waiting)) if waiting else ():
        rows += batch.num_rows
        for name in list(open_ones):
            column = plain_column(batch.column(batch.schema.get_field_index(name)))
            if is_sequence(column.type) or _makes_sense(open_ones[name], flat(column), first):
                del open_ones[name]
        if not open_ones:
            return {}
    if rows < min_rows:
        return {}
    alike = {IDENTIFIER: CONSTANT_VALUE, TIME: TYPE_CHANGED}
    return {
        name: alike[entry.role] if name in first else ALL_MISSING
        for name, entry in open_ones.items()
    }


def _makes_sense(entry: UntestedColumn, column: Any, first: dict[str, Any]) -> bool:
    """Says whether some rows show that a column is whole; keeps its first value."""
    present = column.drop_null()
    if not len(present):
        return False
    value = first.setdefault(entry.column, present[0])
    if entry.role == TIME:
        return not is_text_type(column.type) or is_time(entry.column, present)
    return entry.note in _MAY_REPEAT or bool(pc.any(pc.not_equal(present, value)).as_py())
