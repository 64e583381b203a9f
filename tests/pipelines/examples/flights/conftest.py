"""The flights, read once for all tests."""

import pandas as pd
import pytest

from tfx_loop.pipelines.examples.flights import data


@pytest.fixture(scope="session")
def flights():
    """All flights of 2013 as the example uses them."""
    return data.load_flights()


@pytest.fixture(scope="session")
def fifth():
    """A fifth of the flights, chosen by seed 3."""
    return data.load_flights(0.2, seed=3)


@pytest.fixture
def only_january(monkeypatch):
    """The package has no flights but January's, which stand first: all is ten times as fast."""
    read_csv = pd.read_csv

    def first_month(path, *args, **kwargs):
        return read_csv(path, *args, **kwargs, nrows=27_004)  # all of the weather: 26,115 rows

    monkeypatch.setattr(pd, "read_csv", first_month)


@pytest.fixture(scope="session")
def raw():
    """The package's own table of flights, with the columns that nobody knows before departure."""
    table = pd.read_csv(data._package_data() / "flights.csv.zip")
    table["flight_id"] = data._flight_ids(table)
    return table.set_index("flight_id")


@pytest.fixture(scope="session")
def raw_weather():
    """The package's own table of hourly weather; `hour_start` is the hour that a row names."""
    table = pd.read_csv(data._package_data() / "weather.csv")
    return table.assign(hour_start=pd.to_datetime(table["time_hour"], utc=True))
