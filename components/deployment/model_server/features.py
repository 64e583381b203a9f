"""Feature columns that a request leaves in the log, however the model was asked.

Asked with columns, the inputs are the features. Asked with serialised tf.Examples, the features
are decoded to the same columns with the same types as the signature for columns has.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.signature import Signature, shown_dtype
from tfx_loop.models.tensors import Array, TensorSpec


def logged_features(
    signature: Signature, columns_signature: Signature | None, inputs: Mapping[str, Array]
) -> dict[str, Array | pa.Array]:
    """Returns the feature columns of a request.

    Args:
        signature: The one that was asked.
        columns_signature: The one with a tensor per feature, if the model has it.
        inputs: The tensors it was asked with.

    Raises:
        DataError: Something that should be a tf.Example is none.
    """
    if not signature.takes_examples(columns_signature is not None):
        # A scalar input (a temperature, a switch) holds for every row of the request.
        rows = max((len(values) for values in inputs.values() if values.ndim), default=1)
        return {n: v if v.ndim else np.repeat(v, rows) for n, v in inputs.items()}
    (serialised,) = inputs.values()
    examples = [_decode(value) for value in serialised.reshape(-1).tolist()]
    if columns_signature is None:
        names = sorted({name for example in examples for name in example})
        return {name: pa.array([_item(e.get(name)) for e in examples]) for name in names}
    return {
        name: _column([example.get(name) for example in examples], spec)
        for name, spec in columns_signature.inputs.items()
    }


def _decode(serialised: bytes) -> dict[str, Sequence[Any]]:
    """Returns the values of a tf.Example by feature name; text as str."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        example = example_pb2.Example.FromString(serialised)
    except DecodeError as error:
        raise DataError("Expected serialised tf.Examples, received other bytes.") from error
    values: dict[str, Sequence[Any]] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind == "bytes_list":
            values[name] = [v.decode("utf-8", "backslashreplace") for v in feature.bytes_list.value]
        elif kind is not None:
            values[name] = getattr(feature, kind).value
    return values


def _column(values: list[Sequence[Any] | None], spec: TensorSpec) -> pa.Array:
    kind = pa.string() if spec.dtype == "string" else pa.from_numpy_dtype(np.dtype(spec.dtype))
    # [n] and [n, 1] are logged alike, as plain numbers.
    width = spec.shape[1] if len(spec.shape) > 1 else 1
    try:
        if width == 1:
            return pa.array([_single(value) for value in values], type=kind)
        return pa.array([None if v is None else list(v) for v in values], type=pa.list_(kind))
    except (pa.ArrowException, TypeError, ValueError) as error:
        kind_shown = shown_dtype(spec.dtype)
        raise DataError(f"A feature of a tf.Example is not {kind_shown}: {error}") from error


def _single(value: Sequence[Any] | None) -> Any:
    return value[0] if value else None


def _item(value: Sequence[Any] | None) -> Any:
    """Returns what a feature without a declared shape holds: a scalar, or a list."""
    if not value:
        return None
    return value[0] if len(value) == 1 else list(value)
