"""The common schema of several files, and rows cast to it."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from tfx_loop.core.errors import DataError


def common_schema(schemas: Iterable[tuple[str, Any]]) -> Any:
    """Returns one schema for all files; a column that one lacks is missing there.

    Integers and floats together are float64, nulls take any type.

    Args:
        schemas: Pairs of a file's path and its schema.

    Raises:
        DataError: Two files disagree on a column beyond that.
    """
    types: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for path, schema in schemas:
        for field in schema:
            known = types.get(field.name)
            merged = field.type if known is None else common_type(known, field.type)
            if merged is None:
                raise DataError(
                    f"Expected one type of column {field.name!r}, received {known} in "
                    f"{origin[field.name]} and {field.type} in {path}. Write them alike."
                )
            types[field.name] = merged
            origin.setdefault(field.name, path)
    return pa.schema(list(types.items()))


def common_type(left: Any, right: Any) -> Any:
    """Returns a type that holds both, or None where there is none."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return pa.int64()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (left, right)):
        return pa.float64()
    if all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in (left, right)):
        return pa.large_string()
    return None


def conformed(batch: Any, schema: Any, columns: Sequence[str]) -> Any:
    """Returns the columns of a record batch with the types of a common schema."""
    arrays, fields = [], []
    for name in columns:
        field = schema.field(name)
        place = batch.schema.get_field_index(name)
        if place < 0 or pa.types.is_null(batch.schema.field(place).type):
            array = pa.nulls(batch.num_rows, field.type)
        else:
            array = batch.column(place)
            if array.type != field.type:
                array = array.cast(field.type, safe=False)
        arrays.append(array)
        fields.append(field)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
