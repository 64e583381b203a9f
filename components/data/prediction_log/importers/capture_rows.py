"""Lines of captures as tables of the prediction log, with every line accounted for.

    lines that are not blank = calls + rejected + outside

Some ten thousand calls become one table at once: a table for each would take ten times as long.
Where their values do not fit into one column, halves are tried, down to the single call.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.durations import MS_PER_HOUR
from tfx_loop.data.prediction_log.importers.calls import RejectedRecordError
from tfx_loop.data.prediction_log.importers.capture_files import CaptureFile
from tfx_loop.data.prediction_log.importers.data_capture import (
    CapturedCall,
    CapturedNames,
    Rows,
    parse_capture,
    parse_event,
)
from tfx_loop.data.prediction_log.importers.json_payloads import parse_object
from tfx_loop.data.prediction_log.record import (
    ANSWERED_TIME,
    FEATURE_PREFIX,
    GOLDEN,
    MAX_EVENT_TIME_MS,
    OUTPUT_PREFIX,
    REQUEST_KEY,
    STATUS_OK,
    TRACE_ID,
)

# A payload of SageMaker's real-time endpoints has at most 25 MB; escaped in JSON twice as many, and
# a line has two.
_LONGEST_LINE = 128 * 1024 * 1024
# What Arrow raises of values that do not fit into one column.
_OTHER_TYPES = (pa.ArrowException, TypeError, OverflowError)
# Some hundred bytes a row: what is held as Python's values before it becomes a table.
_ROWS_HELD = 50_000


@dataclass(frozen=True, kw_only=True)
class CaptureCounts:
    """What became of lines.

    Attributes:
        calls: Lines that became rows, as many as they have instances.
        outside: Lines of other windows, and golden ones where clients' alone are asked for.
        rejected: Lines that did not become rows, by reason (`calls.REASONS`).
    """

    calls: int = 0
    outside: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


class _VersionedCall(NamedTuple):
    call: CapturedCall
    version: int


class CaptureTables:
    """Tables of the captures of one window, from the files that are added."""

    def __init__(
        self,
        source: CaptureSource,
        model_name: str,
        window: tuple[int, int] | None = None,
        default_time_ms: int | None = None,
        *,
        clients_only: bool = False,
    ) -> None:
        """Begins with none.

        Args:
            source: Which variants count, and what captures leave unsaid.
            model_name: The name that rows get.
            window: Begin and end, milliseconds UTC; None takes all there is.
            default_time_ms: Of lines without an inferenceTime; None rejects them.
            clients_only: Whether golden lines are passed over.
        """
        self._source, self._model_name, self._window = source, model_name, window
        self._default_time_ms, self._clients_only = default_time_ms, clients_only
        self._names = CapturedNames(features=source.feature_names, outputs=source.output_names)
        self._rate = source.sampling_percentage / 100
        self._margin_ms = source.margin_hours * MS_PER_HOUR
        self._held: list[_VersionedCall] = []
        self._held_rows = self._calls = self._outside = 0
        self._rejected = Counter[str]()
        self._tables: list[pa.Table] = []

    @property
    def counts(self) -> CaptureCounts:
        """What became of the lines; `take` comes first."""
        return CaptureCounts(
            calls=self._calls, outside=self._outside, rejected=dict(sorted(self._rejected.items()))
        )

    @property
    def rows(self) -> int:
        """How many rows wait for `take`."""
        return self._held_rows + sum(map(len, self._tables))

    def take(self) -> list[pa.Table]:
        """Returns the tables, in the columns of segments, and begins with none again."""
        self._tables += self._made(self._held)
        self._held, self._held_rows = [], 0
        tables, self._tables = self._tables, []
        return tables

    def add(self, file: CaptureFile, content: bytes) -> None:
        """Adds the lines of a file."""
        serves = self._source.serves(file.variant)
        for line in io.BytesIO(content):
            if line.strip():
                self._add_line(file, line, serves)
            if self._held_rows >= _ROWS_HELD:
                self._tables = self.take()

    def _add_line(self, file: CaptureFile, line: bytes, serves: bool) -> None:
        try:
            if len(line) > _LONGEST_LINE:
                raise RejectedRecordError("too_long", f"Expected {_LONGEST_LINE} bytes a line.")
            record = parse_object(line)
            event = parse_event(record, self._default_time_ms)
            if event.time_ms is None:
                # What else is wrong with it says more.
                parse_capture(record, event, self._names)
            if event.time_ms is None or not 0 <= event.time_ms <= MAX_EVENT_TIME_MS:
                raise RejectedRecordError("no_time", "Expected an inferenceTime since 1970.")
        except RejectedRecordError as error:
            # Nobody knows when it was: its folder does.
            cut = error.reason == "no_json" and not line.endswith(b"\n")
            self._reject("cut_line" if cut else error.reason, self._holds(file.hour_ms))
            return
        here, near = self._holds(file.hour_ms), self._is_near(event.time_ms, file.hour_ms)
        if not self._holds(event.time_ms) or not (here or near):
            # The window of its time does not read its folder, so that of its folder counts it.
            self._reject("misplaced", here and not near)
            return
        if self._clients_only and event.golden:
            self._outside += 1
            return
        try:
            if not serves:
                raise RejectedRecordError("shadow_variant", "Expected a production variant.")
            self._hold(file, parse_capture(record, event, self._names))
        except RejectedRecordError as error:
            self._reject(error.reason)

    def _holds(self, time_ms: int | None) -> bool:
        """Says whether a time is in the window; None, of no folder of an hour, is in each."""
        return (
            self._window is None
            or time_ms is None
            or (self._window[0] <= time_ms < self._window[1])
        )

    def _is_near(self, time_ms: int, hour_ms: int | None) -> bool:
        """Says whether whatever window a time is in reads the folder of an hour."""
        if hour_ms is None or self._window is None:
            return True
        return hour_ms - self._margin_ms <= time_ms < hour_ms + MS_PER_HOUR + self._margin_ms

    def _reject(self, reason: str, inside: bool = True) -> None:
        if inside:
            self._rejected[reason] += 1
        else:
            self._outside += 1

    def _hold(self, file: CaptureFile, call: CapturedCall) -> None:
        version = self._source.version(file.variant, call.event.time_ms or 0)
        self._held.append(_VersionedCall(call, version))
        self._held_rows += len(call.features)

    def _made(self, calls: list[_VersionedCall]) -> list[pa.Table]:
        if len(calls) > 1:
            try:
                table = _table(calls, self._model_name, self._rate)
            except _OTHER_TYPES:
                middle = len(calls) // 2
                return [*self._made(calls[:middle]), *self._made(calls[middle:])]
            self._calls += len(calls)
            return [table]
        return [table for one in calls for table in self._single(one)]

    def _single(self, one: _VersionedCall) -> list[pa.Table]:
        try:
            batch = one.call.imported(one.version, self._rate).batch(self._model_name, None)
        except RejectedRecordError as error:
            self._reject(error.reason)
            return []
        self._calls += 1
        return [pa.Table.from_batches([batch])]


def _table(calls: Sequence[_VersionedCall], model_name: str, sampling_rate: float) -> pa.Table:
    """Returns calls as one table; raises _OTHER_TYPES."""
    sizes = np.array([len(one.call.features) for one in calls])
    events = [one.call.event for one in calls]
    of_call = pa.array(np.repeat(np.arange(len(calls)), sizes))
    total = len(of_call)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)

    def repeated(values: list[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind).take(of_call)

    def constant(value: Any, kind: pa.DataType) -> pa.Array:
        return pa.array([value] * total, kind)

    times = repeated([event.time_ms for event in events], pa.int64())
    columns = {
        "request_id": repeated([event.request_id for event in events], pa.string()),
        "instance_index": pa.array((np.arange(total) - starts).astype(np.int32)),
        "event_time_ms": times,
        "model_name": constant(model_name, pa.string()),
        "model_version": repeated([one.version for one in calls], pa.int64()),
        "variant": constant("", pa.string()),
        "sampling_rate": constant(sampling_rate, pa.float64()),
        "status": constant(STATUS_OK, pa.string()),
        "latency_ms": constant(float("nan"), pa.float64()),
    }
    for prefix, rows in (
        (FEATURE_PREFIX, [row for one in calls for row in one.call.features]),
        (OUTPUT_PREFIX, [row for one in calls for row in one.call.outputs]),
    ):
        columns |= {prefix + name: values for name, values in sorted(_columns(rows).items())}
    columns[ANSWERED_TIME.name] = times
    columns[REQUEST_KEY.name] = repeated([one.request_key or None for one in events], pa.string())
    columns[GOLDEN.name] = repeated([event.golden for event in events], pa.bool_())
    columns[TRACE_ID.name] = pa.nulls(total, pa.string())
    return pa.table(columns)


def _columns(rows: Rows) -> dict[str, pa.Array]:
    """Returns rows as columns, null where a row lacks one; raises _OTHER_TYPES."""
    made = pa.array(rows)
    columns = dict(zip((field.name for field in made.type), made.flatten(), strict=True))
    for name, values in columns.items():
        kind = values.type
        if pa.types.is_struct(kind):
            raise TypeError(f"column {name!r} holds objects")
        # As `single_values` does call by call: where others lie beside them they stay lists.
        if _is_flat_list(kind) and pc.all(pc.equal(pc.list_value_length(values), 1)).as_py():
            columns[name] = values.flatten() if not values.null_count else values
    return columns


def _is_flat_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) and not pa.types.is_nested(kind.value_type))
