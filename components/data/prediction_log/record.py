"""The prediction record: one logged prediction, in memory and on disk.

One row per scored instance. `request_id` and `instance_index` identify it.
"""

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.errors import ConfigError, DataError

Array = npt.NDArray[Any]

# Hive's way of naming partitions, which Spark, DuckDB and Arrow read.
PARTITION_PREFIX = "date="
FEATURE_PREFIX = "feature."
OUTPUT_PREFIX = "output."
STATUS_OK = "ok"
IDENTITY = ("request_id", "instance_index")
# The last millisecond of the year 9999: what a day partition can name.
MAX_EVENT_TIME_MS = 253_402_300_799_999

ENVELOPE = pa.schema(
    [
        ("request_id", pa.string()),
        ("instance_index", pa.int32()),
        ("event_time_ms", pa.int64()),
        ("model_name", pa.string()),
        ("model_version", pa.int64()),
        ("variant", pa.string()),
        ("sampling_rate", pa.float64()),
        ("status", pa.string()),
        ("latency_ms", pa.float64()),
    ]
)
# What LabelJoiner adds.
LABEL_COLUMNS = ("label", "label_time_ms")
# Only in segment files: which of two answers to the same request came first.
ANSWERED_TIME = pa.field("answered_time_ms", pa.int64())
# Only there, too: which requests are one and the same (null: those of one id), and which only saw
# whether a model answers right, so that they are no traffic.
REQUEST_KEY = pa.field("request_key", pa.string())
GOLDEN = pa.field("golden", pa.bool_())
# And which trace a request belongs to, for who looks a row up (null: none).
TRACE_ID = pa.field("trace_id", pa.string())
SEGMENT_FIELDS = (ANSWERED_TIME, REQUEST_KEY, GOLDEN, TRACE_ID)

# Taken apart once: making a batch is on the way of every request.
_ENVELOPE_FIELDS = tuple((field, field.name, field.type) for field in ENVELOPE)

_STRING, _INT64, _FLOAT64 = pa.string(), pa.int64(), pa.float64()

# Fields that are the same from request to request, so that their columns can be made once.
_STEADY = frozenset({"model_name", "model_version", "variant", "sampling_rate", "status"})
# 1,024 cached columns of so many rows stay below some MB; larger batches are rare and pay less.
_MAX_CACHED_ROWS = 256

