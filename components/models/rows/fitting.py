"""Columns of a table, or arrays of a file, fitted to a model's inputs.

Nothing is guessed that could be wrong: shapes must agree but for axes of length 1 and flattened
rows, missing values are refused, and numbers only change type where no value changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import listed
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import Array, TensorSpec


def rows_from_table(
    table: Any,
    inputs: Sequence[TensorSpec],
    label: str | None,
    slice_columns: Sequence[str] = (),
    made: Mapping[str, Array] | None = None,
) -> Rows:
    """Returns the rows of a pyarrow Table.

    A column goes to the input of its name; a list column to the input's shape. A model with one
    input takes, where no column has its name, all other numeric columns in their order.

    Args:
        table: The table.
        inputs: What the model takes.
        label: Column of the labels; None for none.
        slice_columns: Columns that results are broken down by.
        made: (rows, …) arrays by input that were made of columns already, such as images.

    Raises:
        DataError: A column is absent, has missing values or another shape.
    """
    # Said before any column is converted: a misspelt name is the usual mistake.
    check_columns(table.column_names, [*([label] if label else []), *slice_columns])
    if table.num_rows == 0:
        raise DataError("Expected rows, received none. Name a file that has rows.")
    slices = {name: _values(table, name) for name in slice_columns}
    labels = _values(table, label) if label else None
    arrays = {**(made or {})} | {
        tensor.name: _array(table, tensor.name)
        for tensor in inputs
        if tensor.name in table.column_names and tensor.name not in (label, *(made or {}))
    }
    notes: list[str] = []
    columns: list[str] = []
    # A model of one wide input takes the table as a design matrix, and the notes say so.
    if not arrays and len(inputs) == 1:
        columns = _wide(table, inputs[0], label, slice_columns)
        arrays[inputs[0].name] = _stacked(table, columns)
        notes.append(
            f"Input {inputs[0].name} takes {len(columns)} columns in their order: "
            f"{listed(columns)}."
        )
    rows = rows_from_arrays(arrays, inputs, labels, slices, notes)
    return replace(rows, stacked=tuple(columns) if len(columns) > 1 else ())


def check_columns(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Checks that columns are there.

    Raises:
        DataError: One is absent; the message lists those that are there.
    """
    for name in wanted:
        if name not in found:
            raise DataError(
                f"Expected the column {name!r}, received {listed(found)}. Name one of these."
            )


def rows_from_arrays(
    arrays: Mapping[str, Array],
    inputs: Sequence[TensorSpec],
    labels: Array | None = None,
    slices: Mapping[str, Array] | None = None,
    notes: Sequence[str] = (),
) -> Rows:
    """Returns the rows of arrays named after the inputs; one array serves a single input.

    Raises:
        DataError: An input has no array, or one of another shape or with missing values.
    """
    if len(inputs) == 1 and len(arrays) == 1:
        # An .npz often calls its one array `x`; there is nothing it could be mixed up with.
        arrays = {inputs[0].name: next(iter(arrays.values()))}
    missing = [tensor.name for tensor in inputs if tensor.name not in arrays]
    if missing:
        raise DataError(
            f"Expected values for the inputs {listed([t.name for t in inputs])}, received "
            f"{listed(list(arrays)) or 'none of them'}; missing: {listed(missing)}. "
            "Name the columns or arrays after the inputs."
        )
    told = list(notes)
    fitted = {tensor.name: _fitted(arrays[tensor.name], tensor, told) for tensor in inputs}
    checked = None if labels is None else _present(labels, "the label")
    return Rows(inputs=fitted, labels=checked, slices=dict(slices or {}), notes=tuple(told))


def _wide(
    table: Any, tensor: TensorSpec, label: str | None, slice_columns: Sequence[str]
) -> list[str]:
    """Returns the columns that make up one wide input."""
    numeric = [
        field.name for field in table.schema if field.name != label and _is_number(field.type)
    ]
    size = _size(tensor)
    lists = [f.name for f in table.schema if f.name != label and pa.types.is_list(f.type)]
    if not numeric and len(lists) == 1:
        return lists
    # A slice column may be a feature or not: whichever makes the sizes agree.
    for columns in (numeric, [name for name in numeric if name not in slice_columns]):
        if size is None or len(columns) == size:
            return columns
    raise DataError(
        f"Expected {size} numeric columns beside the label for the input {tensor.name!r} of shape "
        f"{_shape(tensor)}, received {len(numeric)}: {listed(numeric)}. Leave out the columns "
        "that the model was not trained on (--ignore, where the command has it), and give the "
        "others in the order of training."
    )


def _stacked(table: Any, columns: Sequence[str]) -> Array:
    if len(columns) == 1:
        return _array(table, columns[0])
    # float64 holds int32 and float32 exactly; `_cast` then checks what the model's type loses.
    return np.stack([_array(table, name).astype(np.float64) for name in columns], axis=1)


