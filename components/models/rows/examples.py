"""Columns of numbers for a model's inputs, from serialized tf.Examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.tensors import Array, TensorSpec


def columns_of(specs: Sequence[TensorSpec], serialized: Sequence[bytes]) -> dict[str, Array]:
    """Returns the features that inputs name, in their shapes and types, a row for each Example.

    Raises:
        DataError: A feature is missing, is text, or has another number of values.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        examples = [example_pb2.Example.FromString(value) for value in serialized]
    except DecodeError as error:
        raise DataError("Expected serialized tf.Examples, received other bytes.") from error
    return {spec.name: _column(spec, examples) for spec in specs}


def _column(spec: TensorSpec, examples: Sequence[Any]) -> Array:
    rows = [_values(spec.name, example) for example in examples]
    sizes = [size or -1 for size in spec.shape[1:]]
    try:
        column: Array = np.stack([row.reshape(sizes) for row in rows])
        return column.astype(spec.dtype)
    except (TypeError, ValueError) as error:
        counts = sorted({row.size for row in rows})
        raise DataError(
            f"Expected values for the input {spec} in the feature {spec.name!r} of each "
            f"tf.Example, received {', '.join(map(str, counts))} values a row. Give the Examples "
            "that hold the model's inputs."
        ) from error


def _values(name: str, example: Any) -> Array:
    feature = example.features.feature
    kind = feature[name].WhichOneof("kind") if name in feature else None
    if kind not in ("float_list", "int64_list"):
        found = "text" if kind == "bytes_list" else "none"
        raise DataError(
            f"Expected numbers in the feature {name!r} of each tf.Example, received {found}; there "
            f"are {', '.join(sorted(feature)) or 'no features'}. Give the Examples that hold the "
            "model's inputs."
        )
    return np.asarray(getattr(feature[name], kind).value)
