"""Windows of traffic in their order, and the span of data that belongs to each."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class MonitoringWindow:
    """A stretch of time that is monitored as one.

    Attributes:
        name: Such as "2013-03".
        span: Number of the span that holds its rows once their labels are known.
        start_ms: Begin, milliseconds UTC.
        end_ms: End, exclusive.
    """

    name: str
    span: int
    start_ms: int
    end_ms: int


class Calendar(Protocol):
    """Names windows and spans for one model."""

    def window(self, name: str) -> MonitoringWindow:
        """Returns the window of this name; raises ConfigError when there is none."""

    def window_of_span(self, span: int) -> MonitoringWindow:
        """Returns the window whose rows make up a span."""
