"""One answered call of another server, and its rows in the canonical record."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.record import (
    MAX_EVENT_TIME_MS,
    Array,
    Envelope,
    make_batch,
    to_arrow,
)

# What the columns of a record without names are called; one that has a name keeps it.
_COLUMN = "c{}"
_FRACTION = re.compile(r"\.[0-9]+")
# What Arrow raises of values of several types, and of whole numbers beyond 64 bits.
_NO_COLUMN = (pa.ArrowException, TypeError, OverflowError)
SINGLE_FEATURE, SINGLE_OUTPUT = "input", "prediction"


# What rejects are counted by, and what it means.
REASONS = {
    "no_frame": "part of a gateway's file that is damaged, or not yet whole",
    "no_body": "a body that is compressed, and cannot be unpacked",
    "other_model": "a call of another model than --model",
    "no_json": "no JSON object",
    "no_message": "no PredictionLog message",
    "no_event": "no event of a request or a response with an id",
    "no_request": "a response without its request",
    "no_response": "a request without its response",
    "ambiguous_id": "several requests of one id, so that nobody knows whose the responses are",
    "no_capture": "no record of DataCapture with an eventId",
    "no_endpointInput": "the input was not captured",
    "no_endpointOutput": "the output was not captured",
    "no_text": "base64 without text in it",
    "no_tensor": "no tensor",
    "cut_line": "the last line of a file, which ends within its record",
    "too_long": "a line longer than two payloads may be",
    "unknown_version": "an eventVersion other than 0",
    "unknown_encoding": "an encoding other than JSON, CSV and BASE64",
    "misplaced": "in the folder of an hour that the window of its inferenceTime does not read",
    "shadow_variant": "of a shadow variant, whose answers nobody got",
    "failed_call": "an error in place of an answer",
    "no_rows": "no rows, or not as many of features as of answers",
    "no_time": "no time, or none of the years 1970 to 9999; --time gives one",
    "mixed_rows": "rows of several forms or widths",
    "mixed_types": "a column of several types; --features names columns of their own",
    "other_width": "not as many columns as --features names",
}


class RejectedRecordError(DataError):
    """A record that does not become rows.

    Attributes:
        reason: What rejects are counted by, one of REASONS.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class ImportedCall:
    """One answered call.

    Attributes:
        request_id: The same for each import of it.
        request_key: What tells calls of one id apart; empty where the id does.
        event_time_ms: When, UTC; None where the log does not say.
        features: By name, a value a row.
        outputs: By name, a value a row.
        model_version: 0 where the log does not say.
        golden: Whether a pusher asked, to see whether the model answers right.
        sampling_rate: The share of calls that was logged.
        latency_ms: How long the answer took; not a number where the log does not say.
        answered_time_ms: When it was answered, UTC; None for the event's time.
        trace_id: The trace that it belongs to; empty for none.
    """

    request_id: str
    event_time_ms: int | None
    features: Mapping[str, pa.Array]
    outputs: Mapping[str, pa.Array]
    model_version: int = 0
    request_key: str = ""
    golden: bool = False
    sampling_rate: float = 1.0
    latency_ms: float = math.nan
    answered_time_ms: int | None = None
    trace_id: str = ""

    def batch(self, model_name: str, default_time_ms: int | None) -> pa.RecordBatch:
        """Returns its rows.

        Raises:
            RejectedRecordError: It has no rows, or nobody knows when it was.
        """
        sizes = {len(column) for column in (*self.features.values(), *self.outputs.values())}
        if len(sizes) != 1 or sizes == {0} or not self.features or not self.outputs:
            raise RejectedRecordError(
                "no_rows",
                "Expected features and outputs with one value for each row, received columns of "
                f"{sorted(sizes)} rows.",
            )
        time_ms = default_time_ms if self.event_time_ms is None else self.event_time_ms
        if time_ms is None:
            raise RejectedRecordError(
                "no_time",
                "Expected the time of a call, which its log does not have. Give a default time.",
            )
        if not 0 <= time_ms <= MAX_EVENT_TIME_MS:
            raise RejectedRecordError("no_time", f"Expected a time since 1970, received {time_ms}.")
        envelope = Envelope(
            request_id=self.request_id,
            event_time_ms=time_ms,
            model_name=model_name,
            model_version=self.model_version,
            variant="",
            latency_ms=self.latency_ms,
            answered_time_ms=time_ms if self.answered_time_ms is None else self.answered_time_ms,
            request_key=self.request_key,
            golden=self.golden,
            sampling_rate=self.sampling_rate,
            trace_id=self.trace_id,
        )
        return make_batch(envelope, sizes.pop(), self.features, self.outputs)


