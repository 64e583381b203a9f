"""Windows as people name them: months, days, or so many rows.

Windows are numbered from 1 by their place in time; that number is also the span of their rows, and
it orders them, whatever their names are.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.control.ledger import Store

# The time at which so many rows of the log had come since another: `(since_ms, rows) -> end_ms`,
# None where there are not as many yet.
RowsEnd = Callable[[int, int], int | None]

# Ten years: a window that ends in none of ours is a slip, and one of 3,000 years has no name.
_MOST_DAYS = 3_660


@dataclass(frozen=True, kw_only=True)
class WindowFacts:
    """What windows are found by beside the clock.

    Attributes:
        store: The metadata store, which keeps where windows of rows end.
        model_name: The served model.
        begin_ms: When the model began to serve, milliseconds UTC.
        rows_end: Asks the prediction log.
    """

    store: Store
    model_name: str
    begin_ms: int
    rows_end: RowsEnd


class WindowSequence(Protocol):
    """The windows of one model, in their order."""

    def window(self, name: str) -> MonitoringWindow:
        """Returns the window of this name; raises ConfigError when there is none."""

    def window_of_span(self, span: int) -> MonitoringWindow:
        """Returns the window of a number from 1 on; raises ConfigError when there is none."""

    def find(self, span: int) -> MonitoringWindow | None:
        """Returns the window of a number; None where nobody knows yet when it ends."""


class Windows(Protocol):
    """A kind of windows, as the user states it."""

    def of(self, facts: WindowFacts) -> WindowSequence:
        """Returns the windows of a model."""

    def told(self) -> str:
        """Returns the kind in words."""


@dataclass(frozen=True)
class Months:
    """Calendar months, UTC.

    Attributes:
        first: The first month to monitor, such as "2021-02"; empty for that in which the model
            began to serve.
    """

    first: str = ""

    def __post_init__(self) -> None:
        if self.first:
            _moment(self.first, "%Y-%m", "a month such as '2021-02'")

    def of(self, facts: WindowFacts) -> "MonthSequence":
        """Returns the months of a model."""
        first = self.first or _utc(facts.begin_ms).strftime("%Y-%m")
        return MonthSequence(_moment(first, "%Y-%m", "a month such as '2021-02'"))

    def told(self) -> str:
        """Returns the kind in words."""
        return "months"


@dataclass(frozen=True)
class Days:
    """Periods of whole days, UTC.

    Attributes:
        first: The first day to monitor, such as "2021-02-01"; empty for that on which the model
            began to serve.
        days: How many days a window has, such as 7; it is named by its first day.
    """

    first: str = ""
    days: int = 1

    def __post_init__(self) -> None:
        if self.first:
            _moment(self.first, "%Y-%m-%d", "a day such as '2021-02-01'")
        if not 1 <= self.days <= _MOST_DAYS:
            raise ConfigError(f"days must be from 1 to {_MOST_DAYS}, got {self.days}.")

    def of(self, facts: WindowFacts) -> "DaySequence":
        """Returns the periods of a model."""
        first = self.first or _utc(facts.begin_ms).strftime("%Y-%m-%d")
        return DaySequence(_moment(first, "%Y-%m-%d", "a day such as '2021-02-01'"), self.days)

    def told(self) -> str:
        """Returns the kind in words."""
        return "days" if self.days == 1 else f"periods of {self.days} days"


@dataclass(frozen=True, kw_only=True)
class Every:
    """Windows of so many rows of the prediction log, whenever they come.

    Attributes:
        rows: How many rows; those of the same millisecond as the last come along.
        first: The day from which rows count, such as "2021-02-01"; empty for the time at which the
            model began to serve.
    """

    rows: int
    first: str = ""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigError(f"rows must be at least 1, got {self.rows}.")
        if self.first:
            _moment(self.first, "%Y-%m-%d", "a day such as '2021-02-01'")

    def of(self, facts: WindowFacts) -> "RowSequence":
        """Returns the windows of a model."""
        begin_ms = facts.begin_ms
        if self.first:
            begin_ms = _ms(_moment(self.first, "%Y-%m-%d", "a day such as '2021-02-01'"))
        return RowSequence(facts, self.rows, begin_ms)

    def told(self) -> str:
        """Returns the kind in words."""
        return f"windows of {self.rows} rows"


class MonthSequence:
    """Months from a first one on."""

    def __init__(self, first: datetime) -> None:
        """Takes the begin of the first month."""
        # Months since year 0, so that the place of a month is a difference.
        self._first = first.year * 12 + first.month - 1

    def window(self, name: str) -> MonitoringWindow:
        """Returns the month named such as "2013-03"."""
        month = _moment(name, "%Y-%m", "a window such as '2021-02'")
        return self.window_of_span(month.year * 12 + month.month - self._first)

    def window_of_span(self, span: int) -> MonitoringWindow:
        """Returns the month of a number from 1 on."""
        _check(span)
        start, end = self._begin(span), self._begin(span + 1)
        return MonitoringWindow(
            name=start.strftime("%Y-%m"), span=span, start_ms=_ms(start), end_ms=_ms(end)
        )

    def find(self, span: int) -> MonitoringWindow:
        """Returns the month of a number."""
        return self.window_of_span(span)

    def _begin(self, span: int) -> datetime:
        year, month = divmod(self._first + span - 1, 12)
        return datetime(year, month + 1, 1, tzinfo=timezone.utc)


class DaySequence:
    """Periods of days from a first one on."""

    def __init__(self, first: datetime, days: int) -> None:
        """Takes the begin of the first day, and the days of a period."""
        self._first_ms, self._length_ms = _ms(first), days * MS_PER_DAY

    def window(self, name: str) -> MonitoringWindow:
        """Returns the period that begins on a day such as "2013-03-01"."""
        start_ms = _ms(_moment(name, "%Y-%m-%d", "a window such as '2021-02-01'"))
        place, rest = divmod(start_ms - self._first_ms, self._length_ms)
        if rest:
            near = _utc(start_ms - rest).strftime("%Y-%m-%d")
            raise ConfigError(
                f"Expected the first day of a window, received {name!r}. It is in {near}."
            )
        return self.window_of_span(place + 1)

    def window_of_span(self, span: int) -> MonitoringWindow:
        """Returns the period of a number from 1 on."""
        _check(span)
        start_ms = self._first_ms + (span - 1) * self._length_ms
        return MonitoringWindow(
            name=_utc(start_ms).strftime("%Y-%m-%d"),
            span=span,
            start_ms=start_ms,
            end_ms=start_ms + self._length_ms,
        )

    def find(self, span: int) -> MonitoringWindow:
        """Returns the period of a number."""
        return self.window_of_span(span)


class RowSequence:
    """Windows of rows, whose ends are facts in ML Metadata.

    Rows that are logged late would move every end after them; an end that was found once stands.
    """

    def __init__(self, facts: WindowFacts, rows: int, begin_ms: int) -> None:
        """Finds nothing yet."""
        self._facts, self._rows, self._begin_ms = facts, rows, begin_ms

    def window(self, name: str) -> MonitoringWindow:
        """Returns the window named such as "rows-7"."""
        match = re.fullmatch(r"rows-(\d{1,9})", name)
        if match is None:
            raise ConfigError(f"Expected a window such as 'rows-7', received {name!r}.")
        return self.window_of_span(int(match[1]))

    def window_of_span(self, span: int) -> MonitoringWindow:
        """Returns the window of a number whose rows have come."""
        _check(span)
        found = self.find(span)
        if found is None:
            raise ConfigError(
                f"Expected a window whose {self._rows} rows have come, received number {span}. "
                "Wait for them."
            )
        return found

    def find(self, span: int) -> MonitoringWindow | None:
        """Returns the window of a number, and keeps where it ends; None before its rows came."""
        ends = self._ends()
        while len(ends) < span:
            start_ms = ends[-1] if ends else self._begin_ms
            end_ms = self._facts.rows_end(start_ms, self._rows)
            if end_ms is None:
                return None
            self._keep(len(ends) + 1, end_ms)
            # Read back, as another process may have kept another end first.
            ends = self._ends()
        start_ms = ends[span - 2] if span > 1 else self._begin_ms
        return MonitoringWindow(
            name=f"rows-{span}", span=span, start_ms=start_ms, end_ms=ends[span - 1]
        )

    def _ends(self) -> list[int]:
        found = {}
        for execution in self._facts.store.get_executions_by_type(ledger.WINDOW):
            said = ledger.properties(execution)
            # Another number of rows has windows of its own: whoever changes it begins anew.
            if said["model_name"] == self._facts.model_name and said["rows"] == self._rows:
                found[int(said["number"])] = int(said["end_ms"])
        return [found[number] for number in sorted(found)]

    def _keep(self, number: int, end_ms: int) -> None:
        store, model = self._facts.store, self._facts.model_name
        execution = pb.Execution(
            type_id=ledger.register_types(store)[ledger.WINDOW],
            name=f"{model}/rows/{self._rows}/{number}",
            last_known_state=pb.Execution.COMPLETE,
        )
        ledger.set_properties(
            execution,
            {"model_name": model, "rows": self._rows, "number": number, "end_ms": end_ms},
        )
        # Of two that find an end at once, the first stands for both.
        ledger.put_once(store, execution, [])


def _check(span: int) -> None:
    if span < 1:
        raise ConfigError(
            f"Expected a window from the first one on, received one {1 - span} before it."
        )


def _moment(text: str, form: str, expected: str) -> datetime:
    try:
        found = datetime.strptime(text, form).replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise ConfigError(f"Expected {expected}, received {text!r}.") from error
    # strptime takes '2021-2', too: two names for one window would be two windows.
    if found.strftime(form) != text:
        raise ConfigError(f"Expected {expected}, received {text!r}.")
    return found


def _utc(ms: int) -> datetime:
    # Not fromtimestamp: a float of seconds loses milliseconds, and fails beyond its range.
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
