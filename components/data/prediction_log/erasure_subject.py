"""Whose rows are removed, and which rows of a table they are."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.texts import is_number
from tfx_loop.data.prediction_log.record import FEATURE_PREFIX

Mask = npt.NDArray[np.bool_]

_ISO_TIME = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?)"
    r"(?:Z|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?"
)


@dataclass(frozen=True)
class Subject:
    """Whose rows are removed.

    Attributes:
        column: `request_id`, or a column or feature.
        values: As text; a whole number's digits.
    """

    column: str
    values: frozenset[str]

    def __post_init__(self) -> None:
        if not self.column or not self.values or "" in self.values:
            raise ConfigError("Expected a column and values of rows to remove, received none.")

    @property
    def columns(self) -> tuple[str, str]:
        """The names that the column may have in a file: its own, and that of a feature."""
        return self.column, f"{FEATURE_PREFIX}{self.column}"

    def rows_of(self, table: pa.Table) -> Mask:
        """Says which rows are the subject's."""
        found = np.zeros(len(table), dtype=bool)
        for name in self.columns:
            if name in table.column_names:
                found |= _matches(table.column(name), self.values)
        return found


def _matches(column: pa.ChunkedArray, values: Collection[str]) -> Mask:
    kind = column.type
    if pa.types.is_nested(kind):
        texts = [_texts(row) for row in column.to_pylist()]
        return np.array([bool(row & {*values}) for row in texts], dtype=bool)
    if pa.types.is_timestamp(kind):
        ticks = [time for value in values if (time := _ticks(value, kind.unit)) is not None]
        column, wanted = column.cast(pa.int64()), pa.array(ticks, pa.int64())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        wanted = pa.array([value.encode() for value in values], kind)
    elif pa.types.is_floating(kind):
        wanted = pa.array([float(v) for v in values if is_number(v)], kind)
    else:
        column, wanted = column.cast(pa.string()), pa.array(sorted(values))
    return np.asarray(pc.is_in(column, value_set=wanted).to_numpy(), dtype=bool)


def _ticks(text: str, unit: str) -> int | None:
    """Returns a time in ISO 8601 in a unit since 1970, UTC where it names no zone; None if none."""
    match = _ISO_TIME.fullmatch(text.strip())
    if match is None:
        return None
    sign, hours, minutes = (match[name] for name in ("sign", "hours", "minutes"))
    ahead = (int(hours) * 60 + int(minutes or 0)) * (-1 if sign == "-" else 1) if hours else 0
    try:
        exact = np.datetime64(match["time"]) - np.timedelta64(ahead, "m")
    except ValueError:
        return None
    found = exact.astype(f"datetime64[{unit}]")
    # Finer than the column's unit: no value of the column is this time.
    return int(found.astype(np.int64)) if found == exact else None


def _texts(values: object) -> set[str]:
    """Returns the single values of a row of lists as texts."""
    if isinstance(values, list):
        return {text for value in values for text in _texts(value)}
    if isinstance(values, dict):
        return _texts([*values.values()])
    if isinstance(values, bytes):
        return {values.decode("utf-8", "replace")}
    if isinstance(values, datetime):
        return {str(values), values.isoformat()}
    return set() if values is None else {str(values)}
