"""Files of one window of the prediction log in an artifact's folder."""

import io
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_bytes, read_json, write_bytes, write_json
from tfx_loop.data.prediction_log.files import join

ROWS_FILE = "rows.parquet"
WINDOW_FILE = "window.json"
SCHEMA_VERSION = 1
# Some hundred bytes a row: what a worker holds at once.
_ROWS_PER_GROUP = 100_000


@dataclass(frozen=True, kw_only=True)
class LogWindow:
    """What `window.json` says.

    Attributes:
        window: Its name, such as "2013-03".
        start_ms: Its begin, milliseconds UTC.
        end_ms: Its end, exclusive.
        model_name: Whose predictions these are.
        rows: How many there are.
        losses: What of the log could not become rows, by kind.
        labels: Where label rows went, by kind; None for a log without labels.
    """

    window: str
    start_ms: int
    end_ms: int
    model_name: str
    rows: int
    losses: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] | None = None


def write_window(uri: str, window: LogWindow, rows: pa.Table) -> None:
    """Writes both files; `window.json` comes last, so that it vouches for the rows."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd", row_group_size=_ROWS_PER_GROUP)
    write_bytes(join(uri, ROWS_FILE), buffer.getvalue())
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "window": window.window,
        "start_ms": window.start_ms,
        "end_ms": window.end_ms,
        "model_name": window.model_name,
        "rows": window.rows,
        "losses": window.losses,
    }
    if window.labels is not None:
        content["labels"] = window.labels
    write_json(join(uri, WINDOW_FILE), content)


def read_window_json(uri: str) -> LogWindow:
    """Returns what `window.json` in an artifact's folder says.

    Raises:
        DataError: It was written by another version, or lacks a field.
    """
    path = join(uri, WINDOW_FILE)
    content = read_json(path)
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"Expected schema_version {SCHEMA_VERSION} in {path}, "
            f"received {content.get('schema_version')!r}."
        )
    try:
        return LogWindow(
            window=str(content["window"]),
            start_ms=int(content["start_ms"]),
            end_ms=int(content["end_ms"]),
            model_name=str(content["model_name"]),
            rows=int(content["rows"]),
            losses=dict(content["losses"]),
            labels=dict(content["labels"]) if "labels" in content else None,
        )
    except KeyError as error:
        raise DataError(f"Expected the field {error} in {path}, found none.") from error


def read_rows(uri: str, columns: list[str] | None = None) -> pa.Table:
    """Returns the rows of a window, or some of their columns."""
    return pq.read_table(pa.BufferReader(read_bytes(join(uri, ROWS_FILE))), columns=columns)
