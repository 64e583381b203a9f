"""Real tables that come with packages: features as a matrix, labels as classes or numbers."""

import gzip
import importlib.util
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices


@dataclass(frozen=True)
class LabelledTable:
    """Rows of one table.

    Attributes:
        features: Of shape (rows, columns).
        labels: Of shape (rows,).
        classes: How many; 0 for numbers.
    """

    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.float64]
    classes: int


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _digits() -> tuple[pd.DataFrame, Any]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return pd.DataFrame(found.data), found.target


def _of_scikit_learn(name: str) -> Callable[[], tuple[pd.DataFrame, Any]]:
    def read() -> tuple[pd.DataFrame, Any]:
        from sklearn import datasets

        # As measured: the tables that are shipped centred are centred on all rows.
        options = {"scaled": False} if name == "diabetes" else {}
        found = getattr(datasets, f"load_{name}")(**options)
        return pd.DataFrame(found.data, columns=list(found.feature_names)), found.target

    return read


def _bananas() -> tuple[pd.DataFrame, Any]:
    with zipfile.ZipFile(_package("river") / "datasets" / "banana.zip") as archive:
        lines = archive.read(archive.namelist()[0]).decode().split("\n")
    # As LIBSVM writes rows: label 1:value 2:value
    rows = [line.split() for line in lines if line.strip()]
    values = [[float(cell.split(":")[1]) for cell in row[1:3]] for row in rows]
    return pd.DataFrame(values, columns=["x", "y"]), np.array([float(r[0]) > 0 for r in rows])


def _taxi() -> tuple[pd.DataFrame, Any]:
    data = "examples/chicago_taxi_pipeline/data/simple/data.csv"
    rows = pd.read_csv(_package("tfx") / data)
    rows = rows[rows["fare"] > 0]
    tipped = rows["tips"] > 0.2 * rows["fare"]
    return rows.drop(columns=["tips", "trip_start_timestamp"]), tipped.astype(int)


def _flights() -> tuple[pd.DataFrame, Any]:
    # Not imported: it needs pkg_resources, which newer environments lack.
    from tfx_loop.pipelines.examples.flights.data import FEATURES, LABEL, load_flights

    rows = load_flights().sample(6_000, random_state=0)
    rows = rows[rows[LABEL].notna()]
    return rows[list(FEATURES)], rows[LABEL].astype(int)


def _phishing() -> tuple[pd.DataFrame, Any]:
    with gzip.open(_package("river") / "datasets" / "phishing.csv.gz") as file:
        rows = pd.read_csv(file)
    return rows.iloc[:, :-1].astype(float), rows.iloc[:, -1].astype(int)


def _segment() -> tuple[pd.DataFrame, Any]:
    with zipfile.ZipFile(_package("river") / "datasets" / "segment.csv.zip") as archive:
        rows = pd.read_csv(io.BytesIO(archive.read(archive.namelist()[0])))
    (label,) = rows.select_dtypes(object).columns
    return rows.drop(columns=label).astype(float), rows[label].astype("category").cat.codes


def _fares() -> tuple[pd.DataFrame, Any]:
    """A table with numbers as labels: what a taxi trip cost, in log dollars."""
    rows, _ = _taxi()
    return rows.drop(columns="fare"), np.log(rows["fare"])


MORE_NAMES = ("breast_cancer", "wine", "diabetes", "bananas")
_READERS: dict[str, Callable[[], tuple[pd.DataFrame, Any]]] = {
    "digits": _digits,
    "taxi": _taxi,
    "flights": _flights,
    "phishing": _phishing,
    "segment": _segment,
    "fares": _fares,
    "breast_cancer": _of_scikit_learn("breast_cancer"),
    "wine": _of_scikit_learn("wine"),
    "diabetes": _of_scikit_learn("diabetes"),
    "bananas": _bananas,
}
NAMES = tuple(name for name in _READERS if name not in MORE_NAMES)


def read_columns(name: str) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float64]]:
    """Returns the features of a table by name, and its labels."""
    rows, labels = _READERS[name]()
    columns = {str(column): rows[column].to_numpy() for column in rows.columns}
    return columns, np.asarray(labels, dtype=np.float64)


def classes_of(labels: npt.NDArray[np.float64]) -> int:
    """Returns how many classes there are; 0 for numbers."""
    few = (labels == np.floor(labels)).all() and labels.max() < 30
    return int(labels.max()) + 1 if few else 0


def read_table(name: str) -> LabelledTable:
    """Returns a table by its name."""
    columns, labels = read_columns(name)
    # Encoded on all rows: the encoding learns nothing of single ones.
    features, _ = feature_matrices(columns, columns)
    return LabelledTable(features, labels, classes_of(labels))
