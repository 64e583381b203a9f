"""Files of one window of the prediction log in an artifact's folder."""

from dataclasses import dataclass, field

import pyarrow as pa

from tfx_loop.core.folders import join
from tfx_loop.core.json_codec import LEFT_OUT, default_left_out, none_as
from tfx_loop.core.json_file import JsonFile
from tfx_loop.core.storage import private_folder, read_bytes
from tfx_loop.data.prediction_log.labels import LabelCounts
from tfx_loop.data.prediction_log.losses import LogLosses
from tfx_loop.data.tables.parquet_files import parquet_table, save_rows

ROWS_FILE = "rows.parquet"
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
        losses: What of the log could not become rows.
        sampling_rate: The share of requests that was logged: each row stands for 1 / rate.
        labels: Where label rows went; None for a log without labels.
    """

    window: str
    start_ms: int
    end_ms: int
    model_name: str
    rows: int
    losses: LogLosses = field(default_factory=LogLosses)
    sampling_rate: float = field(default=1.0, metadata=default_left_out())
    labels: LabelCounts | None = field(default=None, metadata=none_as(LEFT_OUT))


LOG_WINDOW = JsonFile(
    name="window.json",
    kind=LogWindow,
    title="a window of the prediction log",
    remedy="Run PredictionLogGen of this release on the window again.",
)


def write_window(uri: str, window: LogWindow, rows: pa.Table) -> None:
    """Writes both files; `window.json` comes last, so that it vouches for the rows."""
    private_folder(uri)
    path = join(uri, ROWS_FILE)
    save_rows(rows, path, compression="zstd", row_group_size=_ROWS_PER_GROUP)
    LOG_WINDOW.write(window, uri)


def read_rows(uri: str, columns: list[str] | None = None) -> pa.Table:
    """Returns the rows of a window, or some of their columns."""
    return parquet_table(read_bytes(join(uri, ROWS_FILE)), columns)
