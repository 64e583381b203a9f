"""Predictions that were answered in a window, each once, and what could not be read."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.storage import read_bytes
from tfx_loop.data.prediction_log.files import is_folder, join, list_folder, walk_files
from tfx_loop.data.prediction_log.record import (
    ANSWERED_TIME,
    ENVELOPE,
    GOLDEN,
    GOLDEN_PREFIX,
    IDENTITY,
    MAX_EVENT_TIME_MS,
    MS_PER_DAY,
    REQUEST_KEY,
    SEGMENT_FIELDS,
    Array,
    check_model_name,
    day_of,
    feature_columns,
    output_columns,
)
from tfx_loop.data.prediction_log.segment import Segment, parse_segment
from tfx_loop.data.prediction_log.writer import SEGMENT_SUFFIX

# Hive's way of naming partitions, which Spark, DuckDB and Arrow read.
PARTITION_PREFIX = "date="


@dataclass(frozen=True, kw_only=True)
class LogLosses:
    """What of the log did not become rows.

    Attributes:
        duplicate_rows: Repeated answers to the same request and instance. Requests that share an id
            and ask something else, as those that a mesh hands on, are none.
        golden_rows: Rows of golden requests, which are no traffic.
        unidentified_rows: Rows without request id, instance index or event time.
        truncated_segments: Files that end in the middle of a batch.
        unreadable_segments: Files that are no prediction log.
        unreadable_batches: Damaged batches inside readable files.
        unreadable_bytes: Bytes in all of those.
        type_conflicts: Columns whose type differs between segments beyond number widths.
    """

    duplicate_rows: int = 0
    golden_rows: int = 0
    unidentified_rows: int = 0
    truncated_segments: int = 0
    unreadable_segments: int = 0
    unreadable_batches: int = 0
    unreadable_bytes: int = 0
    type_conflicts: int = 0


@dataclass(frozen=True, kw_only=True)
class WindowRows:
    """The rows of a window, in the order of event time, request id and instance index."""

    table: pa.Table
    losses: LogLosses


def read_window(
    log_dir: str, model_name: str, start_ms: int, end_ms: int, *, margin_ms: int = MS_PER_DAY
) -> WindowRows:
    """Reads the predictions of a model with start_ms <= event time < end_ms.

    Args:
        log_dir: The folder that the servers log to, local or remote.
        model_name: Which model.
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        margin_ms: How far around the window repeats are looked for: a request repeated without
            its event time may fall into another window, and counts where it was answered first.

    Raises:
        ConfigError: The window ends before it starts, or the model name is unfit for a path.
    """
    if not 0 <= start_ms <= end_ms:
        raise ConfigError(
            f"Expected a window with 0 <= start_ms <= end_ms, received [{start_ms}, {end_ms})."
        )
    folder = join(log_dir, check_model_name(model_name))
    segments = _read_segments(folder, start_ms - margin_ms, end_ms + margin_ms)
    tables = [segment.table for segment in segments if segment.table is not None]
    table, conflicts = unify(tables)
    identified = _identified(table)
    kept, duplicates = _first_answers(identified, start_ms, end_ms)
    # Servers of earlier releases marked nothing (null): there, and only there, the id tells.
    by_id = pc.starts_with(kept.column("request_id"), pattern=GOLDEN_PREFIX)
    golden = pc.coalesce(kept.column(GOLDEN.name), by_id)
    asked = kept.filter(pc.invert(golden)).drop([field.name for field in SEGMENT_FIELDS])
    losses = LogLosses(
        duplicate_rows=duplicates,
        golden_rows=len(kept) - len(asked),
        unidentified_rows=len(table) - len(identified),
        truncated_segments=sum(segment.truncated for segment in segments),
        unreadable_segments=sum(segment.unreadable for segment in segments),
        unreadable_batches=sum(segment.unreadable_batches for segment in segments),
        unreadable_bytes=sum(segment.unreadable_bytes for segment in segments),
        type_conflicts=conflicts,
    )
    return WindowRows(table=asked, losses=losses)


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
        conflicts += common[name] == pa.string() and len(types[name]) > 1
    schema = pa.schema(list(common.items()))
    parts = [_conform(table, schema) for table in tables if len(table)]
    if not parts:
        return schema.empty_table(), conflicts
    return pa.concat_tables(parts).combine_chunks(), conflicts


def _common_type(kinds: list[pa.DataType]) -> pa.DataType:
    kinds = [kind for kind in kinds if not pa.types.is_null(kind)]
    if len(kinds) == 1:
        return kinds[0]
    if kinds and all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    if kinds and all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    # Text holds anything; the conflict is counted, so that nobody takes it for the column's type.
    return pa.string()


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
    if pa.types.is_nested(column.type) and pa.types.is_string(kind):
        texts = [None if item is None else str(item) for item in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, type=kind)])
    return column.cast(kind, safe=False)


def _read_segments(folder: str, start_ms: int, end_ms: int) -> list[Segment]:
    first = day_of(max(start_ms, 0))
    # The end is exclusive: its own day is read only if the window reaches into it.
    last = day_of(min(max(end_ms - 1, 0), MAX_EVENT_TIME_MS))
    segments = []
    for name in list_folder(folder):
        if not name.startswith(PARTITION_PREFIX):
            continue
        if first <= name.removeprefix(PARTITION_PREFIX) <= last and is_folder(join(folder, name)):
            for path in walk_files(join(folder, name), SEGMENT_SUFFIX):
                segments.append(parse_segment(read_bytes(path)))
    return segments


def _identified(table: pa.Table) -> pa.Table:
    valid = None
    for name in (*IDENTITY, "event_time_ms"):
        if table.column(name).null_count:
            present = pc.is_valid(table.column(name))
            valid = present if valid is None else pc.and_(valid, present)
    return table if valid is None else table.filter(valid).combine_chunks()


def identity_keys(request_ids: pa.ChunkedArray, instance_indices: pa.ChunkedArray) -> Array:
    """Returns one int64 per row, equal where request id and instance index are equal."""
    codes = request_ids.combine_chunks().dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks() if codes.num_chunks != 1 else codes.chunk(0)
    # The id's code in the upper half, the instance in the lower: one number sorts and compares
    # faster than two columns.
    high = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64) << 32
    low = instance_indices.to_numpy().astype(np.int64) & 0xFFFFFFFF
    return np.asarray(high | low)


def _first_answers(table: pa.Table, start_ms: int, end_ms: int) -> tuple[pa.Table, int]:
    """Keeps the first answer to each instance, inside the window; counts the others there."""
    if len(table) == 0:
        return table, 0
    event_time = table.column("event_time_ms").to_numpy()
    answered = table.column(ANSWERED_TIME.name).to_numpy()
    inside = (event_time >= start_ms) & (event_time < end_ms)
    # An answer without a time (null, here 0) counts as the earliest.
    order = np.argsort(np.nan_to_num(answered.astype(np.float64)), kind="stable")
    request = pc.coalesce(table.column(REQUEST_KEY.name), table.column("request_id"))
    keys = identity_keys(request, table.column("instance_index"))
    _, first_in_order = np.unique(keys[order], return_index=True)
    is_first = np.zeros(len(keys), dtype=bool)
    is_first[order[first_in_order]] = True
    duplicates = int(np.count_nonzero(inside & ~is_first))
    kept = table.filter(pa.array(inside & is_first))
    by = [("event_time_ms", "ascending"), *((name, "ascending") for name in IDENTITY)]
    return kept.take(pc.sort_indices(kept, sort_keys=by)).combine_chunks(), duplicates
