"""Notes of predictions that did not become rows of the log.

Servers leave word of rows that they answered and could not log, in `UUID.unlogged.json`. Such a
note stands in the folder of the first day that it is about. It is counted for every window that it
reaches into, as nobody knows when within it the rows were.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from tfx_loop.core import storage
from tfx_loop.core.errors import DataError
from tfx_loop.core.folders import join
from tfx_loop.core.json_codec import default_left_out
from tfx_loop.data.prediction_log.record import day_of

UNLOGGED_SUFFIX = ".unlogged.json"


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
        unlogged_rows: Rows that servers answered and could not log, as far as they could say.
        thinned_rows: Rows that a lower sampling rate of the same window would not have logged: left
            out, so that all rows stand for as many.
        rejected_captures: Lines of SageMaker's captures that did not become rows, by reason.
    """

    duplicate_rows: int = 0
    golden_rows: int = 0
    unidentified_rows: int = 0
    truncated_segments: int = 0
    unreadable_segments: int = 0
    unreadable_batches: int = 0
    unreadable_bytes: int = 0
    type_conflicts: int = 0
    unlogged_rows: int = field(default=0, metadata=default_left_out())
    thinned_rows: int = field(default=0, metadata=default_left_out())
    rejected_captures: Mapping[str, int] = field(default_factory=dict, metadata=default_left_out())


@dataclass(frozen=True, kw_only=True)
class UnloggedRows:
    """Rows that are in no segment.

    Attributes:
        rows: How many.
        first_ms: Event time of the first, milliseconds UTC.
        last_ms: Of the last.
    """

    rows: int
    first_ms: int
    last_ms: int

    @classmethod
    def joined(cls, known: "UnloggedRows | None", rows: int, time_ms: int) -> "UnloggedRows":
        """Returns rows known so far and those of another request."""
        if known is None:
            return cls(rows=rows, first_ms=time_ms, last_ms=time_ms)
        return cls(
            rows=known.rows + rows,
            first_ms=min(known.first_ms, time_ms),
            last_ms=max(known.last_ms, time_ms),
        )


def write_unlogged(log_dir: str, model_name: str, unlogged: UnloggedRows, name: str = "") -> None:
    """Leaves word of rows, under a name of its own or a given one; raises OSError."""
    folder = join(join(log_dir, model_name), f"date={day_of(unlogged.first_ms)}")
    storage.write_json(
        join(folder, f"{name or uuid.uuid4().hex}{UNLOGGED_SUFFIX}"), asdict(unlogged)
    )


def read_unlogged(path: str) -> UnloggedRows | None:
    """Returns what a note says; None for one that is damaged."""
    try:
        content = storage.read_json(path)
        return UnloggedRows(**{key.name: int(content[key.name]) for key in fields(UnloggedRows)})
    except (DataError, KeyError, TypeError, ValueError):
        return None
