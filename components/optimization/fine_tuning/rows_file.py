"""Rows on their way to a child process: one .npz file, without pickle."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import listed

Array: TypeAlias = npt.NDArray[Any]

_INPUT = "input:"
_LABEL = "label"


@dataclass(frozen=True)
class TrainingRows:
    """Rows to train on.

    Attributes:
        inputs: The model's inputs by name, each of shape [rows, ...].
        labels: Of shape [rows] or [rows, classes]; by output where there are several.
    """

    inputs: dict[str, Array]
    labels: Array | dict[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def write_rows(path: Path | str, inputs: Mapping[str, Array], labels: Array | None) -> Path:
    """Writes rows to `path` (.npz) and returns it; rows to train on need labels.

    Raises:
        DataError: There are no rows or no labels, or the columns differ in length.
    """
    if labels is None:
        raise DataError(
            "Expected labels to train on, received none. Name the label column of the rows."
        )
    lengths = {name: len(values) for name, values in inputs.items()} | {_LABEL: len(labels)}
    if not inputs or len(set(lengths.values())) != 1 or not len(labels):
        raise DataError(f"Expected rows of one length, at least one, received {lengths}.")
    if not (np.issubdtype(labels.dtype, np.number) or labels.dtype == bool):
        raise DataError(
            f"Expected numbers as labels, received such as {listed(labels.ravel().tolist(), 2)}. "
            "Number them as the model's own training did."
        )
    arrays: dict[str, Any] = {f"{_INPUT}{name}": _plain(values) for name, values in inputs.items()}
    arrays[_LABEL] = _plain(labels)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def read_rows(path: Path | str) -> TrainingRows:
    """Returns the rows that `write_rows` wrote.

    Raises:
        DataError: The file is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"Expected rows in {path}, received: {error}.") from error
    labels = arrays.pop(_LABEL, None)
    if labels is None or not arrays:
        raise DataError(f"Expected inputs and labels in {path}, received {sorted(arrays)}.")
    return TrainingRows({name.removeprefix(_INPUT): v for name, v in arrays.items()}, labels)


def _plain(values: Array) -> Array:
    """Returns an array that needs no pickle: text instead of objects."""
    return values.astype(str) if values.dtype == object else values
