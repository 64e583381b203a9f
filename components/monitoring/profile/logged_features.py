"""The features of a prediction log as ReferenceProfiler has those of the training rows."""

import re
from typing import Any

import pyarrow as pa

from tfx_loop.data.prediction_log.record import FEATURE_PREFIX
from tfx_loop.models.rows.parse_fn import parsed_table
from tfx_loop.monitoring.profile.build import flat_table
from tfx_loop.monitoring.profile.columns import strings

# A byte that is no UTF-8, as the log's writer has it.
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_LOOKED_AT = 100


def plain_rows(table: Any) -> Any:
    """Returns a table with single values where no row has several, and text for bytes.

    tf.Examples have a list in every feature; the rows of a training sample are single values.
    """
    flat = flat_table(table)
    for place, field in enumerate(flat.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            flat = flat.set_column(place, field.name, strings(flat.column(place)))
    return flat


def parsed_log(rows: Any, parse_fn: str) -> Any:
    """Returns rows of a log with the features that a function makes of theirs.

    Args:
        rows: Arrow table of a log.
        parse_fn: Import path of the function; empty leaves the rows as they are.

    Raises:
        ConfigError: There is no such function.
        DataError: It fails, or returns another number of rows.
    """
    if not parse_fn:
        return rows
    features = [name for name in rows.column_names if _is_feature(name)]
    # One value a row where no row has several, as ReferenceProfiler's function gets it.
    plain = flat_table(
        pa.table({name.removeprefix(FEATURE_PREFIX): rows.column(name) for name in features})
    )
    sent = {name: _as_sent(plain.column(name)) for name in plain.column_names}
    made = parsed_table(pa.table(sent), parse_fn)
    others = {n: rows.column(n) for n in rows.column_names if not _is_feature(n)}
    return pa.table(
        {**others, **{f"{FEATURE_PREFIX}{n}": made.column(n) for n in made.column_names}}
    )


def _is_feature(name: str) -> bool:
    return name.startswith(FEATURE_PREFIX)


def _as_sent(column: Any) -> Any:
    """Returns text with bytes where the log escaped them, as it does with what is no UTF-8."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_string(column.type):
        return column
    texts = column.to_pylist()
    # The first rows tell: a column of images is escaped in nearly each, one of text in none.
    if not any(text is not None and _ESCAPED.search(text.encode()) for text in texts[:_LOOKED_AT]):
        return column
    return pa.array([None if t is None else unescaped(t) for t in texts], pa.binary())


def unescaped(text: str) -> bytes:
    """Returns the bytes that Python's `backslashreplace` made a text of."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text.encode())
