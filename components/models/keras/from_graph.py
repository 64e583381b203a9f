"""A tf_keras model rebuilt from the graph of a network, whichever Keras it was built with.

Training-time techniques work on layers, and TFX's standard Trainers leave a SavedModel alone, which
holds operations and weights. What Dense, convolution, pooling and their like became is turned back
into these layers, with the same weights; any other operation is refused by name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfx_loop.core.errors import ModelError
from tfx_loop.models.keras.graph_values import (
    PASSED,
    array_of,
    computed,
    folded,
    is_dynamic,
    windows,
)
from tfx_loop.models.saved_model.loading import argument_names, load_saved_model
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array

_ACTIVATIONS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Elu": "elu",
    "Selu": "selu",
    "Softplus": "softplus",
    "Softmax": "softmax",
}
_MERGES: dict[str, Any] = {
    "AddV2": keras.layers.Add,
    "Add": keras.layers.Add,
    "Mul": keras.layers.Multiply,
    "Sub": keras.layers.Subtract,
    "Maximum": keras.layers.Maximum,
    "Minimum": keras.layers.Minimum,
}
_POOLS = {"MaxPool": keras.layers.MaxPooling2D, "AvgPool": keras.layers.AveragePooling2D}


def rebuild(payload: Mapping[str, Any]) -> None:
    """Writes what `from_graph` returns as a Keras file, in a child process.

    Args:
        payload: `folder`, `signature`, `out` (the file to write), and `where`, for errors.
    """
    model = from_graph(Path(payload["folder"]), payload["signature"], payload["where"])
    model.save(payload["out"])


def from_graph(folder: Path, signature: str = DEFAULT_SIGNATURE, where: str = "") -> keras.Model:
    """Returns the network in a SavedModel as a functional model, with the same names and weights.

    Args:
        folder: A SavedModel.
        signature: One that takes numbers of known sizes.
        where: What errors call it; the folder when empty.

    Raises:
        ModelError: It has an operation that is no usual layer; one line names it.
    """
    loaded = load_saved_model(folder)  # It holds the variables that the function refers to.
    function = loaded.signatures[signature]
    # Inlined and frozen, a graph shows the same operations whichever Keras wrote it. Lowered
    # control flow would turn a While into Switch and Merge, which no layer stands for.
    flat = convert_variables_to_constants_v2(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    inputs, outputs = argument_names(function), sorted(function.structured_outputs)
    return _LayerRebuilder(flat, inputs, outputs, where or str(folder)).model()


class _LayerRebuilder:
    def __init__(self, flat: Any, inputs: list[str], outputs: list[str], where: str) -> None:
        self._flat, self._where = flat, where
        self._inputs = dict(zip(inputs, flat.inputs, strict=True))
        self._outputs = dict(zip(outputs, flat.outputs, strict=True))
        self._made: dict[Any, Any] = {}
        self._consumers: dict[Any, list[Any]] = {}
        for op in flat.graph.get_operations():
            for tensor in op.inputs:
                self._consumers.setdefault(tensor.ref(), []).append(op)
        self._names: set[str] = set()

    def model(self) -> keras.Model:
        inputs = []
        for name, tensor in self._inputs.items():
            self._names.add(name)
            made = keras.Input(tensor.shape[1:], name=name, dtype=tensor.dtype)
            self._made[tensor.ref()] = made
            inputs.append(made)
        # Before any layer takes it: people name an output as the signature does.
        answers = {name: self._unique(name) for name in self._outputs}
        for op in self._flat.graph.get_operations():
            if op.outputs and op.outputs[0].ref() not in self._made:
                self._made[op.outputs[0].ref()] = self._of(op)
                # Layers have one output; a second is left, unless the answers need it.
                self._made |= {tensor.ref(): self._refusal(op) for tensor in op.outputs[1:]}
        if wrong := [e for e in map(self._at, self._outputs.values()) if not is_dynamic(e)]:
            raise (
                wrong[0]
                if isinstance(wrong[0], ModelError)
                else self._refusal(next(iter(self._outputs.values())).op)
            )
        # A linear activation is the identity: it alone carries the name that the signature gives an
        # output.
        outputs = [
            keras.layers.Activation("linear", name=answers[name])(self._at(tensor))
            for name, tensor in self._outputs.items()
        ]
        return keras.Model(inputs, outputs)

    def _at(self, tensor: Any) -> Any:
        return self._made[tensor.ref()]

    def _of(self, op: Any) -> Any:
        """Returns what an operation gives: a Keras tensor, an array, or a note of what it needs."""
        given = [self._at(tensor) for tensor in op.inputs]
        if op.type in PASSED and given:
            return given[0]
        missing = next((each for each in given if isinstance(each, ModelError)), None)
        if not any(is_dynamic(each) for each in given):
            return missing or computed(op, given)
        make: Callable[[Any, list[Any]], Any] | None = getattr(self, f"_{op.type.lower()}", None)
        try:
            if op.type in _ACTIVATIONS:
                found = self._layer(op, keras.layers.Activation, _ACTIVATIONS[op.type])(given[0])
            elif op.type in _MERGES or op.type in ("RealDiv", "BiasAdd"):
                found = self._elementwise(op, given)
            elif op.type in _POOLS:
                found = self._pooled(op, given)
            else:
                found = make(op, given) if make is not None else None
        except (ValueError, TypeError, NotImplementedError):
            found = None
        # Only what the answers need matters: shapes computed beside them are left.
        return (missing or self._refusal(op)) if found is None else found

    def _refusal(self, op: Any) -> ModelError:
        return ModelError(
            f"Expected a network of Dense, convolution and pooling layers in {self._where}, "
            f"received the operation {op.type} ({op.name.rsplit('/', 1)[-1]}). Let the Trainer "
            "save its tf_keras model as Format-Keras/model.keras beside the SavedModel."
        )

    def _layer(self, op: Any, kind: Any, *args: Any, **settings: Any) -> Any:
        # The scope is the layer's name in the model that was saved; inlining puts PartitionedCall
        # before it.
        scopes = [part for part in op.name.split("/")[:-1] if "PartitionedCall" not in part]
        name = scopes[-1] if scopes else op.type.lower()
        return kind(*args, name=self._unique(name), **settings)

    def _unique(self, name: str) -> str:
        plain = "".join(c if c.isalnum() or c in "_-." else "_" for c in name).lstrip("_-.") or "x"
        found, number = plain, 0
        while found in self._names:
            number += 1
            found = f"{plain}_{number}"
        self._names.add(found)
        return found

    def _matmul(self, op: Any, given: list[Any]) -> Any:
        kernel = array_of(given[1])
        if op.get_attr("transpose_a") or kernel is None:
            return None
        kernel = kernel.T if op.get_attr("transpose_b") else kernel
        return self._weighted(op, given[0], keras.layers.Dense, kernel.shape[1], kernel=kernel)

    def _conv2d(self, op: Any, given: list[Any]) -> Any:
        kernel = array_of(given[1])
        if kernel is None:
            return None
        settings = windows(op) | {"kernel_size": kernel.shape[:2]}
        channels = int(given[0].shape[-1])
        # A kernel that takes fewer channels than there are: a grouped convolution.
        if channels != kernel.shape[2]:
            settings["groups"] = channels // kernel.shape[2]
        return self._weighted(
            op, given[0], keras.layers.Conv2D, kernel.shape[3], kernel=kernel, **settings
        )

    def _depthwiseconv2dnative(self, op: Any, given: list[Any]) -> Any:
        kernel = array_of(given[1])
        if kernel is None:
            return None
        settings = windows(op) | {"depth_multiplier": kernel.shape[3]}
        return self._weighted(
            op,
            given[0],
            keras.layers.DepthwiseConv2D,
            kernel.shape[:2],
            kernel=kernel,
            **settings,
        )

    def _weighted(
        self, op: Any, given: Any, kind: Any, *args: Any, kernel: Array, **settings: Any
    ) -> Any:
        """Returns what a layer with this kernel gives, with the bias that is added right behind."""
        bias, after = self._bias(op)
        layer = self._layer(op, kind, *args, use_bias=bias is not None, **settings)
        made = layer(given)
        layer.set_weights([kernel] if bias is None else [kernel, bias])
        if after is not None:
            # The addition is part of the layer now: whoever reads it gets the layer's output.
            self._made[after.outputs[0].ref()] = made
        return made

    def _bias(self, op: Any) -> tuple[Array | None, Any]:
        followers = self._consumers.get(op.outputs[0].ref(), [])
        # With a second reader the sum without a bias is needed, too.
        if len(followers) != 1 or followers[0].type not in ("BiasAdd", "AddV2"):
            return None, None
        (adding,) = followers
        other = next(t for t in adding.inputs if t.op is not op)
        values = folded(other)
        if values is None or values.ndim != 1 or len(values) != op.outputs[0].shape[-1]:
            return None, None
        return values, adding

    def _elementwise(self, op: Any, given: list[Any]) -> Any:
        left, right = given
        if is_dynamic(left) and is_dynamic(right):
            if op.type not in _MERGES or left.shape.rank != right.shape.rank:
                return None
            return self._layer(op, _MERGES[op.type])([left, right])
        constant = array_of(right if is_dynamic(left) else left)
        if constant is None or op.type in ("Maximum", "Minimum"):
            return None
        rows, value = (left, constant) if is_dynamic(left) else (right, constant)
        # A row's own shape: a leading axis of 1 is the batch's.
        value = value.reshape(value.shape[1:]) if value.ndim == rows.shape.rank else value
        scale: Any = 1.0
        offset: Any = 0.0
        if op.type in ("AddV2", "Add", "BiasAdd"):
            offset = value
        elif op.type == "Mul":
            scale = value
        elif op.type == "Sub":
            # x - c and c - x, as Rescaling computes x * scale + offset.
            scale, offset = (1.0, -value) if is_dynamic(left) else (-1.0, value)
        elif is_dynamic(left):
            scale = 1.0 / value
        else:
            return None
        settings = {"scale": np.asarray(scale).tolist(), "offset": np.asarray(offset).tolist()}
        return self._layer(op, keras.layers.Rescaling, **settings)(rows)

    def _pooled(self, op: Any, given: list[Any]) -> Any:
        settings = windows(op) | {"pool_size": tuple(op.get_attr("ksize")[1:3])}
        settings.pop("dilation_rate")
        return self._layer(op, _POOLS[op.type], **settings)(given[0])

    def _mean(self, op: Any, given: list[Any]) -> Any:
        axes = array_of(given[1])
        # A mean over height and width is what GlobalAveragePooling2D computes; the axes may count
        # from the end.
        if axes is None or given[0].shape.rank != 4 or sorted(axes.ravel() % 4) != [1, 2]:
            return None
        kept = bool(op.get_attr("keep_dims"))
        return self._layer(op, keras.layers.GlobalAveragePooling2D, keepdims=kept)(given[0])

    def _concatv2(self, op: Any, given: list[Any]) -> Any:
        axis = array_of(given[-1])
        if axis is None or not all(map(is_dynamic, given[:-1])):
            return None
        return self._layer(op, keras.layers.Concatenate, axis=int(axis))(given[:-1])

    def _reshape(self, op: Any, given: list[Any]) -> Any:
        sizes = op.outputs[0].shape
        if not is_dynamic(given[0]):
            return None
        if sizes.rank is None or None in sizes[1:].as_list():
            sizes = tf.TensorShape([None, int(np.prod(given[0].shape[1:].as_list()))])
            target = array_of(given[1]) if not is_dynamic(given[1]) else None
            if target is None or len(target) != 2:
                return None
        return self._layer(op, keras.layers.Reshape, tuple(sizes[1:]))(given[0])

    def _expanddims(self, op: Any, given: list[Any]) -> Any:
        return self._reshape(op, given)

    def _squeeze(self, op: Any, given: list[Any]) -> Any:
        return self._reshape(op, given)

    def _relu6(self, op: Any, given: list[Any]) -> Any:
        return self._layer(op, keras.layers.ReLU, 6.0)(given[0])

    def _leakyrelu(self, op: Any, given: list[Any]) -> Any:
        return self._layer(op, keras.layers.LeakyReLU, float(op.get_attr("alpha")))(given[0])

    def _pad(self, op: Any, given: list[Any]) -> Any:
        sizes = array_of(given[1])
        # ZeroPadding2D pads height and width, never rows or channels.
        if sizes is None or sizes.shape != (4, 2) or sizes[0].any() or sizes[3].any():
            return None
        return self._layer(op, keras.layers.ZeroPadding2D, sizes[1:3].tolist())(given[0])

    def _cast(self, op: Any, given: list[Any]) -> Any:
        return tf.cast(given[0], op.get_attr("DstT"))

    def _onehot(self, op: Any, given: list[Any]) -> Any:
        depth, on, off = (array_of(each) for each in given[1:4])
        if depth is None or on is None or off is None or float(on) != 1 or float(off) != 0:
            return None
        return tf.one_hot(given[0], int(depth))

    def _gatherv2(self, op: Any, given: list[Any]) -> Any:
        table, axis = array_of(given[0]), array_of(given[2])
        if table is None or axis is None or table.ndim != 2 or int(axis) != 0:
            return None
        layer = self._layer(op, keras.layers.Embedding, *table.shape)
        made = layer(given[1])
        layer.set_weights([table])
        return made

    def _fusedbatchnormv3(self, op: Any, given: list[Any]) -> Any:
        weights = [array_of(each) for each in given[1:5]]
        if op.get_attr("is_training") or any(each is None for each in weights):
            return None
        layer = self._layer(op, keras.layers.BatchNormalization, epsilon=op.get_attr("epsilon"))
        made = layer(given[0])
        layer.set_weights(weights)
        return made
