"""Predictions that were answered in a window, each once, and what could not be read."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.folders import is_folder, join, list_folder, walk_files
from tfx_loop.core.key_file import SecretKey
from tfx_loop.core.storage import read_bytes
from tfx_loop.data.prediction_log.compacted import COMPACTED_SUFFIX, parse_compacted
from tfx_loop.data.prediction_log.losses import (
    UNLOGGED_SUFFIX,
    LogLosses,
    UnloggedRows,
    read_unlogged,
)
from tfx_loop.data.prediction_log.record import (
    ANSWERED_TIME,
    GOLDEN,
    GOLDEN_PREFIX,
    IDENTITY,
    MAX_EVENT_TIME_MS,
    PARTITION_PREFIX,
    REQUEST_KEY,
    SEGMENT_FIELDS,
    Array,
    check_model_name,
    day_of,
    sampling_position,
)
from tfx_loop.data.prediction_log.segment import Segment, parse_segment
from tfx_loop.data.prediction_log.segment_file import SEGMENT_SUFFIX
from tfx_loop.data.prediction_log.unified_columns import unify

# Compactions in a row that a reader meets; each takes longer than listing a folder does.
_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class WindowRows:
    """The rows of a window, in the order of event time, request id and instance index.

    Attributes:
        table: One row for each logged instance; all were sampled at the same rate.
        losses: What did not become rows.
        sampling_rate: That rate: each row stands for 1 / rate of them.
    """

    table: pa.Table
    losses: LogLosses
    sampling_rate: float = 1.0


def read_window(
    log_dir: str,
    model_name: str,
    start_ms: int,
    end_ms: int,
    *,
    margin_ms: int = MS_PER_DAY,
    keys: Sequence[SecretKey] = (),
) -> WindowRows:
    """Reads the predictions of a model with start_ms <= event time < end_ms.

    Args:
        log_dir: The folder that the servers log to, local or remote.
        model_name: Which model.
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        margin_ms: How far around the window repeats are looked for: a request repeated without
            its event time may fall into another window, and counts where it was answered first.
        keys: What the log may be encrypted with.

    Raises:
        ConfigError: The window ends before it starts, the model name is unfit for a path, or the
            log is encrypted with a key that is not among those given.
    """
    if not 0 <= start_ms <= end_ms:
        raise ConfigError(
            f"Expected a window with 0 <= start_ms <= end_ms, received [{start_ms}, {end_ms})."
        )
    segments, notes = _read_while_compacted(
        lambda: window_files(log_dir, model_name, start_ms, end_ms, margin_ms=margin_ms), keys
    )
    losses = LogLosses(
        truncated_segments=sum(segment.truncated for segment in segments),
        unreadable_segments=sum(segment.unreadable for segment in segments),
        unreadable_batches=sum(segment.unreadable_batches for segment in segments),
        unreadable_bytes=sum(segment.unreadable_bytes for segment in segments),
        unlogged_rows=sum(
            note.rows for note in notes if note.first_ms < end_ms and note.last_ms >= start_ms
        ),
    )
    tables = [segment.table for segment in segments if segment.table is not None]
    return rows_of_window(tables, losses, start_ms, end_ms)


def rows_of_window(
    tables: Sequence[pa.Table], losses: LogLosses, start_ms: int, end_ms: int
) -> WindowRows:
    """Returns the rows of a window that tables in the columns of segments hold, each once.

    Args:
        tables: Rows of the window and around it.
        losses: What is known already of what did not become rows.
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
    """
    table, conflicts = unify(tables)
    identified = _identified(table)
    kept, duplicates = _first_answers(identified, start_ms, end_ms)
    # Servers of earlier releases marked nothing (null): there, and only there, the id tells.
    by_id = pc.starts_with(kept.column("request_id"), pattern=GOLDEN_PREFIX)
    golden = pc.coalesce(kept.column(GOLDEN.name), by_id)
    asked = kept.filter(pc.invert(golden))
    even, rate = _evenly_sampled(asked)
    counted = replace(
        losses,
        duplicate_rows=duplicates,
        golden_rows=len(kept) - len(asked),
        unidentified_rows=len(table) - len(identified),
        type_conflicts=conflicts,
        thinned_rows=len(asked) - len(even),
    )
    table = even.drop([field.name for field in SEGMENT_FIELDS])
    return WindowRows(table=table, losses=counted, sampling_rate=rate)


def window_files(
    log_dir: str, model_name: str, start_ms: int, end_ms: int, *, margin_ms: int = MS_PER_DAY
) -> list[str]:
    """Returns the files that `read_window` reads: rows, and words on what is in none.

    Raises:
        ConfigError: The model name is unfit for a path.
    """
    folder = join(log_dir, check_model_name(model_name))
    # Segments before what replaces them: a compaction between the two looks is then seen as both,
    # and the other way round as neither.
    return [
        path
        for day in _days(folder, start_ms - margin_ms, end_ms + margin_ms)
        for suffix in (SEGMENT_SUFFIX, COMPACTED_SUFFIX, UNLOGGED_SUFFIX)
        for path in walk_files(day, suffix)
    ]


def _read_while_compacted(
    list_files: Callable[[], list[str]], keys: Sequence[SecretKey]
) -> tuple[list[Segment], list[UnloggedRows]]:
    """Reads files, anew where a compaction replaced one of them meanwhile."""
    for tries_left in reversed(range(_TRIES)):
        try:
            return _read_files(list_files(), keys)
        except FileNotFoundError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _read_files(
    paths: Sequence[str], keys: Sequence[SecretKey]
) -> tuple[list[Segment], list[UnloggedRows]]:
    # Before the segments: what one of these replaces is not read again.
    compacted = {
        path: parse_compacted(read_bytes(path), keys)
        for path in paths
        if path.endswith(COMPACTED_SUFFIX)
    }
    replaced = {
        join(os.path.dirname(path), name)
        for path, (_, names) in compacted.items()
        for name in names
    }
    segments = [segment for path, (segment, _) in compacted.items() if path not in replaced]
    segments += [
        parse_segment(read_bytes(path), keys)
        for path in paths
        if path.endswith(SEGMENT_SUFFIX) and path not in replaced
    ]
    found = [read_unlogged(path) for path in paths if path.endswith(UNLOGGED_SUFFIX)]
    return segments, [note for note in found if note is not None]


def _evenly_sampled(table: pa.Table) -> tuple[pa.Table, float]:
    """Returns the rows that the lowest sampling rate among them would have logged, and that rate.

    Sampling goes by a hash of the key, so this is exactly the sample that one rate for all would
    have left: counts, quantiles and tests need no weights.
    """
    rates = pc.fill_null(table.column("sampling_rate"), 1.0)
    lowest = pc.min(rates).as_py() if len(table) else None
    if lowest is None or not 0.0 < lowest < 1.0 or pc.max(rates).as_py() == lowest:
        return table, lowest if lowest is not None and 0.0 < lowest < 1.0 else 1.0
    keys = _request_keys(table).to_pylist()
    stays = np.fromiter((sampling_position(key) < lowest for key in keys), bool, len(keys))
    return table.filter(pa.array(stays)), lowest


def _request_keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.coalesce(table.column(REQUEST_KEY.name), table.column("request_id"))


def logged_days(log_dir: str, model_name: str) -> list[str]:
    """Returns the UTC days that a log has a folder of, as `YYYY-MM-DD`, oldest first."""
    names = list_folder(join(log_dir, model_name))
    return sorted(
        name.removeprefix(PARTITION_PREFIX) for name in names if name.startswith(PARTITION_PREFIX)
    )


def _days(folder: str, start_ms: int, end_ms: int) -> Iterator[str]:
    first = day_of(max(start_ms, 0))
    # The end is exclusive: its own day is read only if the window reaches into it.
    last = day_of(min(max(end_ms - 1, 0), MAX_EVENT_TIME_MS))
    for name in list_folder(folder):
        if not name.startswith(PARTITION_PREFIX):
            continue
        if first <= name.removeprefix(PARTITION_PREFIX) <= last and is_folder(join(folder, name)):
            yield join(folder, name)


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
    keys = identity_keys(_request_keys(table), table.column("instance_index"))
    _, first_in_order = np.unique(keys[order], return_index=True)
    is_first = np.zeros(len(keys), dtype=bool)
    is_first[order[first_in_order]] = True
    duplicates = int(np.count_nonzero(inside & ~is_first))
    kept = table.filter(pa.array(inside & is_first))
    by = [("event_time_ms", "ascending"), *((name, "ascending") for name in IDENTITY)]
    return kept.take(pc.sort_indices(kept, sort_keys=by)).combine_chunks(), duplicates