def milliseconds(text: str) -> int:
    """Returns a time in ISO 8601 as milliseconds UTC; without a zone it is UTC.

    Raises:
        RejectedRecordError: It is none.
    """
    # Go writes nanoseconds; Python before 3.11 reads three digits of a fraction, or six.
    plain = _FRACTION.sub(lambda digits: f"{digits[0]:0<7}"[:7], text.replace("Z", "+00:00"))
    try:
        found = datetime.fromisoformat(plain)
    except ValueError as error:
        raise RejectedRecordError(
            "no_time", f"Expected a time in ISO 8601, received {text[:40]!r}."
        ) from error
    aware = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return int(aware.timestamp() * 1000)


def columns_of(rows: Any, single: str, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Returns JSON rows as columns: objects by key, lists by place, and values as one column.

    Args:
        rows: A list with an item a row.
        single: What a column of plain values is called.
        names: What the places of lists are called.

    Raises:
        RejectedRecordError: The rows are no list, or differ in form.
    """
    if not isinstance(rows, list) or not rows:
        raise RejectedRecordError("no_rows", f"Expected a list of rows, received {rows!r:.80}.")
    kinds = {dict if isinstance(r, dict) else list if isinstance(r, list) else None for r in rows}
    if kinds == {dict}:
        keys = list(dict.fromkeys(key for row in rows for key in row))
        return {str(key): [row.get(key) for row in rows] for key in keys}
    if kinds == {list} and names:
        if any(len(row) != len(names) for row in rows):
            raise _other_width(names, len(rows[0]))
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}
    if len(kinds) != 1:
        raise RejectedRecordError("mixed_rows", "Expected rows of one form, received several.")
    return {single: rows}


def numbered(table: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Returns rows of cells as columns, called c0, c1, … where they have no names."""
    width = len(table[0]) if table else 0
    if not width or any(len(row) != width for row in table):
        raise RejectedRecordError("mixed_rows", "Expected rows with as many cells each.")
    if names and len(names) != width:
        raise _other_width(names, width)
    known = list(names) or [_COLUMN.format(i) for i in range(width)]
    return {name: [row[i] for row in table] for i, name in enumerate(known)}


def named(columns: dict[str, list[Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Returns one column of lists as columns with names; others, or without names, as they are.

    Raises:
        RejectedRecordError: It has another width, or rows of several.
    """
    ((name, rows),) = columns.items() if len(columns) == 1 else (("", []),)
    if not names or name in names or not rows or not all(isinstance(row, list) for row in rows):
        return columns
    return numbered(rows, names)


def arrow_columns(columns: Mapping[str, list[Any]]) -> dict[str, pa.Array]:
    """Returns columns of Python's values as Arrow's; lists of one value a row are that value.

    Raises:
        RejectedRecordError: Values of one column have several types.
    """
    return {name: column(single_values(values)) for name, values in columns.items()}


def single_values(values: list[Any]) -> list[Any]:
    """Returns a column of shape [n, 1] as one of shape [n], as servers log it; others as it is."""
    if all(isinstance(v, list) and len(v) == 1 and not isinstance(v[0], list) for v in values):
        return [value[0] for value in values]
    return values


def split(columns: Mapping[str, pa.Array], names: Sequence[str]) -> Mapping[str, pa.Array]:
    """Returns a matrix as columns with names; anything else, or without names, as it is.

    Raises:
        RejectedRecordError: It has another width.
    """
    (matrix,) = columns.values() if len(columns) == 1 else (None,)
    if not names or matrix is None or not pa.types.is_list(matrix.type):
        return columns
    widths = {len(row) for row in matrix}
    if widths != {len(names)}:
        raise _other_width(names, max(widths, default=0))
    cells = matrix.flatten()
    return {
        name: cells.take(pa.array(range(place, len(cells), len(names))))
        for place, name in enumerate(names)
    }


def _other_width(names: Sequence[str], width: int) -> RejectedRecordError:
    return RejectedRecordError(
        "other_width", f"Expected {len(names)} columns, as there are names, received {width}."
    )


def column(values: Sequence[Any]) -> pa.Array:
    """Returns a column; whole numbers and fractions together are fractions.

    Raises:
        RejectedRecordError: Values of one column have several types.
    """
    try:
        return pa.array(values)
    except _NO_COLUMN:
        pass
    try:
        return pa.array(
            # A truth value among numbers stays one, and makes the column a refused mixture.
            [float(v) if isinstance(v, int | float) and v is not True else v for v in values]
        )
    except _NO_COLUMN as error:
        raise RejectedRecordError(
            "mixed_types", f"Expected values of one type in a column: {error}"
        ) from error


def array_column(values: Array) -> pa.Array:
    """Returns a tensor's rows as a column; those of more than two dimensions are flattened."""
    rows = values.reshape(len(values), -1) if values.ndim > 2 else values
    return to_arrow(np.asarray(rows))
