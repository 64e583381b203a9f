"""Conditions under which budgets are put to the test: easy ones, and some where int8 loses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tests.benchmarks.compress.data import Dataset
from tests.benchmarks.compress.zoo import ZOO, Entry, compiled, only
from tfx_loop.pipelines.examples.flights.data import FLOAT_FEATURES, INTEGER_FEATURES

_NUMBERS = (*INTEGER_FEATURES, *FLOAT_FEATURES)


@dataclass(frozen=True)
class Sizes:
    """How the rows of a network are used; what these leave only reports.

    Attributes:
        training: Rows that the float network learns from.
        search: Rows for calibrating and choosing.
    """

    training: int
    search: int


@dataclass(frozen=True)
class Condition:
    """A network under a way of calibrating.

    Attributes:
        name: For the tables.
        network: Name in `NETWORKS`.
        calibration_rows: Of the search's rows; the others choose.
        seeds: Of training and of the draws.
        hard: Why int8 may lose here, or the search may go wrong; empty where neither should.
        choosing_rows: At most so many of the rows choose; None takes all that are left.
    """

    name: str
    network: str
    calibration_rows: int
    seeds: tuple[int, ...]
    hard: str = ""
    choosing_rows: int | None = None


def raw_flights() -> Dataset:
    """Returns the flights with numbers as they come: miles, minutes, millibars beside 0 and 1."""
    source, numbers, _ = _flights()
    columns = [numbers, *_one_hot(source, ("carrier", "dest", "origin"))]
    labels = source["late"].to_numpy().astype(np.int64)
    return Dataset("flights, raw units", {"features": np.concatenate(columns, axis=1)}, labels)


def everyday_flights() -> Dataset:
    """Returns the flights with numbers up to a hundred beside 0 and 1.

    Hundreds of miles, hours, inches of mercury, tens of degrees of the wind's direction; the rest
    as it comes.
    """
    source, numbers, _ = _flights()
    divisors = {"distance": 100, "sched_dep_minute": 60, "pressure": 33.86, "wind_dir": 10}
    scaled = numbers / np.array([divisors.get(name, 1) for name in _NUMBERS], np.float32)
    columns = [scaled, *_one_hot(source, ("carrier", "dest", "origin"))]
    labels = source["late"].to_numpy().astype(np.int64)
    return Dataset("flights, everyday units", {"features": np.concatenate(columns, axis=1)}, labels)


def carriers() -> Dataset:
    """Returns which of 16 carriers flies, from where, when, how far and in which weather."""
    source, _, scaled = _flights()
    columns = [scaled, *_one_hot(source, ("dest", "origin"))]
    known = sorted(source["carrier"].unique())
    labels = np.searchsorted(known, source["carrier"]).astype(np.int64)
    return Dataset("flights' carriers", {"features": np.concatenate(columns, axis=1)}, labels)


def normalised_tabular(shapes: Mapping[str, tuple[int, ...]], classes: int) -> Any:
    """Returns two dense layers that scale their input themselves, as many networks for tables."""
    import tf_keras as keras
    from tf_keras import layers

    features = only(shapes)
    x = layers.BatchNormalization(momentum=0.9)(features)
    for units in (64, 32):
        x = layers.Dense(units, activation="relu")(x)
    score = layers.Dense(1, activation="sigmoid")(x)
    return compiled(keras.Model(features, score), 2, 2e-3)


def narrow(shapes: Mapping[str, tuple[int, ...]], classes: int) -> Any:
    """Returns three narrow dense layers: every rounding error of one of 8 units counts."""
    import tf_keras as keras
    from tf_keras import layers

    features = only(shapes)
    x = features
    for units in (16, 8, 8):
        x = layers.Dense(units, activation="relu")(x)
    scores = layers.Dense(classes, activation="softmax")(x)
    return compiled(keras.Model(features, scores), classes, 3e-3)


def _flights() -> tuple[Any, Any, Any]:
    from tfx_loop.pipelines.examples.flights.data import LABEL, load_flights

    table = load_flights(fraction=0.15, seed=0)
    table = table[table[LABEL].notna()].reset_index(drop=True)
    numbers = table[list(_NUMBERS)].astype(np.float64)
    numbers = numbers.fillna(numbers.mean())
    scaled = (numbers - numbers.mean()) / numbers.std()
    return table, numbers.to_numpy(np.float32), scaled.to_numpy(np.float32)


def _one_hot(table: Any, names: tuple[str, ...]) -> list[Any]:
    return [
        (table[name].to_numpy()[:, None] == np.array(sorted(table[name].unique()))).astype(
            np.float32
        )
        for name in names
    ]


_NARROW = Entry(carriers, narrow, 8, 128, "SparseCategoricalAccuracy")
NETWORKS: Mapping[str, Entry] = {
    **ZOO,
    "MLP raw": Entry(raw_flights, normalised_tabular, 8, 256, "AUC"),
    "MLP everyday": Entry(everyday_flights, normalised_tabular, 8, 256, "AUC"),
    "MLP narrow": _NARROW,
    "MLP narrow, less training": _NARROW,
}

_FLIGHTS = Sizes(training=20_000, search=5_000)
SIZES: Mapping[str, Sizes] = {
    "ResNet-8": Sizes(training=500, search=600),
    "DS-CNN": Sizes(training=250, search=150),
    "CNN": Sizes(training=500, search=600),
    "MLP": _FLIGHTS,
    "MLP raw": _FLIGHTS,
    "MLP everyday": _FLIGHTS,
    "MLP narrow": _FLIGHTS,
    "MLP narrow, less training": Sizes(training=14_000, search=15_300),
}

CONDITIONS = (
    Condition("MLP, AUC", "MLP", 300, (0, 1, 2)),
    Condition("MLP, raw units", "MLP raw", 300, (0, 1, 2), "one scale for miles, minutes and 0/1"),
    Condition("MLP, everyday units", "MLP everyday", 300, (0, 1, 2), "one scale for 100 and 0/1"),
    Condition("MLP, narrow", "MLP narrow", 300, tuple(range(8)), "8 units a layer, 16 classes"),
    Condition(
        "MLP, narrow, 600 choose", "MLP narrow", 300, tuple(range(8)), "and few rows choose", 600
    ),
    Condition(
        "MLP, narrow, 15,000 choose", "MLP narrow, less training", 300, tuple(range(8)), "the same"
    ),
    Condition("CNN", "CNN", 100, (0, 1, 2)),
    Condition("CNN, 8 rows calibrate", "CNN", 8, (0, 1, 2), "ranges of 8 images"),
    Condition("DS-CNN", "DS-CNN", 40, (0, 1)),
    Condition("ResNet-8", "ResNet-8", 100, (0, 1)),
)
QUICK = (Condition("MLP, raw units", "MLP raw", 300, (0,), "one scale for miles and 0/1"),)


@lru_cache(maxsize=2)
def dataset(network: str) -> Dataset:
    """Returns the rows of a network."""
    build: Callable[[], Dataset] = NETWORKS[network].rows
    return build()
