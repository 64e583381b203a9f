"""Rows of the user's file as the model takes them."""

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.models.rows.fitting import check_columns, rows_from_arrays, rows_from_table
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import TensorSpec

Array = npt.NDArray[Any]
_NPZ_LABEL, _NPZ_ROWS = "y", "x"


def read_rows(
    path: Path, inputs: Sequence[TensorSpec], label: str | None, slice_columns: Sequence[str]
) -> Rows:
    """Returns the rows of a file; labels are as the file has them.

    Args:
        path: Parquet, CSV, TFRecord of tf.Examples, a folder of these, or an .npz.
        inputs: What the model takes.
        label: Column or array of the labels; None is `y` of an .npz.
        slice_columns: Columns or arrays that losses are shown by.

    Raises:
        DataError: The file is not there, damaged, or does not fit the model.
    """
    if path.suffix.lower() == ".npz" or _is_npz(path):
        return _npz_rows(path, inputs, label or _NPZ_LABEL, slice_columns)
    return rows_from_table(open_table(str(path)).read(), inputs, label, slice_columns)


def check_file(path: Path, label: str | None, slice_columns: Sequence[str]) -> None:
    """Checks what can be known of a file before the model is: that it opens and has the columns.

    Raises:
        DataError, ConfigError: As `read_rows`.
    """
    if _is_npz(path) or path.suffix.lower() == ".npz":
        with _opened(path) as archive:
            _check_names(archive.files, [label or _NPZ_LABEL], slice_columns, path)
        return
    names = open_table(str(path)).schema.names
    if label is None:
        raise ConfigError(
            f"Expected --label, the column of {path} to predict, received none. "
            f"Name one of {_listed(names)}."
        )
    check_columns(names, [label, *slice_columns])


def _npz_rows(
    path: Path, inputs: Sequence[TensorSpec], label: str, slice_columns: Sequence[str]
) -> Rows:
    arrays = _npz(path)
    _check_names(list(arrays), [label], slice_columns, path)
    others = {n: v for n, v in arrays.items() if n not in (label, *slice_columns)}
    names = [tensor.name for tensor in inputs]
    if all(name in others for name in names):
        others = {name: others[name] for name in names}
    elif len(inputs) == 1 and _NPZ_ROWS in others:
        others = {names[0]: others[_NPZ_ROWS]}
    slices = {name: arrays[name].ravel() for name in slice_columns}
    if any(len(values) == 0 for values in others.values()):
        raise DataError(f"Expected rows in {path}, received none. Name a file that has rows.")
    return rows_from_arrays(others, inputs, _plain(arrays[label]), slices)


def _check_names(
    found: Sequence[str], labels: Sequence[str], slice_columns: Sequence[str], path: Path
) -> None:
    for name in (*labels, *slice_columns):
        if name not in found:
            remedy = "Name the labels with --label, or save them as y"
            raise DataError(
                f"Expected the array {name!r} in {path}, received {_listed(found)}. "
                f"{remedy if name in labels else 'Name one of these'}."
            )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yields an .npz archive; what numpy raises on a damaged one is a DataError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError as error:
        raise DataError(f"Expected an .npz file at {path}, found none. Check the path.") from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(
            f"Expected arrays of numbers or text in {path}, received: {said}. Write it again with "
            "numpy.savez; arrays of Python objects are not read."
        ) from error


def _npz(path: Path) -> dict[str, Array]:
    with _opened(path) as archive:
        found = {name: archive[name] for name in archive.files}
    scalars = [name for name, values in found.items() if values.ndim == 0]
    if scalars:
        raise DataError(f"Expected arrays of rows in {path}, received the scalar {scalars[0]!r}.")
    return found


def _plain(labels: Array) -> Array:
    """Returns labels with bytes decoded."""
    return np.char.decode(labels, "utf-8", "replace") if labels.dtype.kind == "S" else labels


def _is_npz(path: Path) -> bool:
    return path.is_file() and zipfile.is_zipfile(path) and path.suffix.lower() != ".keras"


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
