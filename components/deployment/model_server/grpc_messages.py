"""Messages of TF Serving's gRPC interface, taken apart and filled."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfx_loop.core.errors import DataError, LoopError
from tfx_loop.deployment.model_server.examples_api import Method, classes_of, values_of
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array

# Values that a message may claim and not send.
MAX_REPEATED = 1024 * 1024
# A small message may claim a huge shape: no tensor of a request may be larger than this.
MAX_ELEMENTS = 64 * 1024 * 1024

_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
}


class UnsupportedError(LoopError):
    """A request asks for what TF Serving has no answer to, either."""


class Answerer(Protocol):
    """The version of a model that answers."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def version(self) -> int:
        """Its number."""


@dataclass(frozen=True)
class InferenceTask:
    """One question of a MultiInferenceRequest."""

    spec: Any
    signature_name: str
    method: Method


def model_spec(spec: Any) -> tuple[str, int | None, str | None]:
    """Returns name, version and label of a ModelSpec; raises DataError where it has no name."""
    if not spec.name:
        raise DataError("Missing ModelSpec")
    if spec.WhichOneof("version_choice") == "version_label":
        return spec.name, None, spec.version_label
    return spec.name, spec.version.value if spec.HasField("version") else None, None


def tasks_of(request: Any) -> list[InferenceTask]:
    """Returns the questions of a MultiInferenceRequest.

    Raises:
        DataError: They are not all of one model, or one is asked twice.
        UnsupportedError: One is neither Classify nor Regress.
    """
    tasks: list[InferenceTask] = []
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise DataError("Found ModelSpec with an empty model name.")
        if spec.name != request.tasks[0].model_spec.name:
            raise DataError(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in (known.signature_name for known in tasks):
            raise DataError(f"Duplicate evaluation of signature: {name}")
        if task.method_name not in [method.value for method in Method]:
            raise UnsupportedError(f"Unsupported signature method_name: {task.method_name}")
        tasks.append(InferenceTask(spec, name, Method(task.method_name)))
    return tasks


def to_array(name: str, proto: Any) -> Array:
    """Returns a tensor of a request as an array.

    Raises:
        DataError: Shape, type and content do not belong together.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise DataError(f"Expected input {name} with a known shape, received {shape}.")
    if math.prod(shape) > MAX_ELEMENTS:
        raise DataError(
            f"Expected input {name} with at most {MAX_ELEMENTS} elements, received shape {shape}."
        )
    # A tensor may repeat its last value as far as its shape says: a few bytes must not become
    # hundreds of megabytes.
    if math.prod(shape) > max(MAX_REPEATED, proto.ByteSize()):
        raise DataError(
            f"Expected the values of input {name}, received a message of {proto.ByteSize()} bytes "
            f"that claims shape {shape}."
        )
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"Input {name} is no valid tensor: {error}") from error


def fill_proto(proto: Any, values: Array, *, as_bytes: bool = False) -> None:
    """Writes an array into a TensorProto's typed field, where clients of TF Serving look for it.

    Args:
        proto: The message.
        values: What to write.
        as_bytes: Whether to write it as bytes instead, which is faster; text stays a list.
    """
    kind = "string" if values.dtype.kind in "OSU" else values.dtype.name
    field = _FIELDS.get(kind)
    if field is None:
        proto.CopyFrom(tf.make_tensor_proto(values))
        return
    proto.dtype = tf.dtypes.as_dtype(kind).as_datatype_enum
    # Made even where a scalar leaves it empty: that is its shape.
    proto.tensor_shape.SetInParent()
    for size in values.shape:
        proto.tensor_shape.dim.add().size = size
    if as_bytes and kind != "string":
        proto.tensor_content = np.ascontiguousarray(values).tobytes()
        return
    getattr(proto, field).extend(values.reshape(-1).tolist())


def fill_spec(spec: Any, asked: Answerer, signature_name: str) -> None:
    """Writes into a ModelSpec who answered."""
    spec.name = asked.name
    spec.version.value = asked.version
    spec.signature_name = signature_name


def fill_classes(result: Any, outputs: Mapping[str, Array], rows: int) -> None:
    """Writes a ClassificationResult; raises as `classes_of`."""
    for row in classes_of(outputs, rows):
        classes = result.classifications.add().classes
        for label, score in row:
            # The field is text by its type: bytes that are none cannot stand in it.
            classes.add(label=label.decode("utf-8", "replace"), score=score)


def fill_values(result: Any, outputs: Mapping[str, Array], rows: int) -> None:
    """Writes a RegressionResult; raises as `values_of`."""
    for value in values_of(outputs, rows).tolist():
        result.regressions.add(value=value)
