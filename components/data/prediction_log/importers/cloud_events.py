"""KServe's CloudEvents: a JSON object a line, requests and responses apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_loop.data.prediction_log.importers.calls import (
    SINGLE_FEATURE,
    SINGLE_OUTPUT,
    ImportedCall,
    RejectedRecordError,
    arrow_columns,
    milliseconds,
    named,
)
from tfx_loop.data.prediction_log.importers.json_payloads import (
    ASKED,
    answer_columns,
    decoded,
    json_columns,
    parse_json,
)

# The types of KServe's logger, after the service's own prefix.
REQUEST, RESPONSE = "inference.request", "inference.response"


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
        features=arrow_columns(
            named(json_columns(asked, ASKED, SINGLE_FEATURE, feature_names), feature_names)
        ),
        outputs=arrow_columns(answer_columns(answered, SINGLE_OUTPUT)),
    )


def _data(event: Mapping[str, Any]) -> Any:
    if "data_base64" in event:
        text = decoded(str(event["data_base64"]))
    elif isinstance(event.get("data"), str):
        text = str(event["data"])
    else:
        return event.get("data")
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise RejectedRecordError("no_json", f"Expected JSON as data: {error}") from error
