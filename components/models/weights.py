"""Weights of a model in any form: names, shapes, zeros, and whether they are finite."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.guard import guard
from tfx_loop.models.kept_open import kept_keras
from tfx_loop.models.tensors import Array
from tfx_loop.models.tflite.layers import layers_by_constant
from tfx_loop.models.tflite.model import Tensor, TFLiteModel
from tfx_loop.models.tflite.reading import read_model

# Kept in a checkpoint for training, not for the answers.
_NOT_WEIGHTS = ("optimizer", "keras_api", "save_counter")
_SLOT = "/.OPTIMIZER_SLOT"
# What TensorFlow's object-based checkpoints append to a variable's path, and where they keep the
# graph of objects that knows the variable's own name.
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# What Keras calls the weights of its layers: `conv/kernel` is of the layer `conv`.
_WEIGHT_NAMES = {
    "beta",
    "bias",
    "depthwise_kernel",
    "embeddings",
    "gamma",
    "kernel",
    "moving_mean",
    "moving_variance",
    "pointwise_kernel",
    "recurrent_kernel",
}
# Packed types: NumPy has none smaller than a byte, and the 8-bit floats only through ml_dtypes.
_BITS_WITHOUT_NUMPY = {
    "int4": 4, "uint4": 4, "int2": 2, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8,
}  # fmt: skip
# Types of a .tflite that hold weights as they are, without a scale.
_FLOATS = ("FLOAT32", "FLOAT16", "FLOAT64", "BFLOAT16")


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One tensor of weights.

    Attributes:
        name: As the file calls it, such as `dense/kernel`.
        layer: The layer that it belongs to, such as `dense`.
        shape: Its shape.
        dtype: How it is stored, such as `float32` or `int8`.
        parameters: How many numbers it holds.
        zeros: How many of them stand for exactly 0.
        not_finite: How many are NaN or infinite.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    dtype: str
    parameters: int
    zeros: int
    not_finite: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes that its numbers take in its type."""
        # Rounded up: an odd number of 4-bit weights ends in half a byte that is stored in full.
        bits = _BITS_WITHOUT_NUMPY.get(self.dtype) or 8 * np.dtype(self.dtype).itemsize
        return -(-self.parameters * bits // 8)


def weights_of(
    path: str | Path | ModelFile, *, custom_objects: Sequence[str] = ()
) -> tuple[Weight, ...]:
    """Returns the weights of a model, in the order of the file; of TFLite the constants.

    Raises:
        ModelError: The file is corrupt.
    """
    file = path if isinstance(path, ModelFile) else detect(path)
    if file.format is Format.TFLITE:
        return tuple(_tflite_weights(read_model(file.path)))
    if file.format is Format.SAVED_MODEL:
        return _saved_model_weights(file.path)
    return keras_weights(kept_keras(file, custom_objects))


def keras_weights(model: Any) -> tuple[Weight, ...]:
    """Returns the weights of a tf_keras model in memory."""
    return tuple(_weight(w.name.removesuffix(":0"), np.asarray(w)) for w in model.weights)


def check_finite(found: Sequence[Weight], path: Path) -> None:
    """Checks that all weights are numbers.

    Raises:
        ModelError: Some are NaN or infinite.
    """
    broken = [weight for weight in found if weight.not_finite]
    if broken:
        first, more = broken[0], f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise ModelError(
            f"Expected finite weights in {path}, received NaN or infinity in {first.name} "
            f"({first.not_finite} of {first.parameters}){more}. Train it again, with a lower "
            "learning rate or from a checkpoint before it diverged."
        )


def _saved_model_weights(folder: Path) -> tuple[Weight, ...]:
    import tensorflow as tf

    from tfx_loop.models.saved_model.graph import read_graph

    guard.check(ModelFile(folder, Format.SAVED_MODEL))
    read_graph(folder)
    if not (folder / "variables" / "variables.index").is_file():
        return ()
    try:
        reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        names = _variable_names(reader)
        found = []
        for key, dtype in sorted(reader.get_variable_to_dtype_map().items()):
            # Whole-number variables are counters and tables; slots are the optimizer's moments.
            if dtype.is_floating and not key.startswith(_NOT_WEIGHTS) and not _is_optimizer_s(key):
                name = names.get(key, key.removesuffix(_VALUE))
                found.append(_weight(name, reader.get_tensor(key)))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"Expected the variables of the SavedModel in {folder}, received: "
            f"{first_line(error)} Was it copied to the end? Export it again."
        ) from error
    return tuple(found)


def _is_optimizer_s(key: str) -> bool:
    # Of a network below the root, as TFX's Trainers save it, the optimizer stands below it too.
    return _SLOT in key or "/optimizer/" in key


def _variable_names(reader: Any) -> dict[str, str]:
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    # Checkpoints of TensorFlow 1 name their tensors plainly and carry no graph of objects.
    if not reader.has_tensor(_OBJECT_GRAPH):
        return {}
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECT_GRAPH)
    )
    return {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name
    }


def _tflite_weights(model: TFLiteModel) -> Iterator[Weight]:
    layers = layers_by_constant(model.main)
    for tensor in model.constants:
        is_float = tensor.type in _FLOATS
        if not is_float and not tensor.scales:
            continue  # Shapes, axes, indices.
        layer = layers.get(tensor.name) or _layer_of(tensor.name)
        if (values := tensor.values()) is not None:
            yield _weight(tensor.name, values, layer=layer, zero=_zero_points(tensor))
            continue
        # Packed, or sparse: what is left out is zero.
        yield Weight(
            name=tensor.name,
            layer=layer,
            shape=tensor.shape,
            dtype=tensor.dtype,
            parameters=tensor.elements,
            # Zeros among what is stored cannot be counted without unpacking: a lower bound.
            zeros=max(tensor.elements - tensor.stored_elements, 0),
        )


def _zero_points(tensor: Tensor) -> Array | int:
    """Returns what stands for zero, shaped to compare with the tensor."""
    if not any(tensor.zero_points):
        return 0
    # A quantised weight is zero where the stored number equals the zero point, not 0.
    points = np.asarray(tensor.zero_points)
    if len(points) == 1:
        return points
    shape = [1] * len(tensor.shape)
    shape[tensor.axis] = len(points)
    return points.reshape(shape)


def _weight(name: str, values: Array, *, layer: str = "", zero: Array | int = 0) -> Weight:
    is_float = np.issubdtype(values.dtype, np.floating)
    return Weight(
        name=name,
        layer=layer or _layer_of(name),
        shape=tuple(values.shape),
        dtype=values.dtype.name,
        parameters=int(values.size),
        zeros=int(np.count_nonzero(values == zero)),
        # Integers are always finite, and isfinite on them would convert whole tensors.
        not_finite=int(np.count_nonzero(~np.isfinite(values))) if is_float else 0,
    )


def _layer_of(weight_name: str) -> str:
    # The converter joins the names of operations that it fused by semicolons; the first made the
    # weight.
    first = weight_name.split(";")[0].removesuffix(":0")
    head, slash, last = first.rpartition("/")
    return head if slash and last in _WEIGHT_NAMES else first
