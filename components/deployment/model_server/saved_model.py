"""How is a SavedModel loaded and asked?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfx_loop.core.errors import DataError, ServingError
from tfx_loop.data.prediction_log.record import Array
from tfx_loop.deployment.model_server.signature import Signature, TensorSpec
from tfx_loop.models.variant import FLOAT

_SERVE_TAG = "serve"
_INTERNAL_PREFIX = "__saved_model"


class SavedModel:
    """One loaded version: its signatures, and what they answer. Safe for many threads."""

    def __init__(self, version: int, path: Path, variant: str = FLOAT) -> None:
        """Loads it.

        Args:
            version: Its number.
            path: The folder with saved_model.pb.
            variant: Which optimisation of the model it is.

        Raises:
            DataError: There is no SavedModel to serve.
        """
        self.version = version
        self.variant = variant
        self.signature_defs = _signature_defs(path)
        self.signatures = {
            name: _signature(name, definition)
            for name, definition in self.signature_defs.items()
            if not name.startswith(_INTERNAL_PREFIX)
        }
        if not self.signatures:
            raise DataError(f"Expected a SavedModel with signatures in {path}, found none.")
        self._loaded = tf.saved_model.load(str(path), tags=[_SERVE_TAG])
        self._functions: Mapping[str, Any] = self._loaded.signatures

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs of a signature by name, as arrays.

        Raises:
            DataError: The model refuses the values.
            ServingError: The model failed.
        """
        declared = self.signatures[signature_name].inputs
        try:
            tensors = {
                name: tf.constant(values, dtype=declared[name].dtype)
                for name, values in inputs.items()
            }
            outputs = self._functions[signature_name](**tensors)
            return {name: _array(tensor) for name, tensor in outputs.items()}
        except tf.errors.InvalidArgumentError as error:
            raise DataError(f"The model refuses the request: {_first_line(error)}") from error
        except UnicodeDecodeError as error:
            # TensorFlow quotes a value of the request in its message, and it is no text.
            raise DataError("The model refuses the request: a value is no valid input.") from error
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise ServingError(f"The model failed: {_first_line(error)}") from error


def _signature_defs(path: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    file = path / "saved_model.pb"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"Could not find SavedModel .pb at supplied export directory path: {path}. "
            "Check that it holds a whole SavedModel."
        ) from error
    # Parsing a text that is no SavedModel may even succeed, with nothing in it.
    try:
        parsed = saved_model_pb2.SavedModel.FromString(content)
    except Exception as error:  # DecodeError has another home in each protobuf.
        raise DataError(f"Expected a SavedModel in {file}, cannot parse it: {error}") from error
    for graph in parsed.meta_graphs:
        if _SERVE_TAG in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise DataError(f"Expected a SavedModel with the tag '{_SERVE_TAG}' in {file}, found none.")


def _signature(name: str, definition: meta_graph_pb2.SignatureDef) -> Signature:
    return Signature(
        name=name,
        inputs={key: _spec(info) for key, info in sorted(definition.inputs.items())},
        outputs={key: _spec(info) for key, info in sorted(definition.outputs.items())},
    )


def _spec(info: meta_graph_pb2.TensorInfo) -> TensorSpec:
    shape = info.tensor_shape
    dims = None if shape.unknown_rank else tuple(d.size if d.size >= 0 else None for d in shape.dim)
    return TensorSpec(dtype=tf.dtypes.as_dtype(info.dtype).name, shape=dims)


def _array(tensor: Any) -> Array:
    values = np.asarray(tensor.numpy())
    # A scalar string comes out as bytes, whose array would drop trailing zero bytes.
    return values.astype(object) if values.dtype.kind == "S" else values


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "message", error)).strip()
    return text.splitlines()[0][:500] if text else type(error).__name__
