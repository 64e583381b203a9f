"""Features that an endpoint was asked about, as a table: `sagemaker:PREFIX[::FROM/TO]`.

FROM and TO are times in ISO 8601, TO exclusive; without them all captures are read.
"""

from collections.abc import Mapping

import pyarrow as pa

from tfx_loop.contracts.capture_source import CAPTURES_SCHEME, CaptureSource
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.prediction_log.importers.calls import RejectedRecordError, milliseconds
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.data.prediction_log.record import (
    FEATURE_PREFIX,
    MAX_EVENT_TIME_MS,
    feature_columns,
)

_BEHIND_PREFIX = "::"


def captured_features(path: str) -> tuple[pa.Table, Mapping[str, int]]:
    """Returns the features by their own names, and how many lines were rejected, by reason.

    Raises:
        ConfigError: FROM or TO is no time, or there are several endpoints or variants: a variant's
            own prefix names one.
        DataError: There are no captures, or none became rows.
    """
    prefix, _, period = path.removeprefix(CAPTURES_SCHEME).partition(_BEHIND_PREFIX)
    start_ms, end_ms = _period(period) if period else (0, MAX_EVENT_TIME_MS)
    found = read_captures(
        CaptureSource(prefix=prefix), "captured", start_ms, end_ms, clients_only=True
    )
    rejected = found.losses.rejected_captures
    if not len(found.table):
        told = ", ".join(f"{reason} {number}" for reason, number in rejected.items())
        raise DataError(
            f"Expected captured rows at {path}, received none ({told or 'no lines there'}). Check "
            "the prefix and the times."
        )
    columns = feature_columns(found.table.column_names)
    names = [name.removeprefix(FEATURE_PREFIX) for name in columns]
    return found.table.select(columns).rename_columns(names), rejected


def _period(text: str) -> tuple[int, int]:
    first, _, last = text.partition("/")
    try:
        return milliseconds(first), milliseconds(last)
    except RejectedRecordError as error:
        raise ConfigError(
            f"Expected FROM/TO behind {_BEHIND_PREFIX}, such as 2026-11-01/2026-12-01, received "
            f"{text!r}."
        ) from error
