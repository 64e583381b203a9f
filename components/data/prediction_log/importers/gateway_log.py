"""The log of loop-gateway: bodies of REST and gRPC calls, decoded into rows."""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.importers.calls import (
    SINGLE_FEATURE,
    SINGLE_OUTPUT,
    ImportedCall,
    RejectedRecordError,
    column,
    columns_of,
)
from tfx_loop.data.prediction_log.importers.json_payloads import (
    ASKED,
    answer_columns,
    json_columns,
    parse_object,
)
from tfx_loop.data.prediction_log.importers.tf_serving import call_of_log, parsed_examples
from tfx_loop.data.prediction_log.raw_calls import (
    REST,
    RawCall,
    UnloggedCalls,
    open_raw_segment,
    position_key,
    read_records,
)

_PATH = re.compile(r"/v1/models/([^/:]+)(?:/[^:]*)?:(\w+)(?:\?.*)?", re.IGNORECASE)
# In front of each message of gRPC: whether it is compressed, and its length.
_PREFIX = 5
# What a body of a few bytes may unpack to: gzip packs a thousand times at most.
_MAX_UNPACKED = 1024 * 1024 * 1024

Columns = dict[str, list[Any]]


def segment_records(
    content: bytes, keys: Sequence[SecretKey]
) -> Iterator[RawCall | UnloggedCalls | RejectedRecordError]:
    """Yields what a segment holds; damaged frames, and records that are none, as rejects.

    Raises:
        ConfigError: It is encrypted, and its key is not given.
        DataError: It is no segment of a gateway.
    """
    opened = open_raw_segment(content, keys)
    for _ in range(opened.damaged + (opened.cut_bytes > 0)):
        yield RejectedRecordError("no_frame", "Expected a whole frame, received a part.")
    for frame in opened.frames:
        try:
            yield from read_records(frame)
        except DataError as error:
            yield RejectedRecordError("no_frame", str(error))


def parse_gateway_call(
    call: RawCall,
    model_name: str,
    feature_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
) -> ImportedCall:
    """Returns the rows of a call.

    Args:
        call: As the gateway logged it.
        model_name: The model whose calls are wanted.
        feature_names: What the columns of plain lists, or of one matrix, are called.
        output_names: What the one output of REST's answers is called, which come without a name.

    Raises:
        RejectedRecordError: It is one of another model, or its bodies hold no rows.
    """
    key = position_key(call.request_id, call.request_key, call.is_new, call.target, call.request)
    parsed = (_rest if call.protocol == REST else _grpc)(call, model_name, feature_names)
    return replace(
        parsed,
        features=_renamed(parsed.features, SINGLE_FEATURE, feature_names),
        outputs=_renamed(parsed.outputs, SINGLE_OUTPUT, output_names),
        model_version=call.model_version or parsed.model_version,
        # Where the gateway made the id, that alone tells the call.
        request_key="" if key == call.request_id else key,
        event_time_ms=call.event_time_ms,
        answered_time_ms=call.answered_time_ms,
        latency_ms=call.latency_ms,
        sampling_rate=call.sampling_rate,
        golden=call.golden,
        trace_id=call.trace_id,
    )


def _rest(call: RawCall, model_name: str, names: Sequence[str]) -> ImportedCall:
    match = _PATH.fullmatch(call.target)
    if match is None:
        raise RejectedRecordError(
            "no_rows", f"Expected a prediction, received {call.target!r:.80}."
        )
    _check_model(match[1], model_name)
    asked = parse_object(_unpacked(call.request, call.request_encoding))
    answered = parse_object(_unpacked(call.response, call.response_encoding))
    if match[2].lower() == "predict":
        for way in ASKED:
            if isinstance(asked.get(way), list):
                # As rows of objects they would be columns called b64.
                asked[way] = [_bytes(row) for row in asked[way]]
        features = json_columns(asked, ASKED, SINGLE_FEATURE, names)
        outputs = answer_columns(answered, SINGLE_OUTPUT)
    else:
        features = _example_rows(asked)
        outputs = _results(answered, classes=match[2].lower() == "classify")
    return ImportedCall(
        request_id=call.request_id,
        event_time_ms=call.event_time_ms,
        features=_feature_arrays(features),
        outputs={name: column([_plain(v) for v in values]) for name, values in outputs.items()},
    )


