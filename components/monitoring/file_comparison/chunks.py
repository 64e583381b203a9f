"""The rows of one file, cut by time or by number into chunks that are judged one by one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.errors import ConfigError, DataError, did_you_mean
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.file_comparison.plain_columns import plain_column
from tfx_loop.monitoring.profile.calendar_columns import milliseconds_of

IntArray = npt.NDArray[np.int64]
DAY, WEEK = "day", "week"
_MS = {DAY: MS_PER_DAY, WEEK: 7 * MS_PER_DAY}
# 1970-01-01 was a Thursday; weeks begin on Mondays (ISO 8601).
_MONDAY_MS = 4 * MS_PER_DAY
_ROWS = re.compile(r"^([1-9]\d*)( rows?)?$")
# More windows than anybody looks at; each costs a pass over its columns' counts.
MOST_CHUNKS = 1_000
_NO_TIME = np.iinfo(np.int64).min
# Share of rows without a time from which the column is none of times.
_MOST_WITHOUT_TIME = 0.05


@dataclass(frozen=True)
class Chunks:
    """Which chunk each row of a file is in.

    Attributes:
        names: Of the chunks, in order: days as `2024-01-31`, weeks as `2024-W05`, `rows 1 to 500`.
        places: Chunk of each row of the file, of shape (rows,); -1 for rows without a time.
    """

    names: tuple[str, ...]
    places: IntArray

    @property
    def outside(self) -> int:
        """Rows that are in no chunk, as they have no time."""
        return int(np.count_nonzero(self.places < 0))

    def split(self, batch: Any, rows: Any) -> Iterator[tuple[int, Any]]:
        """Yields each chunk that a record batch has rows of, with them.

        Args:
            batch: Some rows.
            rows: Their places in the file.
        """
        places = self.places[rows.to_numpy()]
        for place in np.unique(places[places >= 0]).tolist():
            yield place, batch.filter(pa.array(places == place))


def check_every(every: str) -> None:
    """Raises ConfigError for what is neither a time nor a number of rows."""
    if every not in ("", DAY, WEEK) and not _ROWS.match(every):
        raise ConfigError(
            f"every must be 'day', 'week' or a number of rows such as '5000', got {every!r}."
        )


def cut(table: TableFile, every: str, time: str) -> Chunks:
    """Returns how a file is cut.

    Args:
        table: The file; its times alone are read.
        every: `day`, `week`, or a number of rows.
        time: The column of times; for numbers of rows empty, too, for rows as they lie in the file.

    Raises:
        ConfigError: There is no column of times.
        DataError: It holds none, or there are more chunks than anybody looks at.
    """
    rows = _ROWS.match(every)
    if not time and not rows:
        raise ConfigError(
            f"Expected a column of times to cut by {every}, received none. Name it with --time, or "
            "cut by a number of rows."
        )
    if time and time not in table.schema.names:
        raise ConfigError(
            f"Expected the column of times {time!r} in {table.path}, found none."
            f"{did_you_mean(time, table.schema.names) or ' Both files need it.'}"
        )
    # Without a time the places stand for one: rows as they lie in the file.
    times = _times(table, time) if time else np.arange(table.rows)
    known = times != _NO_TIME
    if np.count_nonzero(~known) > _MOST_WITHOUT_TIME * max(len(times), 1):
        raise DataError(
            f"Expected dates or times in {time!r} of {table.path}, received others in "
            f"{np.count_nonzero(~known):,} of {len(times):,} rows. Write them as ISO 8601, "
            "2024-01-31T12:00, or name another column with --time."
        )
    return _by_number(times, known, int(rows[1])) if rows else _by_time(times, known, every)


def _times(table: TableFile, time: str) -> IntArray:
    """Milliseconds since 1970 of each row; _NO_TIME where there is none."""
    found = [
        milliseconds_of(plain_column(batch.column(0))).fill_null(_NO_TIME).to_numpy()
        for batch in table.batches([time])
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def _by_time(times: IntArray, known: npt.NDArray[np.bool_], every: str) -> Chunks:
    length, first = _MS[every], _MONDAY_MS if every == WEEK else 0
    numbers = (times[known] - first) // length
    whole = np.full(len(times), -1, dtype=np.int64)
    if not len(numbers):
        return Chunks((), whole)
    low, high = int(numbers.min()), int(numbers.max())
    _check_count(1 + high - low, every)
    whole[known] = numbers - low
    # A day without a row is one of them: a source that fell silent.
    names = (_name(number * length + first, every) for number in range(low, high + 1))
    return Chunks(tuple(names), whole)


def _check_count(chunks: int, every: str) -> None:
    if chunks > MOST_CHUNKS:
        raise DataError(
            f"Expected at most {MOST_CHUNKS:,} chunks, received {chunks:,} of every {every}. "
            "Cut more coarsely."
        )


def _name(begin_ms: int, every: str) -> str:
    begin = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=begin_ms)
    return begin.strftime("%G-W%V" if every == WEEK else "%Y-%m-%d")


def _by_number(times: IntArray, known: npt.NDArray[np.bool_], size: int) -> Chunks:
    order = np.flatnonzero(known)
    # Rows of one time stay as they lie.
    order = order[np.argsort(times[order], kind="stable")]
    whole = np.full(len(times), -1, dtype=np.int64)
    whole[order] = np.arange(len(order)) // size
    starts = range(0, len(order), size)
    _check_count(len(starts), f"{size:,} rows")
    names = [f"rows {start + 1:,} to {min(start + size, len(order)):,}" for start in starts]
    return Chunks(tuple(names), whole)
