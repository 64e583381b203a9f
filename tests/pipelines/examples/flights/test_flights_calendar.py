"""Windows and spans of the flights name each other."""

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.data import SPANS


@pytest.mark.parametrize("span", SPANS)
def test_a_window_and_its_span_find_each_other(span):
    window = FlightMonths().window_of_span(span)
    assert window.span == span
    assert window.name == f"2013-{span:02d}"
    assert FlightMonths().window(window.name) == window
    assert window.start_ms < window.end_ms


def test_windows_follow_each_other():
    windows = [FlightMonths().window_of_span(span) for span in SPANS]
    assert [w.end_ms for w in windows[:-1]] == [w.start_ms for w in windows[1:]]
    assert sorted(w.name for w in windows) == [w.name for w in windows]


@pytest.mark.parametrize("name", ["2013-13", "2012-01", "2013-1", "", "March"])
def test_an_unknown_window_is_a_config_error_that_shows_it(name):
    with pytest.raises(ConfigError, match=f"Expected a window from 2013-01 to .*'{name}'"):
        FlightMonths().window(name)


@pytest.mark.parametrize("span", [0, 13])
def test_an_unknown_span_is_a_config_error(span):
    with pytest.raises(ConfigError, match="a month from 1 to 12"):
        FlightMonths().window_of_span(span)
