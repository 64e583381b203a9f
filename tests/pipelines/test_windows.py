"""Months, days and windows of rows: names, bounds and order."""

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder import open_store

from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control.schedule import windows_served_since
from tfx_loop.pipelines.control.windows import Days, Every, Months, WindowFacts

JULY = int(datetime(2021, 7, 9, 12, tzinfo=timezone.utc).timestamp() * 1000)


def facts(store=None, rows_end=lambda since, rows: None):
    return WindowFacts(store=store, model_name="m", begin_ms=JULY, rows_end=rows_end)


@pytest.mark.parametrize("kind", [Months("2019-11"), Days("2019-11-30"), Days("2020-02-27", 7)])
@given(span=st.integers(1, 3000))
def test_windows_follow_each_other_without_a_gap_and_are_found_by_name(kind, span):
    windows = kind.of(facts())
    one, after = windows.window_of_span(span), windows.window_of_span(span + 1)
    assert one.end_ms == after.start_ms > one.start_ms
    assert windows.window(one.name) == windows.find(span) == one


def test_windows_without_traffic_lost_nothing_since():
    windows = Days("2021-07-01", 2).of(facts())
    first, now_ms = windows.window("2021-07-01"), windows.window_of_span(200).end_ms
    assert windows_served_since(windows, first, now_ms) == 199
    # Of the first window itself, of two later ones, and of one that has not ended.
    days = ["2021-07-02", "2021-07-03", "2021-07-04", "2021-07-10", "2030-01-01"]
    assert windows_served_since(windows, first, now_ms, days) == 2
    assert windows_served_since(windows, first, first.end_ms, days) == 0
    assert windows_served_since(windows, first, now_ms, []) == 0


def test_months_begin_with_the_month_that_is_named_or_in_which_the_model_began_to_serve():
    assert Months("2020-12").of(facts()).window_of_span(2).name == "2021-01"
    assert Months().of(facts()).window_of_span(1).name == "2021-07"
    assert Days().of(facts()).window_of_span(1).name == "2021-07-09"
    assert Days(days=7).of(facts()).window_of_span(2).name == "2021-07-16"


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (Months("2021-02"), "2021-01", "1 before it"),
        (Months("2021-02"), "2021-2", "such as '2021-02'"),
        (Months("2021-02"), "soon", "such as '2021-02'"),
        (Days("2021-02-01", 7), "2021-02-03", "It is in 2021-02-01"),
        (Every(rows=5), "rows-0", "before it"),
        (Every(rows=5), "5", "such as 'rows-7'"),
        (Every(rows=5), "rows-1", "Wait for them"),
    ],
)
def test_a_name_that_is_no_window_is_told(kind, name, told, tmp_path):
    store = open_store(tmp_path / "m.sqlite")
    with pytest.raises(ConfigError, match=told):
        kind.of(facts(_typed(store))).window(name)


def _typed(store):
    from tfx_loop.pipelines.control import ledger

    ledger.register_types(store)
    return store


@pytest.mark.parametrize(
    "make", [lambda: Months("feb"), lambda: Days(days=0), lambda: Every(rows=0)]
)
def test_kinds_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_ends_of_windows_of_rows_stand_though_rows_are_logged_late(tmp_path):
    times = [JULY + hour for hour in range(10)]

    def rows_end(since, rows):
        found = sorted(t for t in times if t >= since)
        return found[rows - 1] + 1 if len(found) >= rows else None

    store = _typed(open_store(tmp_path / "m.sqlite"))
    windows = Every(rows=4).of(facts(store, rows_end))
    second = windows.window("rows-2")
    assert (second.start_ms, second.end_ms) == (JULY + 4, JULY + 8)
    assert windows.find(3) is None
    times += [JULY, JULY + 5, JULY + 5]
    again = Every(rows=4).of(facts(store, rows_end))
    assert again.window("rows-2") == second
    assert Every(rows=4, first="2021-07-10").of(facts(store, rows_end)).find(1) is not None
    assert second.end_ms - second.start_ms < MS_PER_DAY
