"""Layout of a table: which columns are features, and which say whose row it is, when, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.durations import MS_PER_DAY, MS_PER_HOUR
from tfx_loop.core.errors import ConfigError

_MS = {"": 0, "hour": MS_PER_HOUR, "day": MS_PER_DAY}
_NAMES = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a table has what the window profile needs. A column that is not there is not used.

    Attributes:
        feature_prefix: What stands before the features' names.
        score: Column with the model's score; empty for none.
        identity: Columns that identify a row; the sample is drawn by them. Without them no sample
            is kept, as a row could not be told from its repetition.
        model_version: Column with the version that answered.
        sampling_rate: Column with the share of rows that were logged, in (0, 1].
        status: Column that says "ok" for an answer; other rows are counted apart.
        event_time: Column with milliseconds UTC; the sample's order.
        group: Column whose equal values say which rows belong together; empty for none.
        in_order: Rows depend on those before them by event time.
        window: Windows that rows are put into by event time: `hour`, `day` or "" for one of all.
        ignored: Columns that are no features, beside those above and what the reference ignores.
        sample_rows: Rows of the sample for tests of all features together; 0 for none.
    """

    feature_prefix: str = ""
    score: str = ""
    identity: tuple[str, ...] = ("request_id", "instance_index")
    model_version: str = "model_version"
    sampling_rate: str = "sampling_rate"
    status: str = "status"
    event_time: str = "event_time_ms"
    group: str = ""
    in_order: bool = False
    window: str = ""
    ignored: tuple[str, ...] = ("model_name", "variant", "latency_ms", "answered_time_ms")
    sample_rows: int = 1_000

    def __post_init__(self) -> None:
        if self.window not in _MS:
            raise ConfigError(f"window must be 'hour', 'day' or '', got {self.window!r}.")
        if not 0 <= self.sample_rows <= 20_000:
            raise ConfigError(f"sample_rows must be from 0 to 20,000, got {self.sample_rows}.")

    @property
    def envelope(self) -> frozenset[str]:
        """Names of the columns that are no features."""
        named = (self.model_version, self.sampling_rate, self.status, self.event_time, self.score)
        return frozenset({*named, *self.identity, *self.ignored} - {""})


PLAIN = Layout()
PREDICTION_LOG = Layout(feature_prefix="feature.", score="output.probability")


@dataclass(frozen=True)
class RowGroup:
    """Rows of one batch that are counted together: a version's answers in a window, at one rate."""

    model_version: int
    window: str
    sampling_rate: float
    rows: Any


def column_of(batch: Any, name: str) -> Any:
    """Returns a column of a record batch, or None where there is none."""
    place = batch.schema.get_field_index(name) if name else -1
    return batch.column(place) if place >= 0 else None


def answered(batch: Any, layout: Layout) -> Any:
    """Says which rows were answered with status ok; None for all of them."""
    status = column_of(batch, layout.status)
    if status is None:
        return None
    kept = pc.fill_null(pc.equal(status, "ok"), False)
    return None if pc.all(kept).as_py() in (True, None) else kept


def groups(batch: Any, layout: Layout) -> Iterator[RowGroup]:
    """Yields the groups of a record batch with their rows."""
    if not batch.num_rows:
        return
    versions = _whole(column_of(batch, layout.model_version), batch.num_rows)
    hours = np.zeros(batch.num_rows, dtype=np.int64)
    if layout.window:
        times = column_of(batch, layout.event_time)
        hours = _whole(times, batch.num_rows, missing=-1) // _MS[layout.window]
    rates = _rates(column_of(batch, layout.sampling_rate), batch.num_rows)
    keys = [versions, hours, rates]
    if all((values == values[0]).all() for values in keys):
        yield _group(keys, 0, layout, batch)
        return
    # One code a combination, made dense after each key: at most rows squared, which int64 holds.
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    for values in keys:
        codes = codes * (batch.num_rows + 1) + np.unique(values, return_inverse=True)[1]
        codes = np.unique(codes, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        yield _group(keys, int(rows[0]), layout, pc.take(batch, pa.array(rows)))


def _group(keys: list[npt.NDArray[Any]], row: int, layout: Layout, batch: Any) -> RowGroup:
    versions, hours, rates = keys
    return RowGroup(int(versions[row]), _name(int(hours[row]), layout), float(rates[row]), batch)


def _name(place: int, layout: Layout) -> str:
    if not layout.window or place < 0:
        return ""
    seconds = place * _MS[layout.window] // 1000
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime(_NAMES[layout.window])


def _whole(column: Any, rows: int, missing: int = 0) -> npt.NDArray[np.int64]:
    if column is None or pa.types.is_null(column.type):
        return np.full(rows, missing, dtype=np.int64)
    whole = column.cast(pa.int64()).fill_null(missing).to_numpy(zero_copy_only=False)
    return np.asarray(whole, dtype=np.int64)


def _rates(column: Any, rows: int) -> npt.NDArray[np.float64]:
    """Returns the rates to three digits: as many groups as rates would be too many."""
    if column is None or pa.types.is_null(column.type):
        return np.ones(rows)
    rates = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    distinct, places = np.unique(rates, return_inverse=True)
    # A row without a usable rate counts once, as one that was logged whole.
    usable = np.isfinite(distinct) & (distinct > 0) & (distinct <= 1)
    rounded = [
        float(f"{rate:.3g}") if fit else 1.0 for rate, fit in zip(distinct, usable, strict=True)
    ]
    return np.asarray(rounded)[places]