# It becomes a folder: no separator, and no leading dot or dash.
_MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")
# Printable ASCII: fit for an HTTP header and for a log line.
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What all rows of one answered request have in common.

    Attributes:
        request_id: Given by the client, or made by the server.
        event_time_ms: When the event happened, UTC.
        model_name: The model that answered.
        model_version: Its version.
        variant: Which optimisation of the model it is.
        latency_ms: How long the answer took, in milliseconds.
        answered_time_ms: When it was answered, UTC.
        sampling_rate: The share of requests that is logged.
        status: `ok` for an answer.
        request_key: The same for a request and its repeats; empty where the id says so.
        golden: Whether the pusher asked, to see whether the model answers right.
        trace_id: The trace that the request belongs to; empty for none.
    """

    request_id: str
    event_time_ms: int
    model_name: str
    model_version: int
    variant: str
    latency_ms: float
    answered_time_ms: int
    sampling_rate: float = 1.0
    status: str = STATUS_OK
    request_key: str = ""
    golden: bool = False
    trace_id: str = ""


def check_model_name(name: str) -> str:
    """Returns a model name that is safe as a folder name.

    Raises:
        ConfigError: It could leave its folder, or no file system would take it.
    """
    if not _MODEL_NAME.fullmatch(name):
        raise ConfigError(
            "Expected a model name of letters, digits, '_', '-' and '.', at most 128 long and not "
            f"starting with '.' or '-', received: {name!r}."
        )
    return name


# How the ids of golden requests begin. Logs of releases that did not mark them have nothing else.
GOLDEN_PREFIX = "golden-"


def check_request_id(text: str, header: str = "x-request-id") -> str:
    """Returns a request id, or another key of requests, that is fit for headers and columns.

    Raises:
        DataError: It is empty, longer than 256, or holds blanks or non-ASCII characters.
    """
    if not _REQUEST_ID.fullmatch(text):
        raise DataError(
            f"{header} must be 1 to 256 printable ASCII characters without blanks, "
            f"got: {text[:64]!r}."
        )
    return text


def check_event_time(text: str) -> int:
    """Returns an event time in milliseconds since the epoch, UTC.

    Raises:
        DataError: It is no whole number, or lies outside of the years 1970 to 9999.
    """
    if re.fullmatch(r"[0-9]{1,15}", text) and int(text) <= MAX_EVENT_TIME_MS:
        return int(text)
    raise DataError(
        "x-event-time-ms must be whole milliseconds since 1970 UTC "
        f"(0 to {MAX_EVENT_TIME_MS}), got: {text[:64]!r}."
    )


def day_of(time_ms: int) -> str:
    """Returns the UTC day of a time, as `YYYY-MM-DD`."""
    # Whole days first: a double of milliseconds may round the last one of a day into the next.
    return _day(time_ms // MS_PER_DAY)


@functools.lru_cache(maxsize=1024)
def _day(days: int) -> str:
    return datetime.fromtimestamp(days * MS_PER_DAY // 1000, tz=timezone.utc).strftime("%Y-%m-%d")


def sampling_position(key: str) -> float:
    """Returns where a request lies in [0, 1): a rate above it logs the request.

    The same for a request and its repeats on every server, so that what a lower rate would have
    logged can be told among what a higher one did.
    """
    return _position(key, b"sampling")


def routing_position(key: str) -> float:
    """Returns where a request lies in [0, 1) for the share of a canary.

    Independent of `sampling_position`: else a small sample would be the canary's alone.
    """
    return _position(key, b"routing")


def _position(key: str, purpose: bytes) -> float:
    # 64 bits of a key: enough to draw by. `person` keeps the draws of two purposes apart.
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=purpose).digest()
    # 53 bits are what a double holds.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def make_batch(
    envelope: Envelope,
    rows: int,
    features: Mapping[str, Array | pa.Array],
    outputs: Mapping[str, Array | pa.Array],
) -> pa.RecordBatch:
    """Returns the rows of one answered request, columns in a fixed order.

    Args:
        envelope: What the rows have in common.
        rows: How many there are.
        features: Raw feature name to values, `rows` long.
        outputs: Output name to values, `rows` long.
    """
    return make_joined_batch([envelope], [rows], features, outputs)


def make_joined_batch(
    envelopes: Sequence[Envelope],
    rows: Sequence[int],
    features: Mapping[str, Array | pa.Array],
    outputs: Mapping[str, Array | pa.Array],
) -> pa.RecordBatch:
    """Returns the rows of requests that were answered together, as `make_batch` does of one.

    Args:
        envelopes: What the rows of each request have in common; they share model, version, variant
            and sampling rate.
        rows: How many each has.
        features: Raw feature name to values, of all requests behind each other.
        outputs: Output name to values, the same.
    """
    first, total = envelopes[0], sum(rows)
    columns: list[pa.Array] = []
    for _, name, kind in _ENVELOPE_FIELDS:
        if name == "instance_index":
            index = np.zeros(total, np.int32) if total == len(rows) else _positions(rows)
            columns.append(to_arrow(index))
        elif name in _STEADY and total <= _MAX_CACHED_ROWS:
            columns.append(_cached(getattr(first, name), total, kind))
        elif name in _STEADY:
            columns.append(pa.array([getattr(first, name)] * total, type=kind))
        else:
            columns.append(_column([getattr(e, name) for e in envelopes], rows, total, kind))
    fields = [field for field, _, _ in _ENVELOPE_FIELDS]
    for prefix, group in ((FEATURE_PREFIX, features), (OUTPUT_PREFIX, outputs)):
        for name in sorted(group):
            column = to_arrow(group[name])
            fields.append(pa.field(prefix + name, column.type))
            columns.append(column)
    own: tuple[list[Any], ...] = (
        [e.answered_time_ms for e in envelopes],
        [e.request_key or None for e in envelopes],
        [e.golden for e in envelopes],
        [e.trace_id or None for e in envelopes],
    )
    for field, values in zip(SEGMENT_FIELDS, own, strict=True):
        fields.append(field)
        columns.append(_column(values, rows, total, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _column(values: Sequence[Any], rows: Sequence[int], total: int, kind: pa.DataType) -> pa.Array:
    """Returns a column of a value for each request, repeated for its rows."""
    # As a rule no request has a key, and none is golden.
    if values[0] in (None, False) and total <= _MAX_CACHED_ROWS and len(set(values)) == 1:
        return _cached(values[0], total, kind)
    if total != len(rows):
        values = [value for value, times in zip(values, rows, strict=True) for _ in range(times)]
    if kind == _STRING and None not in values:
        # What pa.array does takes ten times as long, on the way of every request.
        encoded = [value.encode() for value in values]
        offsets = np.zeros(total + 1, np.int32)
        np.cumsum([len(value) for value in encoded], out=offsets[1:])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
        return pa.Array.from_buffers(kind, total, buffers)
    if kind in (_INT64, _FLOAT64):
        return to_arrow(np.array(values, dtype=kind.to_pandas_dtype()))
    return pa.array(values, type=kind)


def _positions(rows: Sequence[int]) -> Array:
    return np.concatenate([np.arange(times, dtype=np.int32) for times in rows])


def to_arrow(values: Array | pa.Array) -> pa.Array:
    """Returns a column: scalars for shapes [n] and [n, 1], lists for wider rows."""
    if isinstance(values, pa.Array):
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim > 1:
        flat = to_arrow(values.reshape(-1))
        width = len(flat) // max(len(values), 1)
        offsets = np.arange(len(values) + 1, dtype=np.int32) * width
        return pa.ListArray.from_arrays(pa.array(offsets), flat)
    if values.dtype.kind in "OSU":
        return pa.array([_text(value) for value in values.tolist()], type=pa.string())
    # Parquet had no half floats before pyarrow 15.
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype.kind in "iuf" and values.dtype.isnative:
        # Twice as fast as pa.array, which matters on the way of every request.
        kind = pa.from_numpy_dtype(values.dtype)
        buffer = pa.py_buffer(np.ascontiguousarray(values))
        return pa.Array.from_buffers(kind, len(values), [None, buffer])
    return pa.array(values)


@functools.lru_cache(maxsize=1024)
def _cached(value: object, rows: int, kind: pa.DataType) -> pa.Array:
    # No slices of one long column: what Arrow writes of them is longer.
    return pa.array([value] * rows, type=kind)


def _text(value: object) -> "str | None":
    # Bytes that are no UTF-8 are shown escaped, so that no request can make a log unreadable.
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return None if value is None else str(value)


def feature_columns(names: Sequence[str]) -> list[str]:
    """Returns the feature columns among column names, in their order."""
    return [name for name in names if name.startswith(FEATURE_PREFIX)]


def output_columns(names: Sequence[str]) -> list[str]:
    """Returns the output columns among column names, in their order."""
    return [name for name in names if name.startswith(OUTPUT_PREFIX)]
