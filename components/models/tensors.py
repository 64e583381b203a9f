"""Inputs and outputs of a model, and a caller's arrays fitted to them in batches."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError, ModelError

Array: TypeAlias = npt.NDArray[Any]

DEFAULT_SIGNATURE = "serving_default"
# By convention the signature with a tensor per raw column, beside one for tf.Examples.
COLUMNS_SIGNATURE = "serving_columns"
# Of serialized tf.Examples where serving_default takes something else.
EXAMPLES_SIGNATURE = "serving_tf_example"
# Enough to spread the cost of a call (a small SavedModel took 0.43 ms for 1 row and 0.77 ms for
# 512), and few enough for the memory that a large model's activations take.
DEFAULT_BATCH_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: As the signature calls it.
        shape: With the batch first; None for a dimension of any size.
        dtype: NumPy's name of the type that a caller gives or gets.
        file_dtype: The type in the file; differs where whole numbers stand for floats.
        any_rank: Whether it takes any number of dimensions; the shape is empty then.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    file_dtype: str = ""
    any_rank: bool = False

    def __str__(self) -> str:
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} [{sizes}] {self.file_dtype or self.dtype}"

    @property
    def is_static(self) -> bool:
        """Says whether all dimensions but the batch have a size."""
        return bool(self.shape) and None not in self.shape[1:]


def fit(inputs: Mapping[str, Any], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Returns a caller's arrays in the types and shapes of a model's inputs.

    Dimensions of size 1 may be missing or more, and a row may be flat: [n] fits [n, 1], and
    [n, 64] fits [n, 8, 8, 1], or the other way round.

    Raises:
        DataError: Names, types, shapes or numbers of rows do not fit.
    """
    wanted = {spec.name for spec in specs}
    if set(inputs) != wanted:
        raise DataError(
            f"Expected the inputs {_listed(wanted)}, received {_listed(set(inputs))}. "
            "Name the columns as the model names its inputs."
        )
    arrays = {spec.name: _fit(np.asarray(inputs[spec.name]), spec) for spec in specs}
    rows = {name: len(values) for name, values in arrays.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        counts = ", ".join(f"{name} {count}" for name, count in sorted(rows.items()))
        raise DataError(
            f"Expected the same number of rows, at least 1, in every input, received {counts}."
        )
    return arrays


def in_batches(
    answer: Callable[[dict[str, Array]], Mapping[str, Array]],
    inputs: Mapping[str, Any],
    specs: Sequence[TensorSpec],
    batch_size: int,
) -> dict[str, Array]:
    """Returns what a model answers to a caller's arrays, by name.

    Args:
        answer: Asks the model one batch.
        inputs: Arrays by the names of the model's inputs.
        specs: These inputs.
        batch_size: Rows in a batch, where the model takes any number.

    Raises:
        DataError: The arrays do not fit.
        ModelError: An output has not one row for each row of the inputs.
    """
    parts, counts = [], []
    for batch, count in chunks(fit(inputs, specs), batch_size, fixed_batch(specs)):
        parts.append(answer(batch))
        counts.append(count)
    return join(parts, counts)


def chunks(
    arrays: Mapping[str, Array], batch_size: int, fixed: int | None
) -> Iterator[tuple[dict[str, Array], int]]:
    """Yields batches and how many of their rows count.

    Args:
        arrays: Inputs with the same number of rows.
        batch_size: Rows in a batch, the last one may have fewer.
        fixed: The only size that the model takes, the last batch is filled up; None for any.
    """
    size = fixed or batch_size
    if size < 1:
        raise DataError(f"Expected a batch_size of 1 or more, received {batch_size}.")
    rows = len(next(iter(arrays.values())))
    for start in range(0, rows, size):
        batch = {name: values[start : start + size] for name, values in arrays.items()}
        count = min(size, rows - start)
        if fixed is not None and count < fixed:
            batch = {
                # Filled with a real row: zeros could be values that the model refuses.
                name: np.concatenate([values, np.repeat(values[-1:], fixed - count, axis=0)])
                for name, values in batch.items()
            }
        yield batch, count


def join(parts: Sequence[Mapping[str, Array]], counts: Sequence[int]) -> dict[str, Array]:
    """Returns the outputs of all batches as one, by name.

    Raises:
        ModelError: An output has not one row for each row of the inputs.
    """
    joined = {}
    for name in parts[0]:
        for part, count in zip(parts, counts, strict=True):
            # More rows than asked are the filling of a fixed batch; fewer cannot be matched to
            # their rows.
            if part[name].ndim == 0 or len(part[name]) < count:
                raise ModelError(
                    f"Expected one row of output {name!r} for each row of the inputs, received "
                    f"shape {part[name].shape} for {count} rows. Export a signature without it."
                )
        trimmed = [part[name][:count] for part, count in zip(parts, counts, strict=True)]
        # One batch is the usual case, and needs no copy.
        joined[name] = trimmed[0] if len(trimmed) == 1 else np.concatenate(trimmed)
    return joined


def fixed_batch(specs: Sequence[TensorSpec]) -> int | None:
    """Returns the only batch size that a model takes; None when it takes any."""
    return next((spec.shape[0] for spec in specs if spec.shape[0] is not None), None)


def check_batched(specs: Sequence[TensorSpec], where: str) -> None:
    """Checks that each input has a batch dimension.

    Raises:
        ModelError: One is a scalar, or has no rank.
    """
    for spec in specs:
        if spec.any_rank:
            raise ModelError(
                f"Expected an input {spec.name!r} with a rank in {where}, received one of any "
                "shape. Export the model with the shape of its rows, such as [None, 28, 28, 1]."
            )
        if not spec.shape:
            raise ModelError(
                f"Expected inputs with a batch dimension in {where}, received the scalar "
                f"{spec.name!r}. Export a signature that takes rows."
            )


def check_numeric(specs: Sequence[TensorSpec], where: str, hint: str) -> None:
    """Checks that all tensors hold numbers.

    Raises:
        ModelError: One holds strings or something else that is no number.
    """
    for spec in specs:
        if spec.dtype != "bool" and not _is_number(spec.dtype):
            raise ModelError(
                f"Expected numeric tensors in {where}, received {spec.name!r} of type "
                f"{spec.dtype}. {hint}"
            )


def _is_number(dtype: str) -> bool:
    try:
        # NumPy raises for what it does not know: bfloat16, which is a number, and resources.
        return np.issubdtype(np.dtype(dtype), np.number)
    except TypeError:
        return dtype == "bfloat16"


def _fit(values: Array, spec: TensorSpec) -> Array:
    if values.dtype.kind not in "fiub":
        raise DataError(
            f"Expected numbers for input {spec.name!r}, received {values.dtype}. "
            "Encode text as the model's training did."
        )
    # Tables turn whole numbers with gaps into floats; they may come back only unchanged.
    if values.dtype.kind == "f" and np.dtype(spec.dtype).kind in "iu":
        _check_whole(values, spec)
    return _in_shape(values, spec).astype(spec.dtype, copy=False)


def _check_whole(values: Array, spec: TensorSpec) -> None:
    limits = np.iinfo(spec.dtype)
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise DataError(
            f"Expected whole numbers for input {spec.name!r} ({spec.dtype}), received others."
        )
    if values.size and (values.min() < limits.min or values.max() > limits.max):
        raise DataError(
            f"Expected values from {limits.min} to {limits.max} for input {spec.name!r}, "
            f"received {values.min():g} to {values.max():g}."
        )


def _in_shape(values: Array, spec: TensorSpec) -> Array:
    row = spec.shape[1:]
    if values.ndim == len(spec.shape) and _agree(values.shape[1:], row):
        return values
    if values.ndim > 0 and None not in row:
        sizes = tuple(size for size in row if size is not None)
        have = values.shape[1:]
        # Row-major in both directions, so [n, 64] and [n, 8, 8, 1] hold the same numbers.
        flat = min(len(have), len(sizes)) == 1 and np.prod(have) == np.prod(sizes)
        if flat or _without_ones(have) == _without_ones(sizes):
            return values.reshape(len(values), *sizes)
    raise DataError(
        f"Expected rows of shape {_shown_shape(row)} for input {spec.name!r}, "
        f"received an array of shape {list(values.shape)}."
    )


def _agree(have: tuple[int, ...], want: tuple[int | None, ...]) -> bool:
    return all(w is None or h == w for h, w in zip(have, want, strict=True))


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _shown_shape(row: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in row)}]"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


@functools.lru_cache(maxsize=256)
def type_name(dtype: "np.dtype[Any]") -> str:
    """Returns what a TensorSpec calls a type of NumPy: `string` for text and bytes of any length.

    Remembered, as NumPy makes the name anew each time, which a request feels.
    """
    return "string" if dtype.kind in "OSU" else str(dtype.name)
