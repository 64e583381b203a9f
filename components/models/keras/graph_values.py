"""Values in a frozen graph: constants, what depends on the rows, and windows of operations."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfx_loop.models.tensors import Array

# Operations that hand on what they get.
PASSED = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape")


def windows(op: Any) -> dict[str, Any]:
    """Returns stride, padding and dilation as Keras names them.

    Raises:
        NotImplementedError: Keras has no such window.
    """
    padding = op.get_attr("padding").decode().lower()
    # TensorFlow Lite knows channels last alone.
    if op.get_attr("data_format") != b"NHWC" or padding not in ("same", "valid"):
        raise NotImplementedError
    known = {entry.name for entry in op.op_def.attr}
    dilations = op.get_attr("dilations")[1:3] if "dilations" in known else [1, 1]
    return {
        "strides": tuple(op.get_attr("strides")[1:3]),
        "padding": padding,
        "dilation_rate": tuple(dilations),
    }


def is_dynamic(value: Any) -> bool:
    """Says whether a value depends on the rows: a tensor that a Keras layer gave."""
    return tf.is_tensor(value) and bool(keras.backend.is_keras_tensor(value))


def array_of(value: Any) -> Array | None:
    """Returns a value that is known before any row is; None for all else."""
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None


def folded(tensor: Any) -> Array | None:
    """Returns the value of a constant, seen through copies; None for what depends on rows."""
    while tensor.op.type in PASSED:
        tensor = tensor.op.inputs[0]
    return tf.make_ndarray(tensor.op.get_attr("value")) if tensor.op.type == "Const" else None


def computed(op: Any, given: list[Any]) -> Any:
    """Returns the value of an operation on constants."""
    if op.type == "Const":
        return tf.make_ndarray(op.get_attr("value"))
    if op.type in ("NoOp", "Placeholder") or not op.outputs:
        return None
    settings = {entry.name: op.get_attr(entry.name) for entry in op.op_def.attr}
    names = [argument.name for argument in op.op_def.input_arg]
    # An operation of a list of tensors, as ConcatV2 and Pack, has one argument for all of them.
    if len(names) != len(given):
        names, given = names[:1], [given]
    # Type and number attributes follow from the arguments, and raw_ops refuses them.
    types = {k: v for k, v in settings.items() if not k.startswith(("T", "N", "S", "_"))}
    made = getattr(tf.raw_ops, op.type)(**dict(zip(names, given, strict=True)), **types)
    return np.asarray(made)
