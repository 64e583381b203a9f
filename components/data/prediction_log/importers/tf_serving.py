"""TF Serving's request log and BulkInferrer's results: PredictionLog messages in TFRecords."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.data.prediction_log.importers.calls import (
    SINGLE_OUTPUT,
    ImportedCall,
    RejectedRecordError,
    array_column,
    split,
)

# As the server itself logs them (model_server/features.py): one log has one type a column.
_KINDS = {"bytes_list": pa.string(), "float_list": pa.float32(), "int64_list": pa.int64()}


def parse_prediction_log(
    record: bytes, request_id: str, feature_names: Sequence[str] = ()
) -> ImportedCall:
    """Returns the call of a serialised PredictionLog.

    Args:
        record: The message.
        request_id: What it is to be called.
        feature_names: What the columns of its one input are called, where that is a matrix.

    Raises:
        RejectedRecordError: It is none, or of a kind without rows (`session_run_log`).
    """
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise RejectedRecordError("no_message", "Expected a PredictionLog message.") from error
    return call_of_log(log, request_id, feature_names)


def call_of_log(log: Any, request_id: str, feature_names: Sequence[str] = ()) -> ImportedCall:
    """Returns the call of a PredictionLog; arguments and errors are those of the bytes."""
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        spec = log.predict_log.response.model_spec
        features = _inputs(log.predict_log.request.inputs, feature_names)
        outputs = {name: _tensor(proto) for name, proto in log.predict_log.response.outputs.items()}
    elif kind in ("classify_log", "regress_log"):
        held = getattr(log, kind)
        spec = held.response.model_spec
        features = example_columns(list(held.request.input.example_list.examples))
        outputs = _classes(held) if kind == "classify_log" else _values(held)
    else:
        raise RejectedRecordError("no_rows", f"Expected a log of predictions, received {kind}.")
    return ImportedCall(
        request_id=request_id,
        event_time_ms=None,
        features=features,
        outputs=outputs,
        model_version=int(spec.version.value),
    )


def parsed_examples(serialized: Sequence[bytes]) -> dict[str, pa.Array]:
    """Returns serialised tf.Examples as columns of lists; none where the bytes are something else.

    Bytes of another kind may parse as an Example without features.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        parsed = [example_pb2.Example.FromString(each) for each in serialized]
    except DecodeError:
        return {}
    return example_columns(parsed) if any(one.features.feature for one in parsed) else {}


def example_columns(examples: list[Any]) -> dict[str, pa.Array]:
    """Returns tf.Examples as columns of lists."""
    kinds: dict[str, str] = {}
    for example in examples:
        for name, feature in example.features.feature.items():
            # An empty feature has no kind; another row's says what the column is.
            kinds[name] = kinds.get(name) or feature.WhichOneof("kind") or ""
    columns = {}
    for name in sorted(name for name, kind in kinds.items() if kind):
        rows = [_listed(example.features.feature, name, kinds[name]) for example in examples]
        columns[name] = pa.array(rows, type=pa.list_(_KINDS[kinds[name]]))
    return columns


def _listed(features: Any, name: str, kind: str) -> list[Any] | None:
    if name not in features:
        return None
    values = getattr(features[name], kind).value
    if kind == "bytes_list":
        # What is no text is escaped and not lost: `\xff` reads back as it was.
        return [value.decode("utf-8", "backslashreplace") for value in values]
    return list(values)


def _inputs(inputs: Any, feature_names: Sequence[str]) -> Mapping[str, pa.Array]:
    arrays = {name: _array(proto) for name, proto in inputs.items()}
    if len(arrays) == 1:
        (values,) = arrays.values()
        # Texts may be tf.Examples, or a feature that is text: only parsing tells.
        examples = values.dtype.kind == "O" and parsed_examples(values.reshape(-1).tolist())
        if examples:
            return examples
    return split({name: array_column(values) for name, values in arrays.items()}, feature_names)


def _tensor(proto: Any) -> pa.Array:
    return array_column(_array(proto))


def _array(proto: Any) -> Any:
    import tensorflow as tf

    try:
        values = np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError, KeyError) as error:
        raise RejectedRecordError("no_tensor", f"Expected a tensor: {error}") from error
    return values.reshape(1) if values.ndim == 0 else values


def _classes(held: Any) -> dict[str, pa.Array]:
    rows = [row.classes for row in held.response.result.classifications]
    scores = [[one.score for one in row] for row in rows]
    labels = [[one.label for one in row] for row in rows]
    return {
        "scores": pa.array(scores, pa.list_(pa.float32())),
        "classes": pa.array(labels, pa.list_(pa.string())),
    }


def _values(held: Any) -> dict[str, pa.Array]:
    values = [one.value for one in held.response.result.regressions]
    return {SINGLE_OUTPUT: pa.array(values, pa.float32())}
