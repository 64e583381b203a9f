"""Both sides of a skew report from files, the served cells read as training's are.

A CSV file has no types of its own: the codes that training has as text are not the whole numbers
that a reader guesses from the served file.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.file_comparison.cells import CellReader
from tfx_loop.monitoring.file_comparison.expected_cells import ExpectedCells, expected_cells
from tfx_loop.monitoring.profile.columns import FeatureType, is_list, is_number
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.skew_monitor.skew import feature_columns


def read_sides(training: str, served: str, keys: Mapping[str, str]) -> tuple[Any, Any]:
    """Returns the training rows and the served rows of two files as pyarrow tables.

    Args:
        training: File of the rows as trained on, which says what each column holds.
        served: File of the rows as served; a prediction log's, too.
        keys: Training's name of each key, and serving's.

    Raises:
        DataError: A file is not there, or damaged.
    """
    ours, others = open_table(training), open_table(served)
    rows = ours.read()
    cells = {
        name: expected_cells(unchunked(rows.column(name)))
        for name in rows.column_names
        if _has_cells(rows.schema.field(name).type)
    }
    named = {**feature_columns(others.schema.names), **keys}
    # Read as text at once: a code such as 007 that was read as a number is not to be had back.
    texts = [name for name, held in cells.items() if held.kind is FeatureType.CATEGORICAL]
    others = others.as_text([named[name] for name in texts if name in named])
    expected = {named[name]: held for name, held in cells.items() if name in named}
    # Where either side is CSV, which has no empty text, an empty text is no difference.
    blanks = "csv" in (ours.format, others.format)
    return (
        _read(rows, cells, keys, blanks),
        _read(others.read(), expected, keys.values(), blanks),
    )


def _has_cells(kind: Any) -> bool:
    """Says whether a column's values are written one a cell: numbers, words, true and false."""
    return not (is_list(kind) or pa.types.is_nested(kind) or pa.types.is_temporal(kind)) and not (
        pa.types.is_null(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _read(
    table: Any, expected: Mapping[str, ExpectedCells], keys: Collection[str], blanks: bool
) -> Any:
    # A fraction where training has whole numbers is a difference, not a cell to round.
    reader = CellReader(expected, rounds=False, blanks=blanks)
    for place, field in enumerate(table.schema):
        if field.name not in keys and field.name in expected and _has_cells(field.type):
            column = reader.read(field.name, unchunked(table.column(place)))
            unfit = reader.unfit_rows.get(field.name)
            if unfit is not None and pc.any(unfit).as_py() and is_number(column.type):
                # No number is what such a cell holds: neither a missing one, nor any other.
                column = pc.if_else(unfit, np.inf, column.cast(pa.float64(), safe=False))
            table = table.set_column(place, field.name, column)
    return table
