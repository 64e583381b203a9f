"""A window is a month of 2013 in New York, and so is a span."""

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.examples.flights.data import SPANS, window_bounds_ms, window_name


class FlightMonths:
    """The calendar of the flights."""

    def window(self, name: str) -> MonitoringWindow:
        """Returns the month named such as "2013-03"."""
        for span in SPANS:
            if window_name(span) == name:
                return self.window_of_span(span)
        raise ConfigError(f"Expected a window from 2013-01 to 2013-12, received {name!r}.")

    def window_of_span(self, span: int) -> MonitoringWindow:
        """Returns the month of a span from 1 to 12."""
        start_ms, end_ms = window_bounds_ms(span)
        return MonitoringWindow(name=window_name(span), span=span, start_ms=start_ms, end_ms=end_ms)
