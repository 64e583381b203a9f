"""The flights: the right label, nothing from the future, months that fill the year."""

import numpy as np
import pandas as pd
import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.examples.flights.data import (
    COLUMNS,
    FEATURES,
    FLOAT_FEATURES,
    INTEGER_FEATURES,
    LABEL,
    SPANS,
    load_flights,
    window_bounds_ms,
    window_name,
)

KNOWN_ONLY_LATER = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
HOUR_MS = 3_600_000


def with_dashes(date):
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


def test_no_feature_is_known_only_after_departure():
    assert not KNOWN_ONLY_LATER & set(FEATURES)
    assert LABEL not in FEATURES


@pytest.mark.slow
def test_columns_and_types_are_as_documented(flights, raw):
    assert tuple(flights.columns) == COLUMNS
    assert len(flights) == len(raw) == 336_776
    assert flights["flight_id"].is_unique
    kinds = flights.dtypes.astype(str)
    assert set(kinds[["span", "event_time_ms", *INTEGER_FEATURES]]) == {"int64"}
    assert set(kinds[[*FLOAT_FEATURES, LABEL]]) == {"float64"}
    assert not flights.drop(columns=LABEL).isna().any().any()
    assert (flights["date"] == flights["flight_id"].str[:8].map(with_dashes)).all()


@pytest.mark.slow
def test_late_means_more_than_15_minutes_and_a_cancelled_flight_has_no_label(flights, raw):
    delay = raw.loc[flights["flight_id"], "dep_delay"].to_numpy()
    late = flights[LABEL].to_numpy()
    assert np.array_equal(np.isnan(late), np.isnan(delay))
    known = ~np.isnan(delay)
    assert np.array_equal(late[known] == 1, delay[known] > 15)
    assert set(np.unique(late[known])) == {0.0, 1.0}
    assert set(delay[known & (late == 0)]) >= {15.0}


@pytest.mark.slow
@pytest.mark.usefixtures("only_january")
def test_changing_what_happens_after_departure_changes_no_feature(monkeypatch):
    """The features of every flight are the same when all delays are other ones."""
    flights = load_flights()
    read_csv = pd.read_csv

    def with_other_outcomes(path, *args, **kwargs):
        table = read_csv(path, *args, **kwargs)
        for column in set(table.columns) & KNOWN_ONLY_LATER:
            table[column] = table[column].to_numpy()[::-1]
        return table

    monkeypatch.setattr(pd, "read_csv", with_other_outcomes)
    other = load_flights()
    columns = [name for name in COLUMNS if name != LABEL]
    pd.testing.assert_frame_equal(flights[columns], other[columns])
    assert not flights[LABEL].equals(other[LABEL])


@pytest.mark.slow
def test_event_time_is_the_scheduled_departure_in_utc(flights, raw):
    rows = raw.loc[flights["flight_id"]]
    local = pd.to_datetime(flights["event_time_ms"], unit="ms", utc=True).dt.tz_convert(
        "America/New_York"
    )
    assert np.array_equal(local.dt.hour * 100 + local.dt.minute, rows["sched_dep_time"])
    assert np.array_equal(local.dt.day, rows["day"])
    assert np.array_equal(local.dt.dayofweek, flights["day_of_week"])
    assert flights["event_time_ms"].is_monotonic_increasing


@pytest.mark.slow
def test_weather_is_never_from_the_future(flights, raw_weather):
    """A row of the weather table is known when its hour is over; none newer may be used."""
    newest = {}
    for origin, rows in raw_weather.sort_values("hour_start").groupby("origin"):
        newest[origin] = rows["hour_start"].astype("int64").to_numpy() // 10**6 + HOUR_MS
    sample = flights.sample(3000, random_state=1)
    for origin, rows in sample.groupby("origin"):
        weather = raw_weather[raw_weather["origin"] == origin].sort_values("hour_start")
        weather = weather.reset_index(drop=True)
        known = np.searchsorted(newest[origin], rows["event_time_ms"].to_numpy(), "right") - 1
        assert known.min() >= 0
        for name in ("temp", "visib", "wind_speed"):
            expected = weather[name].ffill().to_numpy()[known]
            assert np.array_equal(rows[name].to_numpy(), expected)


@pytest.mark.slow
@pytest.mark.usefixtures("only_january")
def test_weather_after_a_flight_changes_nothing_for_it(monkeypatch):
    flights = load_flights()
    read_csv = pd.read_csv
    noon = pd.Timestamp("2013-01-15T17:00Z")

    def with_another_future(path, *args, **kwargs):
        table = read_csv(path, *args, **kwargs)
        if "temp" in table.columns:
            hours = pd.to_datetime(table["time_hour"], utc=True)
            numbers = list(FLOAT_FEATURES)
            table.loc[hours + pd.Timedelta(hours=1) > noon, numbers] = -99.0
        return table

    monkeypatch.setattr(pd, "read_csv", with_another_future)
    other = load_flights()
    noon_ms = int(noon.timestamp() * 1000)
    before = flights["event_time_ms"] < noon_ms + HOUR_MS
    assert 0 < before.sum() < len(flights)
    pd.testing.assert_frame_equal(flights[before], other[before])
    assert (other.loc[~before, "temp"] == -99.0).all()


@pytest.mark.slow
def test_windows_partition_the_year(flights):
    bounds = [window_bounds_ms(span) for span in SPANS]
    assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]
    start = pd.Timestamp("2013-01-01", tz="America/New_York")
    assert bounds[0][0] == start.timestamp() * 1000
    assert bounds[-1][1] == (start + pd.DateOffset(years=1)).timestamp() * 1000
    assert [window_name(span) for span in (1, 12)] == ["2013-01", "2013-12"]
    starts = np.array([start for start, _ in bounds])
    inside = np.searchsorted(starts, flights["event_time_ms"].to_numpy(), "right")
    assert np.array_equal(inside, flights["span"].to_numpy())


def test_months_begin_at_midnight_in_new_york_in_winter_and_in_summer():
    hours = {span: window_bounds_ms(span)[0] // HOUR_MS % 24 for span in SPANS}
    assert hours == {1: 5, 2: 5, 3: 5, **dict.fromkeys(range(4, 12), 4), 12: 5}


@pytest.mark.parametrize("span", [0, 13, -1])
def test_there_is_no_month_outside_the_year(span):
    with pytest.raises(ConfigError, match=f"a month from 1 to 12, got {span}"):
        window_bounds_ms(span)


@pytest.mark.slow
@pytest.mark.usefixtures("only_january")
def test_a_smaller_share_is_part_of_a_larger_and_has_the_same_features():
    flights, fifth, tenth = load_flights(), load_flights(0.2, seed=3), load_flights(0.1, seed=3)
    assert len(fifth) / len(flights) == pytest.approx(0.2, abs=0.01)
    assert set(tenth["flight_id"]) < set(fifth["flight_id"])
    whole = flights.set_index("flight_id").loc[fifth["flight_id"]].reset_index()
    pd.testing.assert_frame_equal(whole[list(COLUMNS)], fifth, check_dtype=False)


@pytest.mark.slow
@pytest.mark.usefixtures("only_january")
def test_another_seed_keeps_other_flights():
    fifth, other = load_flights(0.2, seed=3), load_flights(0.2, seed=4)
    assert fifth["flight_id"].isin(other["flight_id"]).mean() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("fraction", [0, -0.2, 1.01, float("nan")])
def test_a_share_that_keeps_nothing_or_more_than_all_is_refused(fraction):
    with pytest.raises(ConfigError, match="fraction must be above 0 and at most 1"):
        load_flights(fraction)
