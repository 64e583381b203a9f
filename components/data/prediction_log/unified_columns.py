"""Rows of different columns and types as one table."""

from collections.abc import Iterable

import pyarrow as pa

from tfx_loop.data.prediction_log.record import (
    ENVELOPE,
    SEGMENT_FIELDS,
    feature_columns,
    output_columns,
)


def unify(tables: Iterable[pa.Table]) -> tuple[pa.Table, int]:
    """Joins tables of different columns; returns the rows and the number of type conflicts.

    An absent column becomes null. Numbers of different kinds become float64, or int64 when all are
    whole; anything else that differs becomes text, and is counted.
    """
    tables = list(tables)
    # Schemas repeat from segment to segment: each distinct one is looked at once.
    types: dict[str, list[pa.DataType]] = {}
    for schema in {table.schema.to_string(): table.schema for table in tables}.values():
        for field in schema:
            kinds = types.setdefault(field.name, [])
            if field.type not in kinds:
                kinds.append(field.type)
    common = {field.name: field.type for field in (*ENVELOPE, *SEGMENT_FIELDS)}
    conflicts = 0
    for name in (*sorted(feature_columns(list(types))), *sorted(output_columns(list(types)))):
        common[name] = _common_type(types[name])
        conflicts += _is_text(common[name]) and not all(
            _is_text(kind) or pa.types.is_null(kind) for kind in types[name]
        )
    schema = pa.schema(list(common.items()))
    parts = [_conform(table, schema) for table in tables if len(table)]
    if not parts:
        return schema.empty_table(), conflicts
    return pa.concat_tables(parts).combine_chunks(), conflicts


def _common_type(kinds: list[pa.DataType]) -> pa.DataType:
    kinds = [kind for kind in kinds if not pa.types.is_null(kind)]
    if len(kinds) == 1:
        return kinds[0]
    if any(map(pa.types.is_list, kinds)):
        # A server that had one value a row, and one of a later release that writes lists always.
        return pa.list_(_common_type(list(dict.fromkeys(map(_item_type, kinds)))))
    if kinds and all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    if kinds and all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    # Text holds anything; the conflict is counted, so that nobody takes it for the column's type.
    return pa.string()


def _item_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(_item_type(kind)))


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    names = set(table.schema.names)
    for field in schema:
        if field.name not in names:
            columns.append(pa.chunked_array([pa.nulls(len(table), field.type)]))
            continue
        column = table.column(field.name)
        columns.append(column if column.type == field.type else _converted(column, field.type))
    return pa.table(columns, schema=schema)


def _converted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_list(kind):
        as_lists = [
            None if row is None else row if isinstance(row, list) else [row]
            for row in column.to_pylist()
        ]
        if _is_text(kind):
            as_lists = [row and [None if v is None else str(v) for v in row] for row in as_lists]
        return pa.chunked_array([pa.array(as_lists, type=kind)])
    if pa.types.is_nested(column.type) and pa.types.is_string(kind):
        texts = [None if item is None else str(item) for item in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, type=kind)])
    return column.cast(kind, safe=False)
