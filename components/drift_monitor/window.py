"""Which rows of a prediction log belong to the comparison, and under which names?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.prediction_log.record import FEATURE_PREFIX, OUTPUT_PREFIX, STATUS_OK
from components.prediction_log.window_files import Window

_TIME = "event_time_ms"
_REQUIRED = ("model_version", "status")


@dataclass(frozen=True)
class WindowRows:
    """The rows of one window that the model answered.

    Attributes:
        window: Its id, such as `2013-04`.
        model_name: The model that answered.
        columns: Features by plain name and outputs by `output.<name>`, each of `rows` values.
        rows: Rows answered with status ok.
        failed_rows: Rows answered with an error.
        model_versions: Rows answered with status ok by each version.
        start_ms: Begin of the window, milliseconds UTC; 0 where nobody knows.
        end_ms: End of the window, exclusive.
        event_times_ms: When each row of the log happened, of shape (rows + failed_rows,).
    """

    window: str
    model_name: str
    columns: Mapping[str, Any]
    rows: int
    failed_rows: int
    model_versions: Mapping[int, int]
    start_ms: int = 0
    end_ms: int = 0
    event_times_ms: Any = None

    @property
    def features(self) -> frozenset[str]:
        """Names of the features."""
        return frozenset(name for name in self.columns if not name.startswith(OUTPUT_PREFIX))


def read_window(table: Any, about: Window) -> WindowRows:
    """Returns the comparable rows of a prediction log.

    Args:
        table: `rows.parquet` of a PredictionLog artifact, as a pyarrow table.
        about: What its `window.json` says.

    Raises:
        DataError: The table is no prediction log, or does not have the rows that it should.
    """
    lacking = [name for name in _REQUIRED if name not in table.column_names]
    if lacking and table.num_rows:
        raise DataError(
            f"Expected the prediction record's columns, received none called {lacking}. "
            "Make the log with PredictionLogGen."
        )
    if about.rows != table.num_rows:
        raise DataError(
            f"Expected {about.rows} rows as window.json says, received {table.num_rows}: "
            "rows.parquet and window.json are not of one run. Make the log again."
        )
    if not table.num_rows:
        return WindowRows(about.window, about.model_name, {}, 0, 0, {})
    answered = table.filter(pc.fill_null(pc.equal(table.column("status"), STATUS_OK), False))
    return WindowRows(
        window=about.window,
        model_name=about.model_name,
        columns=_columns(answered),
        rows=answered.num_rows,
        failed_rows=table.num_rows - answered.num_rows,
        model_versions=_versions(answered),
        start_ms=about.start_ms,
        end_ms=about.end_ms,
        event_times_ms=_event_times(table),
    )


def _event_times(table: Any) -> Any:
    if _TIME not in table.column_names:
        return None
    return table.column(_TIME).drop_null().cast(pa.int64()).to_numpy()


def _columns(table: Any) -> dict[str, Any]:
    columns = {}
    for name in table.column_names:
        if name.startswith(FEATURE_PREFIX):
            columns[name.removeprefix(FEATURE_PREFIX)] = table.column(name)
        elif name.startswith(OUTPUT_PREFIX):
            columns[name] = table.column(name)
    return columns


def _versions(table: Any) -> dict[int, int]:
    pairs = pc.value_counts(table.column("model_version")).to_pylist()
    known = [(pair["values"], pair["counts"]) for pair in pairs if pair["values"] is not None]
    return {int(version): int(rows) for version, rows in sorted(known)}
