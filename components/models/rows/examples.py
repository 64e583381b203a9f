"""Columns for a model's inputs, from serialized tf.Examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.tensors import Array, TensorSpec

_TEXT = "string"
_NUMBERS = ("float_list", "int64_list")


def columns_of(
    specs: Sequence[TensorSpec],
    serialized: Sequence[bytes],
    sources: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Array]:
    """Returns the features that inputs name, in their shapes and types, a row for each Example.

    Args:
        specs: Inputs; those of the type `string` take features of bytes.
        serialized: The Examples.
        sources: By input the features that it takes, one after the other, where their names differ.

    Raises:
        DataError: A feature is missing, of another kind, or has another number of values.
    """
    examples = parse_examples(serialized)
    named = sources or {}
    return {
        spec.name: _column(spec, named.get(spec.name, (spec.name,)), examples) for spec in specs
    }


def parse_examples(serialized: Sequence[bytes]) -> list[Any]:
    """Returns tf.Examples as messages.

    Raises:
        DataError: One is something else.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        return [example_pb2.Example.FromString(value) for value in serialized]
    except DecodeError as error:
        raise DataError("Expected serialized tf.Examples, received other bytes.") from error


def _column(spec: TensorSpec, names: Sequence[str], examples: Sequence[Any]) -> Array:
    rows = [np.concatenate([_values(name, spec, e) for name in names]) for e in examples]
    # reshape finds one open size; a shape with two is refused below.
    sizes = [size or -1 for size in spec.shape[1:]]
    try:
        column: Array = np.stack([row.reshape(sizes) for row in rows])
        return column if spec.dtype == _TEXT else column.astype(spec.dtype)
    except (TypeError, ValueError) as error:
        counts = sorted({row.size for row in rows})
        raise DataError(
            f"Expected values for the input {spec} in the feature {', '.join(map(repr, names))} of "
            f"each tf.Example, received {', '.join(map(str, counts))} values a row. Give the "
            "Examples that hold the model's inputs."
        ) from error


def _values(name: str, spec: TensorSpec, example: Any) -> Array:
    feature = example.features.feature
    kind = feature[name].WhichOneof("kind") if name in feature else None
    if spec.dtype == _TEXT and kind == "bytes_list":
        return np.asarray(feature[name].bytes_list.value, dtype=object)
    if spec.dtype == _TEXT or kind not in _NUMBERS:
        wanted = "text" if spec.dtype == _TEXT else "numbers"
        found = {"bytes_list": "text", None: "none"}.get(kind, "numbers")
        raise DataError(
            f"Expected {wanted} in the feature {name!r} of each tf.Example, received {found}; "
            f"there are {', '.join(sorted(feature)) or 'no features'}. Give the Examples that hold "
            "the model's inputs."
        )
    return np.asarray(getattr(feature[name], kind).value)
