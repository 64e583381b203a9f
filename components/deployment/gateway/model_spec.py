"""The ModelSpec of TF Serving's requests, read and changed in their bytes.

Of a request only the fields' keys and lengths are looked at, so that a message of megabytes costs
as much as one of bytes, and everything else stays as the client wrote it. The requests of Predict,
Classify, Regress, GetModelMetadata and GetModelStatus have it in field 1 (apis/model.proto
and the messages beside it).
"""

from dataclasses import dataclass

from tfx_loop.core.errors import DataError

_PREDICTION = "/tensorflow.serving.PredictionService/"
# Calls whose answers are predictions.
PREDICTIONS = frozenset(f"{_PREDICTION}{name}" for name in ("Predict", "Classify", "Regress"))
ROUTED = PREDICTIONS | {
    f"{_PREDICTION}GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
}
# Fields of ModelSpec, and wire types (protobuf.dev/programming-guides/encoding).
_NAME, _VERSION, _LABEL = 1, 2, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# More would be an endless number: an attacker's bytes, or no protobuf.
_MAX_VARINT_BITS = 64


@dataclass(frozen=True)
class ModelSpec:
    """Which model a request asks for.

    Attributes:
        name: Of the model.
        version: None where the request names none.
        label: Empty where it names none.
        content: The message, without version and label.
        start: Where field 1 begins in the request.
        end: Where it ends.
    """

    name: str
    version: int | None
    label: str
    content: bytes
    start: int
    end: int


def read_model_spec(request: bytes) -> ModelSpec:
    """Returns the ModelSpec of a request; without one, its name is empty.

    Raises:
        DataError: The bytes are no message, or hold two ModelSpecs, which no client writes.
    """
    found: tuple[int, int, int] | None = None
    for number, start, value, end in _fields(request):
        if number == 1:
            # protobuf would merge both, and TF Serving would ask a model that was never looked at
            # here.
            if found is not None or request[start] & 7 != _BYTES:
                raise DataError("Expected one ModelSpec in a request, received several.")
            found = start, value, end
    if found is None:
        return ModelSpec("", None, "", b"", 0, 0)
    start, value, end = found
    content = request[value:end]
    name, version, label, kept = "", None, "", list[bytes]()
    for number, field_start, field_value, field_end in _fields(content):
        held = content[field_value:field_end]
        # A oneof: the last of version and label that stands in the message counts.
        if number == _VERSION:
            version, label = _int64_value(held), ""
            continue
        if number == _LABEL:
            version, label = None, held.decode("utf-8", "replace")
            continue
        if number == _NAME:
            name = held.decode("utf-8", "replace")
        kept.append(content[field_start:field_end])
    return ModelSpec(name, version, label, b"".join(kept), start, end)


def with_version(request: bytes, spec: ModelSpec, version: int | None, label: str) -> bytes:
    """Returns a request that asks for a version or a label, or with neither for what serves.

    Args:
        request: The message.
        spec: What `read_model_spec` found in it.
        version: Goes before the label.
        label: Empty for none.
    """
    content = spec.content
    if version is not None:
        # google.protobuf.Int64Value: its field 1.
        # Keys are (number << 3) | wire type: 0x08 is field 1 as a varint, 0x0a, 0x12 and 0x22 are
        # fields 1, 2 and 4 as bytes.
        held = b"\x08" + _varint(version)
        content += b"\x12" + _varint(len(held)) + held
    elif label:
        content += b"\x22" + _varint(len(label.encode())) + label.encode()
    return b"".join(
        (request[: spec.start], b"\x0a", _varint(len(content)), content, request[spec.end :])
    )


def _fields(message: bytes) -> "list[tuple[int, int, int, int]]":
    """Returns number, start, start of the value and end of each field."""
    found = list[tuple[int, int, int, int]]()
    start, size = 0, len(message)
    while start < size:
        key, value = _read_varint(message, start)
        kind = key & 7
        if kind == _VARINT:
            _, end = _read_varint(message, value)
        elif kind == _BYTES:
            length, value = _read_varint(message, value)
            end = value + length
        elif kind in (_FIXED64, _FIXED32):
            # Groups, wire types 3 and 4, have been gone since proto2; no message of TF Serving has
            # any.
            end = value + (8 if kind == _FIXED64 else 4)
        else:
            raise DataError("Expected a protobuf message, received a field of an unknown type.")
        if end > size:
            raise DataError("Expected a protobuf message, received one that is cut off.")
        found.append((key >> 3, start, value, end))
        start = end
    return found


def _int64_value(held: bytes) -> int:
    version = 0
    for number, _, value, _ in _fields(held):
        if number == 1:
            version, _ = _read_varint(held, value)
    return version


def _read_varint(message: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while shift < _MAX_VARINT_BITS:
        if start >= len(message):
            raise DataError("Expected a protobuf message, received one that is cut off.")
        byte = message[start]
        start += 1
        # Seven bits a byte, the lowest first; the eighth says that another byte follows.
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
    raise DataError("Expected a protobuf message, received a number without end.")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
