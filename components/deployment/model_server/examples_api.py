"""Classify and Regress: tf.Examples in, classes or numbers out, as TF Serving's APIs have them.

Both are a Predict of a signature with one input, `inputs`, and agreed names of outputs; so they are
run and logged as one. The messages are those of TF Serving's classifier.cc and regressor.cc.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.json_output import encoded, float_tokens, json_items
from tfx_loop.deployment.model_server.json_text import (
    bytes_of,
    is_object,
    json_type,
    parse_document,
    shown,
    signature_name_of,
)
from tfx_loop.models.tensors import Array, type_name

INPUTS = "inputs"
_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"
_INT64 = range(-(2**63), 2**63)


class Method(Enum):
    """An API for tf.Examples, with the method name that its signatures have."""

    CLASSIFY = "tensorflow/serving/classify"
    REGRESS = "tensorflow/serving/regress"

    @property
    def api(self) -> str:
        """What TF Serving's metrics call it."""
        return self.name.capitalize()

    @property
    def noun(self) -> str:
        """What TF Serving's messages call it."""
        return "classification" if self is Method.CLASSIFY else "regression"


class PreconditionError(DataError):
    """A signature is none for the API that is asked; gRPC has a code of its own for it."""


def check_signature(method: Method, definition: Any, *, check_method_name: bool = False) -> None:
    """Checks that a signature can be asked by an API.

    Args:
        method: The API.
        definition: The SignatureDef.
        check_method_name: Whether the signature has to be made for it by name; those that TF2
            exports are all for Predict.

    Raises:
        DataError: It cannot.
    """
    if check_method_name and definition.method_name != method.value:
        raise DataError(
            f"Expected {method.noun} signature method_name to be {method.value}. "
            f"Was: {definition.method_name}"
        )
    if len(definition.inputs) != 1:
        raise DataError("Expected one input Tensor.")
    if method is Method.REGRESS and len(definition.outputs) != 1:
        raise DataError("Expected one output Tensor.")
    if method is Method.CLASSIFY and len(definition.outputs) not in (1, 2):
        raise DataError(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if INPUTS not in definition.inputs:
        raise PreconditionError(
            f"No {method.noun} inputs found in SignatureDef: its input is "
            f"{', '.join(definition.inputs)}"
        )
    if method is Method.REGRESS and _OUTPUTS not in definition.outputs:
        raise PreconditionError(
            f"No regression outputs found in SignatureDef: its output is "
            f"{', '.join(definition.outputs)}"
        )
    if method is Method.CLASSIFY and not {_CLASSES, _SCORES} & set(definition.outputs):
        raise PreconditionError(
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature was: its outputs are {", ".join(sorted(definition.outputs))}'
        )


def parse_examples(body: bytes) -> tuple[str, Array]:
    """Returns the signature that a REST request asks, and its tf.Examples, serialised.

    Raises:
        DataError: It is no such request.
    """
    document = parse_document(body)
    name = signature_name_of(document)
    context = b""
    if "context" in document:
        context = _example(document["context"])
    if "examples" not in document:
        raise DataError(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise DataError(
            f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise DataError(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return name, _array([context + _example(example) for example in examples])


def examples_of(message: Any) -> Array:
    """Returns the serialised tf.Examples of an Input message.

    Raises:
        DataError: It has none.
    """
    kind = message.WhichOneof("kind")
    context = b""
    if kind == "example_list_with_context":
        # Messages that are joined are merged, and the example's features win.
        context = message.example_list_with_context.context.SerializeToString()
    examples = getattr(message, kind).examples if kind else ()
    if not examples:
        raise DataError("Input is empty.")
    return _array([context + example.SerializeToString() for example in examples])


def classes_of(outputs: Mapping[str, Array], rows: int) -> list[list[tuple[bytes, float]]]:
    """Returns label and score of each class, for each example.

    Raises:
        DataError: The outputs are no classes and scores of so many rows.
    """
    for name, dtype in ((_CLASSES, "DT_STRING"), (_SCORES, "DT_FLOAT")):
        if name in outputs:
            _check_table(name, outputs[name], dtype, rows)
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise DataError(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    table = scores if classes is None else classes
    assert table is not None
    # What a signature does not answer is empty or 0 in the message, as in TF Serving's.
    labels = [[b""] * table.shape[1]] * rows if classes is None else classes.tolist()
    values = np.zeros(table.shape, np.float32) if scores is None else scores
    return [list(zip(*row, strict=True)) for row in zip(labels, values.tolist(), strict=True)]


def values_of(outputs: Mapping[str, Array], rows: int) -> Array:
    """Returns one float for each example, [rows].

    Raises:
        DataError: The output is no such column.
    """
    values = outputs[_OUTPUTS]
    if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise DataError(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(values)}"
        )
    if len(values) != rows:
        raise DataError(
            f"Input batch size did not match output batch size: {rows} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise DataError(f"Expected output Tensor of DT_FLOAT.  Got: {_dtype(values)}")
    return values.reshape(-1)


def answer_json(method: Method, outputs: Mapping[str, Array], rows: int) -> bytes:
    """Returns the body of an answer over REST; raises as `classes_of` and `values_of`."""
    if method is Method.REGRESS:
        return encoded(f'{{"results": [{", ".join(float_tokens(values_of(outputs, rows)))}]}}')
    results = []
    for row in classes_of(outputs, rows):
        labels = json_items("label", _array([label for label, _ in row]))
        scores = float_tokens(np.array([score for _, score in row], np.float32))
        pairs = [f"[{label}, {score}]" for label, score in zip(labels, scores, strict=True)]
        results.append(f"[{', '.join(pairs)}]")
    return encoded(f'{{"results": [{", ".join(results)}]}}')


def _check_table(name: str, values: Array, dtype: str, rows: int) -> None:
    if values.ndim != 2:
        raise DataError(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(values)}")
    if _dtype(values) != dtype:
        raise DataError(f"Expected {name} Tensor of {dtype}. Got: {_dtype(values)}")
    if len(values) != rows:
        raise DataError(f"Expected {name} output batch size of {rows}. Got: {len(values)}")


def _dtype(values: Array) -> str:
    import tensorflow as tf

    kind = type_name(values.dtype)
    return f"DT_{tf.as_dtype(kind).name.upper().replace('FLOAT32', 'FLOAT')}"


def _shape(values: Array) -> str:
    return f"[{','.join(map(str, values.shape))}]"


def _array(items: Sequence[bytes]) -> Array:
    # np.array would make fixed-width bytes, which lose zeros at the end.
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _example(value: Any) -> bytes:
    from tensorflow.core.example import example_pb2

    if not isinstance(value, dict):
        raise DataError(f"Example must be JSON object but got JSON {json_type(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        # A name is text as values are: what no UTF-8 can write is refused.
        bytes_of(name)
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add(feature, name, item)
    return bytes(example.SerializeToString())


def _add(feature: Any, name: str, value: Any) -> None:
    """Adds a JSON value to a tf.Example's feature; its first value says what kind it is."""
    if value is None or isinstance(value, list) or is_object(value):
        raise DataError(
            f"Feature: {name} has element with unexpected JSON type: {json_type(value)}"
        )
    kind = "bytes_list" if isinstance(value, str | dict) else "float_list"
    if isinstance(value, int):
        kind = "int64_list"
    held = feature.WhichOneof("kind")
    if held not in (None, kind):
        raise DataError(
            f"Unexpected element type in feature: {name} expecting type: "
            f"{held.removesuffix('_list')}"
        )
    if kind == "bytes_list":
        feature.bytes_list.value.append(bytes_of(value))
    elif kind == "float_list":
        with np.errstate(over="ignore"):
            # Beyond float32 it becomes infinite, as in C++.
            feature.float_list.value.append(float(np.float32(value)))
    elif int(value) not in _INT64:
        raise DataError(f"Feature: {name} has uint64 element. Only int64_t is supported.")
    else:
        feature.int64_list.value.append(int(value))
