"""Feature columns that requests leave in the log, however the model is asked.

Asked with columns, the inputs are the features. Asked with serialised tf.Examples, the features are
decoded: to the same columns with the same types as the signature for columns has, or else to lists
of the features that the model parses, a schema names, or requests have had so far. So the columns
are the same from request to request, whatever a request leaves out.
"""

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError, LoopError
from tfx_loop.core.redaction import WITHHELD
from tfx_loop.deployment.model_server.signature import Signature, shown_dtype
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, Array, TensorSpec

_LOG = logging.getLogger(__name__)
_KINDS = {"bytes_list": pa.string(), "float_list": pa.float32(), "int64_list": pa.int64()}
# Who can name features at will must not make files of any number of columns.
MAX_LEARNED_FEATURES = 1000

Features = dict[str, Array | pa.Array]


ErrorT = TypeVar("ErrorT", bound=LoopError)


class FeatureColumns:
    """The feature columns of one served model; asked by many threads."""

    def __init__(
        self, schema: Mapping[str, pa.DataType] | None = None, redacted: Collection[str] = ()
    ) -> None:
        """Knows the columns of a schema.

        Args:
            schema: Types by feature, where the model itself does not tell them.
            redacted: Features that are never written.
        """
        self._redacted = frozenset(redacted)
        self._learned = dict(schema or {})
        self._is_open = schema is None
        self._lock = threading.Lock()

    def of(
        self,
        signature: Signature,
        signatures: Mapping[str, Signature],
        parsed: Mapping[str, str],
        inputs: Mapping[str, Array],
        rows: int | None = None,
    ) -> Features:
        """Returns the feature columns of a request.

        Args:
            signature: The one that was asked.
            signatures: All of the model.
            parsed: Types of the features that the model parses tf.Examples into, if it tells.
            inputs: The tensors it was asked with.
            rows: How many instances they are; by default as many as the longest has.

        Raises:
            DataError: Something that should be a tf.Example is none, or is not what it should be.
        """
        columns = signatures.get(COLUMNS_SIGNATURE)
        if rows is None:
            rows = max((len(values) for values in inputs.values() if values.ndim), default=1)
        whole = next(iter(inputs.values()))
        # As many texts as rows, or else they are no tf.Example each.
        if not signature.takes_examples(columns is not None) or whole.size != rows:
            return {
                name: _for_each(values, rows)
                for name, values in inputs.items()
                if name not in self._redacted
            }
        serialised = whole
        examples = [_decode(value) for value in serialised.reshape(-1).tolist()]
        if columns is not None:
            return {
                name: _column([_values(example, name) for example in examples], spec)
                for name, spec in columns.inputs.items()
                if name not in self._redacted
            }
        kinds = {name: _arrow_type(kind) for name, kind in parsed.items()} or self._learn(examples)
        return {
            name: _lists([_values(example, name) for example in examples], kind)
            for name, kind in kinds.items()
            if name not in self._redacted
        }

    def withheld(self, error: ErrorT) -> ErrorT:
        """Returns an error, where features are redacted without the values that it may quote."""
        if not self._redacted:
            return error
        return type(error)(f"{str(error).partition(':')[0]}; {WITHHELD}.")

    def without_redacted(self, signature: Signature, inputs: Mapping[str, Array]) -> Features:
        """Returns inputs without what is redacted, so that no digest of them tells it either."""
        if not self._redacted:
            return dict(inputs)
        if not signature.takes_examples(has_columns_signature=True):
            return {name: values for name, values in inputs.items() if name not in self._redacted}
        return {name: self._cleared(values) for name, values in inputs.items()}

    def _cleared(self, serialised: Array) -> Array:
        cleared = np.empty(serialised.size, dtype=object)
        for position, value in enumerate(serialised.reshape(-1).tolist()):
            example = _parse(value)
            for name in self._redacted:
                example.features.feature.pop(name, None)
            # Maps have no order: without it equal requests would have different digests.
            cleared[position] = example.SerializeToString(deterministic=True)
        return cleared

    def _learn(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, pa.DataType]:
        """Returns the columns known so far, with those that requests had for the first time."""
        if not self._is_open:
            return self._learned
        with self._lock:
            for example in examples:
                for name, (kind, _) in example.items():
                    known = self._learned.get(name)
                    if known is None and len(self._learned) < MAX_LEARNED_FEATURES:
                        self._learned[name] = kind
                        if len(self._learned) == MAX_LEARNED_FEATURES:
                            _LOG.warning("features=%d more=not_logged", MAX_LEARNED_FEATURES)
                    elif known is not None and known != kind:
                        self._learned[name] = _common(known, kind)
            return dict(self._learned)


def _for_each(values: Array, rows: int) -> Array:
    """Returns a value for each row: what is not one (a temperature, weights) holds for all."""
    if values.ndim and len(values) == rows:
        return values
    return np.repeat(values[np.newaxis], rows, axis=0)


def schema_types(schema: Any) -> dict[str, pa.DataType]:
    """Returns the types by feature of a TFDV schema."""
    # The numbers of FeatureType in tensorflow_metadata's schema.proto: BYTES, INT, FLOAT.
    kinds = {1: pa.string(), 2: pa.int64(), 3: pa.float32()}
    return {f.name: kinds[f.type] for f in schema.feature if f.type in kinds}


def _common(known: pa.DataType, kind: pa.DataType) -> pa.DataType:
    if pa.string() in (known, kind):
        return pa.string()
    # Doubles hold whole numbers up to 2^53 beside fractions.
    return pa.float64()


def _arrow_type(dtype: str) -> pa.DataType:
    return pa.string() if dtype == "string" else pa.from_numpy_dtype(np.dtype(dtype))


def _parse(serialised: bytes) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        return example_pb2.Example.FromString(serialised)
    except DecodeError as error:
        raise DataError("Expected serialised tf.Examples, received other bytes.") from error


def _decode(serialised: bytes) -> dict[str, tuple[pa.DataType, Sequence[Any]]]:
    """Returns type and values of a tf.Example by feature name; text as str."""
    values: dict[str, tuple[pa.DataType, Sequence[Any]]] = {}
    for name, feature in _parse(serialised).features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind is None:
            continue
        found = getattr(feature, kind).value
        if kind == "bytes_list":
            found = [value.decode("utf-8", "backslashreplace") for value in found]
        values[name] = (_KINDS[kind], found)
    return values


def _values(
    example: Mapping[str, tuple[pa.DataType, Sequence[Any]]], name: str
) -> Sequence[Any] | None:
    return example[name][1] if name in example else None


def _column(values: list[Sequence[Any] | None], spec: TensorSpec) -> pa.Array:
    kind = _arrow_type(spec.dtype)
    # [n] and [n, 1] are logged alike, as plain numbers.
    width = spec.shape[1] if len(spec.shape) > 1 else 1
    if width != 1:
        return _lists(values, kind)
    try:
        return pa.array([value[0] if value else None for value in values], type=kind)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _other_type(spec.dtype, error) from error


def _lists(values: list[Sequence[Any] | None], kind: pa.DataType) -> pa.Array:
    item = str if pa.types.is_string(kind) else (lambda value: value)
    try:
        lists = [None if v is None else [item(value) for value in v] for v in values]
        return pa.array(lists, type=pa.list_(kind))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _other_type(str(kind), error) from error


def _other_type(dtype: str, error: Exception) -> DataError:
    return DataError(f"A feature of a tf.Example is not {shown_dtype(dtype)}: {error}")