def _array(table: Any, name: str) -> Array:
    """Returns a column as an array, a list column as (rows, length)."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if column.null_count:
        raise _missing(f"the column {name!r}", column.null_count)
    if pa.types.is_dictionary(column.type):
        # How pandas' categories and repeated values of Parquet arrive; the model takes the values.
        column = column.dictionary_decode()
    depth: list[int] = []
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        # Ragged rows have no shape, and padding is a choice that only the training made.
        lengths = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
        if len(lengths) != 1:
            raise DataError(
                f"Expected lists of one length in the column {name!r}, received lengths from "
                f"{lengths.min()} to {lengths.max()}. Pad or cut them as the training did."
            )
        depth.append(int(lengths[0]))
        column = column.flatten()
        if column.null_count:
            raise _missing(f"the column {name!r}", column.null_count)
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    return values.reshape(table.num_rows, *depth) if depth else values


def _values(table: Any, name: str) -> Array:
    """Returns a label or slice column; lists of one value are unpacked, bytes are read as text."""
    values = _array(table, name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype == object:
        values = np.array(
            [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
        )
    return values


def _fitted(values: Array, tensor: TensorSpec, notes: list[str]) -> Array:
    """Returns the values in the input's shape and type; says in `notes` what was changed."""
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == bool):
        raise DataError(
            f"Expected numbers for the input {tensor.name!r} ({tensor.dtype}), received "
            f"{values.dtype}. Encode them as the training did."
        )
    values = _present(values, f"the input {tensor.name!r}")
    shape = tensor.shape[1:]
    if not _agrees(values.shape[1:], shape):
        values = _reshaped(values, tensor, notes)
    return _cast(values, tensor)


def _reshaped(values: Array, tensor: TensorSpec, notes: list[str]) -> Array:
    """Adds or removes axes of length 1, or folds flattened rows; anything else is an error."""
    have, want = values.shape[1:], tensor.shape[1:]
    # An axis of any length cannot be told from a missing one: then nothing is reshaped.
    full = tuple(length for length in want if length is not None)
    squeezed = tuple(length for length in have if length != 1)
    same_axes = len(full) == len(want) and squeezed == tuple(n for n in full if n != 1)
    folded = (
        len(full) == len(want)
        and 1 in (len(have), len(want))
        and int(np.prod(have)) == int(np.prod(full))
    )
    if not (same_axes or folded):
        raise DataError(
            f"Expected rows of shape {_shape(tensor)} for the input {tensor.name!r}, received "
            f"(rows, {', '.join(map(str, have))}). Give them in the shape that the model takes."
        )
    told = "x".join(str(length) for length in have) or "single numbers"
    notes.append(
        f"Input {tensor.name}: rows of {told} were read as {'x'.join(map(str, full)) or 'one'}."
    )
    return values.reshape(len(values), *full)


def _cast(values: Array, tensor: TensorSpec) -> Array:
    wanted = np.dtype(tensor.dtype)
    if np.issubdtype(wanted, np.integer):
        # Compared after the cast: that finds fractions and overflow with one test.
        whole = values.astype(wanted)
        if not np.array_equal(whole, values):
            raise DataError(
                f"Expected whole numbers of {wanted} for the input {tensor.name!r}, received "
                f"{values.dtype} from {values.min()} to {values.max()}. Encode them as the "
                "training did."
            )
        return whole
    # What overflows becomes infinite and is reported below, with the value.
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(values.astype(wanted, copy=False))
    if not np.isfinite(cast).all():
        raise DataError(
            f"Expected values that {wanted} holds for the input {tensor.name!r}, received up to "
            f"{np.abs(values).max():g}, too large for {wanted}. Scale them as the training did."
        )
    return cast


def _present(values: Array, what: str) -> Array:
    if np.issubdtype(values.dtype, np.inexact):
        # NaN and infinity poison a whole batch in normalisation layers, and a metric after that.
        missing = int((~np.isfinite(values)).sum())
        if missing:
            raise _missing(what, missing)
    return values


def _missing(what: str, count: int) -> DataError:
    return DataError(
        f"Expected no missing values in {what}, received {count:,} (null, NaN or infinite). "
        "Fill them as the training did, or leave these rows out."
    )


def _agrees(have: tuple[int, ...], want: tuple[int | None, ...]) -> bool:
    return len(have) == len(want) and all(
        b is None or a == b for a, b in zip(have, want, strict=True)
    )


def _size(tensor: TensorSpec) -> int | None:
    """Returns how many numbers a row has; None where the shape leaves it open."""
    lengths = tensor.shape[1:]
    if any(length is None for length in lengths):
        return None
    return int(np.prod([length for length in lengths if length is not None], dtype=np.int64))


def _shape(tensor: TensorSpec) -> str:
    return "(" + ", ".join(str(n) if n is not None else "any" for n in tensor.shape) + ")"


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )
