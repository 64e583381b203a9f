"""Answers to requests of TF Serving's REST API: paths, bodies and codes are as there."""

import contextlib
import json
import logging
import re
import zlib
from collections.abc import Mapping
from urllib.parse import unquote

from tfx_loop.core.errors import DataError, LoopError, ModelRejected, ServerUnavailable
from tfx_loop.core.network import is_loopback
from tfx_loop.deployment.model_server.engine import DeadlinePassed, Overloaded
from tfx_loop.deployment.model_server.examples_api import (
    INPUTS,
    Method,
    answer_json,
    parse_examples,
)
from tfx_loop.deployment.model_server.http_messages import HttpAnswer, HttpRequest
from tfx_loop.deployment.model_server.json_tensors import parse_request, to_json, to_tensors
from tfx_loop.deployment.model_server.logging_gateway import find_signature
from tfx_loop.deployment.model_server.metadata import metadata_json
from tfx_loop.deployment.model_server.served_models import ServedModels
from tfx_loop.deployment.model_server.service import PredictionTarget
from tfx_loop.deployment.model_server.version_status import VersionStatus
from tfx_loop.deployment.server_access.headers import (
    CANDIDATE_HEADER,
    IDENTITY_HEADERS,
    REQUEST_ID_HEADER,
    VERSION_HEADER,
)

_LOG = logging.getLogger(__name__)
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
# As TF Serving: the path in either case, the method in lower case.
PREDICTION_PATH = re.compile(f"(?i:{_MODEL}):(?P<method>predict|classify|regress)")
_MODELS = re.compile("/v1/models/?", re.IGNORECASE)
_STATUS = re.compile(_MODEL, re.IGNORECASE)
# What changes the server for all: for admins.
ADMIN_PATH = re.compile(_MODEL + r":(?P<call>reload|promote)", re.IGNORECASE)
# Where versions come from and answers are logged: for programs of this machine.
_FOLDERS = re.compile(_MODEL + "/folders", re.IGNORECASE)
_METADATA = re.compile(_MODEL + "/metadata", re.IGNORECASE)
# Versions are int64 in TF Serving.
_MAX_VERSION = 2**63 - 1
_READING = ("GET", "HEAD")

Headers = dict[str, str]


async def answer_request(
    models: ServedModels, request: HttpRequest, inflated_bytes: int, added: Mapping[str, str]
) -> HttpAnswer:
    """Returns the answer to a request; never raises for what a client sent.

    Args:
        models: What is served.
        request: What is asked.
        inflated_bytes: What a packed body may hold.
        added: Headers that every answer has.
    """
    headers: Headers = dict(added)
    try:
        if request.headers.get("content-encoding", "").lower() == "gzip":
            request.body = _inflated(request.body, inflated_bytes)
        code, content = await _dispatch(models, request, headers)
    except LoopError as error:
        code, content = _code_of(error), _error_body(str(error))
        if code == 429:
            # A full queue is answered within the second, as a rule.
            headers["retry-after"] = "1"
    except Exception as error:
        _LOG.exception("request path=%s failed", request.path)
        # Whatever it was, the connection gets an answer.
        code, content = 500, _error_body(f"Internal error: {type(error).__name__}: {error}")
    return HttpAnswer(code, content, headers)


async def _dispatch(
    models: ServedModels, request: HttpRequest, headers: Headers
) -> tuple[int, bytes]:
    path = path_of(request)
    if request.method == "POST" and (match := PREDICTION_PATH.fullmatch(path)):
        answer = _predict if match["method"] == "predict" else _ask_examples
        return 200, await answer(models, match, request, headers)
    if request.method in _READING and (match := _STATUS.fullmatch(path)):
        name = unquote(match["name"])
        with contextlib.suppress(ModelRejected):
            # Before the states: a server that has no version yet says by a refusal, too, that it
            # proves versions before they take traffic.
            headers[CANDIDATE_HEADER] = ",".join(map(str, sorted(models.find(name).beside)))
        return 200, _status_body(models.statuses(name, _version(match), match["label"]))
    if request.method == "GET" and (match := _FOLDERS.fullmatch(path)) and _is_local(request):
        return 200, json.dumps(models.find(unquote(match["name"])).folders).encode()
    if request.method in _READING and (match := _METADATA.fullmatch(path)):
        version = _version(match)
        service = models.find(unquote(match["name"]), version, match["label"])
        servable = service.servable(version, match["label"])
        return 200, metadata_json(service.model_name, servable)
    if request.method == "POST" and (match := ADMIN_PATH.fullmatch(path)):
        if match["call"].lower() != "reload":
            return 501, _error_body("Promote with `loop promote`: servers follow it.")
        name = unquote(match["name"])
        models.find(name).poll()
        return 200, _status_body(models.statuses(name, None))
    if request.method == "GET" and _MODELS.fullmatch(path):
        raise DataError("Missing model name in request.")
    code = 400 if path.lower().startswith("/v1/") else 404
    return code, _error_body(f"Malformed request: {request.method} {path}")


def _is_local(request: HttpRequest) -> bool:
    """Says whether a program of this machine asks; paths are no business of others."""
    return bool(request.address) and is_loopback(request.address)


def path_of(request: HttpRequest) -> str:
    """Returns the path as it was sent: an encoded slash is part of a name."""
    return request.target.partition("?")[0]


def _find(
    models: ServedModels, match: "re.Match[str]", request: HttpRequest, headers: Headers
) -> PredictionTarget:
    """Returns which version is asked by whom; sets the headers that tell it."""
    given = request.headers
    version = _version(match)
    service = models.find(unquote(match["name"]), version, match["label"])
    identity = service.identify({key: given[key] for key in IDENTITY_HEADERS if key in given})
    headers[REQUEST_ID_HEADER] = identity.request_id
    servable = service.servable(version, match["label"], identity)
    headers[VERSION_HEADER] = str(servable.version)
    return PredictionTarget(service, servable, identity)


async def _predict(
    models: ServedModels, match: "re.Match[str]", request: HttpRequest, headers: Headers
) -> bytes:
    asked = _find(models, match, request, headers)
    parsed = parse_request(request.body)
    signature = find_signature(asked.servable, parsed.signature_name)
    inputs = to_tensors(parsed, signature, asked.service.redaction)
    outputs = await asked.service.predict(
        asked.servable, parsed.signature_name, inputs, asked.identity
    )
    return to_json(outputs, parsed.row_format)


async def _ask_examples(
    models: ServedModels, match: "re.Match[str]", request: HttpRequest, headers: Headers
) -> bytes:
    method = Method[match["method"].upper()]
    asked = _find(models, match, request, headers)
    name, examples = parse_examples(request.body)
    asked.service.check_method(asked.servable, method, name)
    outputs = await asked.service.predict(
        asked.servable, name, {INPUTS: examples}, asked.identity, method.api
    )
    return answer_json(method, outputs, len(examples))


def _inflated(body: bytes, limit: int) -> bytes:
    """Returns the content of a gzip body; a small one that holds more than may come is refused."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(body, limit)
    except zlib.error as error:
        raise DataError(f"Expected a gzip body, received: {error}.") from error
    if unpacker.unconsumed_tail:
        raise DataError(
            f"The unpacked body is over the limit of {limit} bytes. Send fewer rows at a time."
        )
    if not unpacker.eof:
        raise DataError("Expected a whole gzip body, received one that is cut off.")
    return content


def _version(match: "re.Match[str]") -> int | None:
    text = match["version"]
    if text is None:
        return None
    # 19 digits hold every int64; longer texts are not turned into numbers at all.
    if len(text) > 19 or int(text) > _MAX_VERSION:
        raise DataError(f"Failed to convert version: {text[:40]} to numeric.")
    return int(text)


def _status_body(statuses: list[VersionStatus]) -> bytes:
    content = [
        {
            "version": str(status.version),
            "state": status.state.name,
            "status": {
                # TF Serving hands on the loader's code; what failed to load is UNKNOWN here.
                "error_code": "UNKNOWN" if status.error else "OK",
                "error_message": status.error,
            },
        }
        for status in statuses
    ]
    return json.dumps({"model_version_status": content}, indent=1).encode()


def _code_of(error: LoopError) -> int:
    if isinstance(error, Overloaded):
        return 429
    if isinstance(error, DeadlinePassed):
        return 504
    if isinstance(error, DataError):
        return 400
    if isinstance(error, ModelRejected):
        return 404
    return 503 if isinstance(error, ServerUnavailable) else 500


def _error_body(message: str) -> bytes:
    return json.dumps({"error": message}).encode()
