"""Rows of the user's file as the model takes them."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import ConfigError, DataError, first_line
from tfx_loop.core.import_path import user_function
from tfx_loop.core.texts import listed
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.models.rows.encoded_images import (
    DEFAULT_SCALE,
    image_column,
    is_image_folder,
    read_image_column,
    read_image_folder,
)
from tfx_loop.models.rows.fitting import check_columns, rows_from_arrays, rows_from_table
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import TensorSpec

Array = npt.NDArray[Any]
# What scikit-learn's and Keras' examples call labels and rows.
_NPZ_LABEL, _NPZ_ROWS = "y", "x"


def read_rows(
    path: Path,
    inputs: Sequence[TensorSpec],
    label: str | None,
    slice_columns: Sequence[str],
    others: Mapping[str, str] | None = None,
    *,
    loader: str = "",
    preprocess: str = DEFAULT_SCALE,
) -> Rows:
    """Returns the rows of a file; labels are as the file has them.

    Args:
        path: Parquet, CSV, TFRecord of tf.Examples, a folder of these, an .npz, or a folder of
            images with a sub-folder for each class. A column of JPEG or PNG goes to an input of
            images.
        inputs: What the model takes.
        label: Column or array of the labels; None is `y` of an .npz.
        slice_columns: Columns or arrays that losses are shown by.
        others: Columns or arrays of the labels of further outputs, by output.
        loader: Import path of a function that takes the path and returns arrays by name, or
            `(x, y)`; empty reads the file.
        preprocess: What images become; see `read_image_folder`.

    Raises:
        DataError: The file is not there, damaged, or does not fit the model.
        ConfigError: A function cannot be imported, raises, or returns something else.
    """
    if loader:
        arrays = _loaded(loader, path)
        named = label or _NPZ_LABEL
        return _array_rows(arrays, loader, inputs, named, slice_columns, others or {})
    if is_image_folder(path):
        return read_image_folder(path, inputs, preprocess)
    # By its name, too: a damaged archive is no zip any more, and is to be told as one.
    if path.suffix.lower() == ".npz" or _is_npz(path):
        return _npz_rows(path, inputs, label or _NPZ_LABEL, slice_columns, others or {})
    columns = dict(others or {})
    both = tuple(dict.fromkeys((*slice_columns, *columns.values())))
    table, made, notes = open_table(str(path)).read(), {}, []
    if column := image_column(table, inputs, [*([label] if label else []), *both]):
        name, images, note = read_image_column(table, column, inputs, preprocess)
        made[name], notes = images, [note]
    rows = rows_from_table(table, inputs, label, both, made)
    return replace(
        rows,
        notes=(*notes, *rows.notes),
        slices={name: rows.slices[name] for name in slice_columns},
        other_labels={output: rows.slices[column] for output, column in columns.items()},
    )


def read_classes(path: Path) -> tuple[str, ...]:
    """Returns the class names of a file, in the order of its lines; empty lines are left out.

    Raises:
        ConfigError: It is not there, or no text.
    """
    try:
        # Excel and Notepad write a byte order mark, which would be part of the first name.
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(
            f"Expected a file of class names at {path}, received: {error.strerror}. Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Expected class names as UTF-8 text in {path}, received other content. Write a name "
            "a line, in the order of the model's outputs."
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def check_file(
    path: Path, label: str | None, slice_columns: Sequence[str], *, loader: str = ""
) -> None:
    """Checks what can be known of a file before the model is: that it opens and has the columns.

    Raises:
        DataError, ConfigError: As `read_rows`.
    """
    if loader:
        user_function(loader, "loader")
        return
    if is_image_folder(path):
        if label is not None or slice_columns:
            raise ConfigError(
                f"Expected no --label and no --slice beside the folder of images {path}, whose "
                f"labels are its sub-folders, received {label or slice_columns[0]}. Leave it out."
            )
        return
    if _is_npz(path) or path.suffix.lower() == ".npz":
        with _opened(path) as archive:
            _check_names(archive.files, [label or _NPZ_LABEL], slice_columns, path)
        return
    names = open_table(str(path)).schema.names
    if label is None:
        raise ConfigError(
            f"Expected --label, the column of {path} to predict, received none. "
            f"Name one of {listed(names)}."
        )
    check_columns(names, [label, *slice_columns])


def _npz_rows(
    path: Path,
    inputs: Sequence[TensorSpec],
    label: str,
    slice_columns: Sequence[str],
    further: Mapping[str, str],
) -> Rows:
    return _array_rows(_npz(path), str(path), inputs, label, slice_columns, further)


def _array_rows(
    arrays: Mapping[str, Array],
    path: str,
    inputs: Sequence[TensorSpec],
    label: str,
    slice_columns: Sequence[str],
    further: Mapping[str, str],
) -> Rows:
    _check_names(list(arrays), [label, *further.values()], slice_columns, path)
    taken = (label, *further.values(), *slice_columns)
    others = {n: v for n, v in arrays.items() if n not in taken}
    names = [tensor.name for tensor in inputs]
    if all(name in others for name in names):
        others = {name: others[name] for name in names}
    elif len(inputs) == 1 and _NPZ_ROWS in others:
        others = {names[0]: others[_NPZ_ROWS]}
    slices = {name: arrays[name].ravel() for name in slice_columns}
    if any(len(values) == 0 for values in others.values()):
        raise DataError(f"Expected rows in {path}, received none. Name a file that has rows.")
    rows = rows_from_arrays(others, inputs, _plain(arrays[label]), slices)
    labels = {output: _plain(arrays[name]) for output, name in further.items()}
    return replace(rows, other_labels=labels)


def _loaded(loader: str, path: Path) -> dict[str, Array]:
    """Returns what the user's function makes of a path, as arrays of as many rows by name."""
    function = user_function(loader, "loader")
    try:
        given = function(str(path))
        # As Keras' datasets come: rows, then labels.
        found = given if isinstance(given, Mapping) else dict(zip(("x", "y"), given, strict=True))
        if isinstance(x := found.get(_NPZ_ROWS), Mapping):
            found = {**x, **{name: values for name, values in found.items() if name != _NPZ_ROWS}}
        return {str(name): np.asarray(values) for name, values in found.items()}
    except Exception as error:  # Whatever the user's code raises.
        raise ConfigError(
            f"Expected arrays by name, or (x, y), from {loader}({str(path)!r}), received "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


def _check_names(
    found: Sequence[str], labels: Sequence[str], slice_columns: Sequence[str], path: Path | str
) -> None:
    for name in (*labels, *slice_columns):
        if name not in found:
            remedy = "Name the labels with --label, or save them as y"
            raise DataError(
                f"Expected the array {name!r} in {path}, received {listed(found)}. "
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
    # A .keras file is a zip as well.
    return path.is_file() and zipfile.is_zipfile(path) and path.suffix.lower() != ".keras"
