"""KServe's CloudEvents and SageMaker's DataCapture: a JSON object a line."""

import base64
import binascii
import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.data.prediction_log.importers.calls import (
    SINGLE_FEATURE,
    SINGLE_OUTPUT,
    ImportedCall,
    RejectedRecordError,
    array_column,
    columns_of,
    milliseconds,
    numbered,
    split,
)

# The types of KServe's logger, after the service's own prefix.
REQUEST, RESPONSE = "inference.request", "inference.response"


def parse_line(line: str | bytes) -> dict[str, Any]:
    """Returns the object of a line; raises RejectedRecordError."""
    try:
        content = json.loads(line)
    # Bytes that are no text are ValueErrors, too; brackets without end exhaust the stack.
    except (ValueError, RecursionError) as error:
        raise RejectedRecordError("no_json", f"Expected JSON: {error}") from error
    if not isinstance(content, dict):
        raise RejectedRecordError("no_json", "Expected a JSON object a line.")
    return content


def event_identity(event: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the id of a CloudEvent, and whether it is a request or a response.

    Raises:
        RejectedRecordError: It is neither.
    """
    kind = str(event.get("type", ""))
    for ending in (REQUEST, RESPONSE):
        if kind.endswith(ending) and event.get("id"):
            return str(event["id"]), ending
    raise RejectedRecordError(
        "no_event", f"Expected an event of an inference with an id, received type {kind[:60]!r}."
    )


def parse_cloud_events(
    request_id: str,
    requests: Sequence[Mapping[str, Any]],
    responses: Sequence[Mapping[str, Any]],
    feature_names: Sequence[str] = (),
) -> ImportedCall:
    """Returns the call of a request and its response, in KServe's protocol V1 or V2.

    Args:
        request_id: Of both.
        requests: Events of that id.
        responses: The same.
        feature_names: What the columns of plain lists, or of one matrix, are called.

    Raises:
        RejectedRecordError: One of the two is missing, or holds no rows; or requests of one id
            differ.
    """
    if not requests or not responses:
        missing = "response" if requests else "request"
        raise RejectedRecordError(f"no_{missing}", f"Expected the {missing} of {request_id!r}.")
    asked, answered = _data(requests[0]), _data(responses[0])
    # A repeat has the same id and the same content.
    if any(_data(request) != asked for request in requests[1:]):
        raise RejectedRecordError(
            "ambiguous_id", f"Expected one request of {request_id!r}, received several."
        )
    time = requests[0].get("time") or responses[0].get("time")
    return ImportedCall(
        request_id=request_id,
        event_time_ms=milliseconds(str(time)) if time else None,
        features=split(
            _payload(asked, ("instances", "inputs"), SINGLE_FEATURE, feature_names), feature_names
        ),
        outputs=_payload(answered, ("predictions", "outputs"), SINGLE_OUTPUT),
    )


def parse_data_capture(
    record: Mapping[str, Any], feature_names: Sequence[str] = ()
) -> ImportedCall:
    """Returns the call of a SageMaker DataCapture record.

    Args:
        record: With `captureData` and `eventMetadata`.
        feature_names: What the columns of a CSV or of plain lists are called.

    Raises:
        RejectedRecordError: Input or output was not captured, or holds no rows.
    """
    captured, metadata = record.get("captureData"), record.get("eventMetadata")
    if not isinstance(captured, dict) or not isinstance(metadata, dict):
        raise RejectedRecordError("no_capture", "Expected captureData and eventMetadata.")
    event, inference = metadata.get("eventId"), metadata.get("inferenceId")
    if not event and not inference:
        raise RejectedRecordError("no_capture", "Expected an eventId.")
    time = metadata.get("inferenceTime")
    return ImportedCall(
        request_id=str(inference or event),
        # The client gave the inference's, to several calls perhaps; SageMaker makes the event's.
        request_key=str(event) if event else "",
        event_time_ms=milliseconds(str(time)) if time else None,
        features=split(
            _captured(captured, "endpointInput", SINGLE_FEATURE, feature_names), feature_names
        ),
        outputs=_captured(captured, "endpointOutput", SINGLE_OUTPUT, ()),
    )


def _captured(
    captured: Mapping[str, Any], side: str, single: str, names: Sequence[str]
) -> dict[str, pa.Array]:
    held = captured.get(side)
    if not isinstance(held, dict) or "data" not in held:
        raise RejectedRecordError(f"no_{side}", f"Expected {side}: capture both input and output.")
    text, encoding = str(held["data"]), str(held.get("encoding", "")).upper()
    if encoding == "BASE64":
        text = _decoded(text)
    kind = str(held.get("observedContentType", "")).partition(";")[0]
    if encoding == "JSON" or kind.endswith("json"):
        keys = ("instances", "inputs", "predictions", "outputs")
        try:
            return _payload(json.loads(text), keys, single, names)
        except ValueError as error:
            raise RejectedRecordError("no_json", f"Expected JSON in {side}: {error}") from error
    cells = [[_cell(cell) for cell in row] for row in csv.reader(text.splitlines()) if row]
    if cells and len(cells[0]) == 1 and single == SINGLE_OUTPUT:
        return columns_of([row[0] for row in cells], single)
    return numbered(cells, names)


def _data(event: Mapping[str, Any]) -> Any:
    if "data_base64" in event:
        text = _decoded(str(event["data_base64"]))
    elif isinstance(event.get("data"), str):
        text = str(event["data"])
    else:
        return event.get("data")
    try:
        return json.loads(text)
    except ValueError as error:
        raise RejectedRecordError("no_json", f"Expected JSON as data: {error}") from error


def _payload(
    content: Any, keys: Sequence[str], single: str, names: Sequence[str] = ()
) -> dict[str, pa.Array]:
    if isinstance(content, list):
        return columns_of(content, single, names)
    if not isinstance(content, dict):
        raise RejectedRecordError("no_rows", "Expected rows as JSON.")
    held = next((content[key] for key in keys if key in content), None)
    if isinstance(held, list) and held and all(_is_tensor(item) for item in held):
        return {str(item["name"]): _tensor(item) for item in held}
    if isinstance(held, dict):
        # TF Serving's columns.
        return {str(name): columns_of(values, "v")["v"] for name, values in held.items()}
    if held is not None:
        return columns_of(held, single, names)
    # One row as an object.
    return columns_of([content], single, names)


def _is_tensor(item: Any) -> bool:
    return isinstance(item, dict) and {"name", "shape", "data"} <= set(item)


def _tensor(item: Mapping[str, Any]) -> pa.Array:
    try:
        values = np.asarray(item["data"]).reshape([int(size) for size in item["shape"]])
    except (TypeError, ValueError) as error:
        raise RejectedRecordError("no_tensor", f"Expected a tensor: {error}") from error
    if values.ndim == 0:
        values = values.reshape(1)
    return array_column(values.astype(object) if values.dtype.kind == "U" else values)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise RejectedRecordError("no_text", f"Expected text in base64: {error}") from error


def _cell(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
