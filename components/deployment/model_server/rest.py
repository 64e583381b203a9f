"""The HTTP interface: paths, bodies and codes are those of TF Serving's REST API."""

import json
import logging
import re

from tfx_loop.core.errors import DataError, LoopError, ModelRejected, ServerUnavailable
from tfx_loop.core.network import is_loopback
from tfx_loop.deployment.model_server.access_log import AccessLog
from tfx_loop.deployment.model_server.engine import DeadlinePassed, Overloaded, Steps
from tfx_loop.deployment.model_server.http_messages import HttpAnswer, HttpRequest, error_answer
from tfx_loop.deployment.model_server.http_server import HttpHandler
from tfx_loop.deployment.model_server.json_tensors import parse_request, to_json, to_tensors
from tfx_loop.deployment.model_server.logging_gateway import find_signature
from tfx_loop.deployment.model_server.metadata import metadata_json
from tfx_loop.deployment.model_server.served_models import ServedModels
from tfx_loop.deployment.model_server.version_status import VersionStatus
from tfx_loop.deployment.server_access.access import Access, AccessRefused, Refusal
from tfx_loop.deployment.server_access.headers import (
    CANDIDATE_HEADER,
    IDENTITY_HEADERS,
    REQUEST_ID_HEADER,
    VERSION_HEADER,
)

_LOG = logging.getLogger(__name__)
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_MODEL + r":(?P<method>predict|classify|regress)", re.IGNORECASE)
_STATUS = re.compile(_MODEL, re.IGNORECASE)
# What changes the server for all: for admins.
_ADMIN = re.compile(_MODEL + r":(?P<call>reload|promote)", re.IGNORECASE)
# Where versions come from and answers are logged: for programs of this machine.
_FOLDERS = re.compile(_MODEL + "/folders", re.IGNORECASE)
_METADATA = re.compile(_MODEL + "/metadata", re.IGNORECASE)
# Versions are int64 in TF Serving.
_MAX_VERSION = 2**63 - 1
_READING = ("GET", "HEAD")
_REFUSED = {Refusal.UNAUTHENTICATED: 401, Refusal.FORBIDDEN: 403, Refusal.TOO_MANY: 429}
# Larger bodies are parsed in a worker thread: on the event loop this one takes a millisecond.
_QUICK_BODY_BYTES = 64 * 1024

Headers = dict[str, str]


class RestHandler(HttpHandler):
    """TF Serving's REST API before the served models."""

    def __init__(self, models: ServedModels, access: Access, log: AccessLog | None = None) -> None:
        """Keeps what answers.

        Args:
            models: What is served.
            access: Who may call; others are refused unread.
            log: Is told of each answer.
        """
        self._models, self._access, self._log = models, access, log

    def admit(self, request: HttpRequest) -> HttpAnswer | None:
        """Refuses a call that is not to be answered."""
        authorization = request.headers.get("authorization", "")
        admin = _ADMIN.fullmatch(request.path) is not None
        try:
            name = self._access.authenticate(authorization, request.address, admin=admin)
            self._access.count(name)
        except AccessRefused as error:
            headers = {}
            if error.refusal is Refusal.UNAUTHENTICATED:
                headers["www-authenticate"] = "Bearer"
            if error.refusal is Refusal.TOO_MANY:
                # The rates are per second (access.py).
                headers["retry-after"] = "1"
            return error_answer(_REFUSED[error.refusal], str(error), headers)
        return None

    def takes_long(self, request: HttpRequest) -> bool:
        """Says so of large bodies, and of calls that load models."""
        if len(request.body) > _QUICK_BODY_BYTES:
            return True
        return request.method == "POST" and _ADMIN.fullmatch(request.path) is not None

    def answer(self, request: HttpRequest) -> Steps[HttpAnswer]:
        """Answers a request."""
        return answer_request(self._models, request)

    def finished(self, request: HttpRequest, answer: HttpAnswer, hung_up: bool = False) -> None:
        """Logs the answer, where that is asked for."""
        if self._log is not None:
            self._log.rest(request, answer, hung_up)


async def answer_request(models: ServedModels, request: HttpRequest) -> HttpAnswer:
    """Returns the answer to a request; never raises for what a client sent."""
    headers: Headers = {}
    try:
        code, content = await _dispatch(models, request, headers)
    except LoopError as error:
        code, content = _code_of(error), _error_body(str(error))
    except Exception as error:
        _LOG.exception("request path=%s failed", request.path)
        # Whatever it was, the connection gets an answer.
        code, content = 500, _error_body(f"Internal error: {type(error).__name__}: {error}")
    return HttpAnswer(code, content, headers)


async def _dispatch(
    models: ServedModels, request: HttpRequest, headers: Headers
) -> tuple[int, bytes]:
    path = request.path
    if request.method == "POST" and (match := _PREDICT.fullmatch(path)):
        if match["method"].lower() != "predict":
            return 501, _error_body(f"{match['method']} is not served here: use :predict.")
        return 200, await _predict(models, match, request, headers)
    if request.method in _READING and (match := _STATUS.fullmatch(path)):
        statuses = models.statuses(match["name"], _version(match), match["label"])
        beside = models.find(match["name"]).beside
        headers[CANDIDATE_HEADER] = ",".join(map(str, sorted(beside)))
        return 200, _status_body(statuses)
    if request.method == "GET" and (match := _FOLDERS.fullmatch(path)) and _is_local(request):
        return 200, json.dumps(models.find(match["name"]).folders).encode()
    if request.method in _READING and (match := _METADATA.fullmatch(path)):
        version = _version(match)
        service = models.find(match["name"], version)
        servable = service.servable(version, match["label"])
        return 200, metadata_json(service.model_name, servable)
    if request.method == "POST" and (match := _ADMIN.fullmatch(path)):
        if match["call"].lower() != "reload":
            return 501, _error_body("Promote with `loop promote`: servers follow it.")
        models.find(match["name"]).poll()
        return 200, _status_body(models.statuses(match["name"], None))
    code = 400 if path.lower().startswith("/v1/") else 404
    return code, _error_body(f"Malformed request: {request.method} {path}")


def _is_local(request: HttpRequest) -> bool:
    """Says whether a program of this machine asks; paths are no business of others."""
    return bool(request.address) and is_loopback(request.address)


async def _predict(
    models: ServedModels,
    match: "re.Match[str]",
    request: HttpRequest,
    headers: Headers,
) -> bytes:
    given = request.headers
    version = _version(match)
    service = models.find(match["name"], version)
    identity = service.identify({key: given[key] for key in IDENTITY_HEADERS if key in given})
    headers[REQUEST_ID_HEADER] = identity.request_id
    servable = service.servable(version, match["label"], identity)
    headers[VERSION_HEADER] = str(servable.version)
    parsed = parse_request(request.body)
    signature = find_signature(servable, parsed.signature_name)
    inputs = to_tensors(parsed, signature, service.redaction)
    outputs = await service.predict(servable, parsed.signature_name, inputs, identity)
    return to_json(outputs, parsed.row_format)


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
