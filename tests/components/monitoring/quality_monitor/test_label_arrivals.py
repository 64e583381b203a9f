"""How much of a window is labelled, and how late labels come."""

import numpy as np
import pytest

from tfx_loop.monitoring.quality_monitor.label_arrivals import label_arrivals

HOUR = 3_600_000


def test_coverage_is_the_share_of_answered_rows_and_delays_are_percentiles():
    events = np.arange(100, dtype=np.int64) * HOUR
    found = label_arrivals(events, events + np.arange(1, 101) * HOUR, rows=400)
    assert found.coverage == 0.25
    assert found.delay_hours["p50"] == pytest.approx(50.5)
    assert found.delay_hours["p90"] == pytest.approx(90.1)
    assert found.delay_hours["max"] == 100


def test_nothing_is_said_of_what_nobody_counted():
    found = label_arrivals(np.array([1, 2]), None)
    assert found.coverage is None
    assert found.delay_hours == {}
    assert label_arrivals(np.array([], dtype=np.int64), None, rows=0).coverage is None


def test_a_window_without_labels_has_coverage_zero():
    empty = np.array([], dtype=np.int64)
    assert label_arrivals(empty, empty, rows=10).coverage == 0.0