def _example_rows(asked: Mapping[str, Any]) -> Columns:
    """Returns the examples of a Classify or Regress request; all have the context's features."""
    examples, context = asked.get("examples"), asked.get("context") or {}
    if not isinstance(examples, list) or not all(isinstance(one, dict) for one in examples):
        raise RejectedRecordError("no_rows", "Expected a list of examples.")
    # An example's own features win, as messages that are merged have it.
    return columns_of([{**context, **one} for one in examples], SINGLE_FEATURE)


def _results(answered: Mapping[str, Any], *, classes: bool) -> Columns:
    results = answered.get("results")
    if not isinstance(results, list):
        raise RejectedRecordError("no_rows", "Expected a list of results.")
    if not classes:
        return {SINGLE_OUTPUT: results}
    try:
        return {
            "scores": [[float(score) for _, score in row] for row in results],
            "classes": [[str(label) for label, _ in row] for row in results],
        }
    except (TypeError, ValueError) as error:
        raise RejectedRecordError("no_rows", "Expected a label and a score a class.") from error


def _renamed(
    columns: Mapping[str, pa.Array], single: str, names: Sequence[str]
) -> Mapping[str, pa.Array]:
    """Returns columns of which the one without a name has the one that is given."""
    if set(columns) != {single} or len(names) != 1:
        return columns
    return {names[0]: columns[single]}


def _feature_arrays(features: Columns) -> Mapping[str, pa.Array]:
    if len(features) == 1:
        (values,) = features.values()
        plain = [_bytes(value) for value in values]
        if all(isinstance(value, bytes) for value in plain) and (
            examples := parsed_examples(plain)
        ):
            return examples
    return {name: column([_plain(value) for value in values]) for name, values in features.items()}


def _bytes(value: Any) -> Any:
    """Returns the bytes of TF Serving's {"b64": text}; other values as they are."""
    if not isinstance(value, dict) or set(value) != {"b64"}:
        return value
    try:
        text = str(value["b64"])
        # TF Serving takes it without padding, too.
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RejectedRecordError("no_text", f"Expected base64: {error}") from error


def _plain(value: Any) -> Any:
    """Returns a value as a row holds it: bytes as text, escaped where they are none."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    held = _bytes(value)
    return held.decode("utf-8", "backslashreplace") if isinstance(held, bytes) else held


def _grpc(call: RawCall, model_name: str, names: Sequence[str]) -> ImportedCall:
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    kind = call.target.rpartition("/")[2].lower()
    if kind not in ("predict", "classify", "regress"):
        raise RejectedRecordError(
            "no_rows", f"Expected a prediction, received {call.target!r:.80}."
        )
    held = getattr(log, f"{kind}_log")
    try:
        held.request.MergeFromString(_message(call.request, call.request_encoding))
        held.response.MergeFromString(_message(call.response, call.response_encoding))
    except DecodeError as error:
        raise RejectedRecordError("no_message", f"Expected messages of {kind}.") from error
    _check_model(held.request.model_spec.name, model_name)
    return call_of_log(log, call.request_id, names)


def _message(body: bytes, encoding: str) -> bytes:
    size = int.from_bytes(body[1:_PREFIX], "big")
    if len(body) != _PREFIX + size:
        raise RejectedRecordError("no_message", "Expected one message of gRPC.")
    return _unpacked(body[_PREFIX:], encoding) if body[0] else body[_PREFIX:]


def _unpacked(body: bytes, encoding: str) -> bytes:
    try:
        if encoding in ("", "identity"):
            return body
        if encoding in ("gzip", "x-gzip"):
            # 15 bits of window and 16 for gzip's header (zlib.h, inflateInit2).
            unpack = zlib.decompressobj(wbits=31)
        elif encoding == "deflate":
            unpack = zlib.decompressobj()
        else:
            raise RejectedRecordError("no_body", f"Expected gzip or deflate, received {encoding}.")
        content = unpack.decompress(body, _MAX_UNPACKED)
    except zlib.error as error:
        raise RejectedRecordError("no_body", f"Expected a body in {encoding}: {error}") from error
    if not unpack.eof:
        raise RejectedRecordError("no_body", f"Expected a whole body in {encoding}, below 1 GiB.")
    return content


def _check_model(found: str, wanted: str) -> None:
    if found != wanted:
        raise RejectedRecordError("other_model", f"Expected {wanted!r}, received {found!r:.80}.")
