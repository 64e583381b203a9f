"""Columns of any type as arrays that can be counted and compared."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.monitoring.profile.columns import is_list
from tfx_loop.monitoring.profile.derived_columns import unchunked

# Of a second, by the unit of a duration or a time of day.
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def is_sequence(kind: Any) -> bool:
    """Says whether a pyarrow type holds several values a row."""
    return bool(is_list(kind) or pa.types.is_fixed_size_list(kind))


def plain_column(column: Any) -> Any:
    """Returns a column as one array of types that can be counted.

    Decimals become floats, durations and times of day seconds, bytes of a fixed size bytes, lists
    of a fixed size lists of any, dictionaries their values.
    """
    column = unchunked(column)
    kind = column.type
    if not is_sequence(kind):
        return _plain_values(column)
    column = of_any_size(column)
    plain = _plain_values(column.values)
    if plain is column.values:
        return column
    # The offsets hold for the values of the whole buffer, of which a slice is a part.
    lists = type(column).from_arrays(column.offsets, plain)
    return lists.take(pa.array(np.arange(len(column)), mask=_is_null(column)))


def of_any_size(column: Any) -> Any:
    """Returns lists of a fixed size as lists of any; any other array as it is."""
    kind = column.type
    if not pa.types.is_fixed_size_list(kind):
        return column
    # The values of rows that lack or are cut off still lie between the others.
    if column.null_count or column.offset:
        return pa.array(column.to_pylist(), pa.list_(kind.value_type))
    ends = np.arange(0, kind.list_size * (len(column) + 1), kind.list_size, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), column.flatten())


def _is_null(column: Any) -> Any:
    return column.is_null().to_numpy(zero_copy_only=False)


def _plain_values(column: Any) -> Any:
    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        unit = str(kind).partition("[")[2].rstrip("]")
        # Arrow casts a time only to the integer of its own width.
        width = pa.int32() if pa.types.is_time32(kind) else pa.int64()
        return pc.divide(column.cast(width).cast(pa.float64()), _TICKS[unit])
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    return column
