"""Columns that only move forward are told by their values; measurements are not among them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfx_loop.monitoring.profile.calendar_columns import calendar_note, is_key

DAYS = pd.date_range("2022-11-20", periods=400, freq="7h")
SECONDS = DAYS.astype("int64").to_numpy() // 10**9
TEXT_FORMS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.123+02:00",
    "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y/%m", "%Y%m%d", "%Y%m%dT%H%M%S", "%d-%m-%Y", "%d/%m/%Y",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%m/%d/%y", "%m/%d/%Y %I:%M %p", "%d %b %Y",
    "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y", "%b %Y", "%b-%y", "%Y-W%V",
    "%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y", "%d%b%Y", "%Y-%b-%d", "%m/%Y",
    "%d.%m.%y", "%Y %m %d", "%Y_%m_%d", "%Y-%m-%d_%H-%M-%S", "%Y年%m月%d日",
    "%d/%b/%Y:%H:%M:%S +0000",
    "%Y-%j", "%d%m%Y", "%m%d%Y", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%H:%M %d/%m/%y",
)  # fmt: skip


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_dates_are_calendar_in_every_spelling(form):
    assert calendar_note("x", pa.array(DAYS.strftime(form)))


@pytest.mark.parametrize(
    "text",
    [
        "2023Q1",
        "2023-Q4",
        "Q2 2023",
        "2023H1",
        "FY2023",
        "FY23",
        "2023/24",
        "2023-2024",
        "FY2023/24",
        "KW44 2023",
        "2023 week 7",
        "1990s",
    ],
)
def test_quarters_and_financial_years_are_calendar(text):
    assert calendar_note("x", pa.array([text] * 200))


@pytest.mark.parametrize(
    "text",
    [
        "1 janv. 2023",
        "12. März 2023",
        "3 de enero de 2023",
        "7 maggio 2023",
        "août 2023",
        "5 mei 2023",
    ],
)
def test_months_of_other_languages_are_calendar(text):
    assert calendar_note("x", pa.array([text] * 200))


def test_dates_for_nobody_knows_and_for_never_are_dates():
    texts = [*DAYS.strftime("%Y-%m-%d"), *["9999-12-31"] * 200, *["0000-00-00"] * 100]
    assert calendar_note("x", pa.array(texts))


def test_the_newest_row_may_come_first():
    random = np.random.default_rng(0)
    assert calendar_note("x", pa.array((SECONDS[::-1] + random.exponential(9e4, 400)).astype(int)))


@pytest.mark.parametrize("first", [44_562, 2_459_580])
def test_a_name_tells_days_that_are_counted(first):
    days = pa.array(first + np.arange(400) // 3)
    assert calendar_note("order_date", days)
    assert not calendar_note("price", days)


def test_weeks_of_years_are_calendar():
    weeks = 202_300 + np.random.default_rng(0).integers(1, 53, 300)
    assert calendar_note("x", pa.array(weeks))
    assert not calendar_note("x", pa.array([199_950, 202_325, 201_250] * 100))


def test_large_numbers_within_a_second_are_no_times():
    values = 2**60 + np.random.default_rng(0).integers(0, 100_000, 500)
    assert not calendar_note("x", pa.array(values))
    assert not calendar_note("x", pa.array(np.sort(values)))


@pytest.mark.parametrize("odd", ["", "unknown", "n/a", "31.13."])
def test_a_few_cells_may_be_anything(odd):
    texts = [*DAYS.strftime("%Y-%m-%d")[:-2], odd, odd]
    assert calendar_note("x", pa.array(texts))
    assert not calendar_note("x", pa.array([*texts[:200], *["somewhere"] * 100]))


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("name", ["x", "created", "ts", "event_time"])
def test_epochs_are_calendar_under_any_name(unit, name):
    assert calendar_note(name, pa.array(SECONDS * unit))
    assert calendar_note(name, pa.array([*(SECONDS * unit).tolist(), None]))
    assert calendar_note(name, pa.array(SECONDS * float(unit)))


@pytest.mark.parametrize("unit", [1, 10**3])
@pytest.mark.parametrize(
    "name", ["ts", "at", "event_time", "createdAt", "created_utc", "date_created", "started"]
)
def test_a_name_tells_an_epoch_however_rows_lie(name, unit):
    shuffled = np.random.default_rng(0).permutation(SECONDS) * unit
    assert calendar_note(name, pa.array(shuffled))
    assert calendar_note(name, pa.array(shuffled + 0.5))
    # Of so many milliseconds a name in seconds would be a duration.
    uneven = np.random.default_rng(0).normal(1.5e9, 3e7, 400) * unit
    assert bool(calendar_note("logged_ms", pa.array(uneven))) == (unit != 1)


def test_an_epoch_of_another_name_rises_with_the_rows_but_for_a_few():
    late = SECONDS.copy()
    late[::20] -= 100_000
    assert calendar_note("x", pa.array(late))
    # As time.time() has them.
    assert calendar_note("x", pa.array(late + 0.5))
    assert not calendar_note("x", pa.array([1_400_000_000] * 400))
    assert not calendar_note("x", pa.array(SECONDS[:10]))


def test_an_epoch_is_spread_evenly_however_rows_lie():
    random = np.random.default_rng(0)
    shuffled = random.permutation(SECONDS)
    assert calendar_note("x", pa.array(shuffled))
    assert calendar_note("x", pa.array(random.integers(*SECONDS[[0, -1]], 2_000) * 1_000))
    assert not calendar_note("x", pa.array(shuffled[:90]))
    crowded = np.rint(random.normal(1.6e9, 1e7, 2_000)).astype(np.int64)
    assert not calendar_note("x", pa.array(crowded))
    assert not calendar_note("x", pa.array(random.integers(700_000_000, 2_400_000_000, 2_000)))


@pytest.mark.parametrize("middle", [1.4e9, 1.4e12])
@pytest.mark.parametrize(
    "name", ["market_cap", "x", "candidate", "runtime", "response_time", "lifetime_value", "format"]
)
def test_amounts_of_the_size_of_an_epoch_are_numbers(name, middle):
    amounts = np.random.default_rng(0).normal(middle, middle / 28, 2_000)
    for values in (amounts, np.rint(amounts), np.rint(amounts).astype(np.int64)):
        assert not calendar_note(name, pa.array(values))
        assert not is_key(name, pa.array(values))


def test_whole_numbers_that_are_written_dates_are_calendar():
    assert calendar_note("x", pa.array(DAYS.strftime("%Y%m%d").astype(int)))
    assert calendar_note("x", pa.array(DAYS.strftime("%Y%m").astype(int)))
    for form in ("%Y%m%d%H%M%S", "%d%m%Y", "%m%d%Y"):
        assert calendar_note("x", pa.array(DAYS.strftime(form).astype(int)))
    short = pa.array(DAYS.strftime("%y%m%d").astype(int))
    assert calendar_note("x", short, rises=True)
    assert not calendar_note("x", short)
    amounts = np.random.default_rng(0).integers(1_011_900, 31_122_100, 500)
    assert not calendar_note("x", pa.array(amounts), rises=True)


def test_a_year_is_calendar_by_its_name_or_where_it_rises():
    years = pa.array([2015] * 300 + [2016] * 300)
    assert calendar_note("year", years)
    assert calendar_note("fiscal_year", years)
    assert calendar_note("x", years, rises=True)
    assert not calendar_note("x", years)
    assert not calendar_note("year_built", years, rises=True)
    assert not calendar_note("birth_year", years)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(1e9, 3e8, 500),  # amounts of the size of an epoch
        np.random.default_rng(0).integers(0, 1 << 32, 500),
        np.random.default_rng(0).integers(19_000_000, 21_000_000, 500),  # no days of months
        np.random.default_rng(0).integers(1, 13, 500),
        ["1.2.34", "10.4.1"] * 100,
        ["May", "June"] * 100,  # a season comes back
        ["Marvel 2000", "Decimal 10"] * 100,
        ["Civic 2019", "Golf 2021"] * 100,
        ["March St 2021", "12 Maine 2021"] * 100,
        ["1.12.3", "2.10.44"] * 100,
        ["12:30", "08:15"] * 100,
        ["75001", "75020"] * 100,
        [None, None],
        ["", ""],
    ],
)  # fmt: skip
def test_measurements_and_categories_are_not_calendar(values):
    assert not calendar_note("x", pa.array(values))


def test_keys_have_another_whole_number_in_each_row():
    shuffled = np.random.default_rng(0).permutation(1_000)
    assert is_key("trip_id", pa.array(shuffled))
    # Hundreds of pairs would be equal by chance.
    assert is_key("x", pa.array(shuffled))
    assert is_key("x", pa.array([*shuffled.astype(float), None]))
    assert not is_key("x", pa.array(shuffled * 1_000_003))
    assert not is_key("x", pa.array(shuffled + 0.5))
    assert is_key("x", pa.array(np.sort(shuffled) * 1_000_003), rises=True)
    assert is_key("x", pa.array(np.random.default_rng(0).integers(0, 1 << 60, 1_000)))
    assert not is_key("trip_id", pa.array([*shuffled[:-1], shuffled[0]]))
    assert not is_key("trip_id", pa.array(shuffled[:50]))
    lines = pa.array(np.repeat(np.arange(7_000, 7_400), 3))
    assert is_key("order_id", lines, rises=True)
    assert not is_key("order_id", lines)
    assert not is_key("age", lines, rises=True)
