"""The HTTP interface: paths, bodies and codes are those of TF Serving's REST API."""

import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tfx_loop.core.errors import DataError, LoopError, ModelRejected, ServerUnavailable
from tfx_loop.core.network import is_loopback
from tfx_loop.deployment.model_server.engine import DeadlinePassed, Overloaded, run_blocking
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
# After a refusal, this many times the limit is read and thrown away, so that a client which sends
# before it listens gets to the answer; then the connection is cut.
_DRAINED_LIMITS = 16

_REFUSED = {Refusal.UNAUTHENTICATED: 401, Refusal.FORBIDDEN: 403, Refusal.TOO_MANY: 429}
# What OWASP's REST Security Cheat Sheet has an API send: answers are data, and nobody else's.
_SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# Two years, as hstspreload.org asks for.
_HSTS = {"strict-transport-security": "max-age=63072000"}

Headers = dict[str, str]
Answer = tuple[int, bytes, Headers]


class BodyTooLargeError(DataError):
    """A request body is over the limit."""


def make_app(models: ServedModels, max_body_bytes: int, access: Access) -> ASGIApp:
    """Returns the ASGI application.

    Args:
        models: What answers.
        max_body_bytes: Larger bodies are refused with 413, unread.
        access: Who may call; others are refused unread, too.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        secure = scope["scheme"] == "https"
        try:
            _admit(request, access)
            body = await _body(request, max_body_bytes)
        except AccessRefused as error:
            await _refuse(_REFUSED[error.refusal], error, receive, send, max_body_bytes, secure)
            return
        except BodyTooLargeError as error:
            drained_bytes = max_body_bytes * _DRAINED_LIMITS
            await _refuse(413, error, receive, send, drained_bytes, secure)
            return
        answer = await run_in_threadpool(run_blocking, answer_request(models, request, body))
        await _send(send, *answer, secure=secure)

    return app


def _admit(request: Request, access: Access) -> None:
    """Raises AccessRefused where a call is not to be answered."""
    address = request.client.host if request.client else ""
    authorization = request.headers.get("authorization", "")
    admin = _ADMIN.fullmatch(request.scope["path"]) is not None
    access.count(access.authenticate(authorization, address, admin=admin))


async def answer_request(models: ServedModels, request: Request, body: bytes) -> Answer:
    """Returns code, body and headers for a request; never raises for what a client sent."""
    headers: Headers = {}
    try:
        code, content = await _dispatch(models, request, body, headers)
    except LoopError as error:
        code, content = _code_of(error), _error_body(str(error))
    except Exception as error:
        _LOG.exception("request path=%s failed", request.url.path)
        # Whatever it was, the connection gets an answer: a client that waits would hold a thread.
        code, content = 500, _error_body(f"Internal error: {type(error).__name__}: {error}")
    return code, content, headers


async def _dispatch(
    models: ServedModels, request: Request, body: bytes, headers: Headers
) -> tuple[int, bytes]:
    path: str = request.scope["path"]
    if request.method == "POST" and (match := _PREDICT.fullmatch(path)):
        if match["method"].lower() != "predict":
            return 501, _error_body(f"{match['method']} is not served here: use :predict.")
        return 200, await _predict(models, match, request, body, headers)
    if request.method == "GET" and (match := _STATUS.fullmatch(path)):
        statuses = models.statuses(match["name"], _version(match), match["label"])
        beside = models.find(match["name"]).beside
        headers[CANDIDATE_HEADER] = ",".join(map(str, sorted(beside)))
        return 200, _status_body(statuses)
    if request.method == "GET" and (match := _FOLDERS.fullmatch(path)) and _is_local(request):
        return 200, json.dumps(models.find(match["name"]).folders).encode()
    if request.method == "GET" and (match := _METADATA.fullmatch(path)):
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


def _is_local(request: Request) -> bool:
    """Says whether a program of this machine asks; paths are no business of others."""
    return request.client is not None and is_loopback(request.client.host)


async def _predict(
    models: ServedModels,
    match: "re.Match[str]",
    request: Request,
    body: bytes,
    headers: Headers,
) -> bytes:
    given = request.headers
    version = _version(match)
    service = models.find(match["name"], version)
    identity = service.identify({key: given[key] for key in IDENTITY_HEADERS if key in given})
    headers[REQUEST_ID_HEADER] = identity.request_id
    servable = service.servable(version, match["label"], identity)
    headers[VERSION_HEADER] = str(servable.version)
    parsed = parse_request(body)
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


async def _body(request: Request, limit: int) -> bytes:
    """Returns the body of a request.

    Raises:
        BodyTooLargeError: As soon as its length is known to be over the limit.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLargeError(_too_large(limit))
    parts: list[bytes] = []
    size = 0
    # A length that is declared may be wrong, and chunked bodies declare none.
    async for part in _parts(request):
        size += len(part)
        if size > limit:
            raise BodyTooLargeError(_too_large(limit))
        parts.append(part)
    return b"".join(parts)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _too_large(limit: int) -> str:
    return f"The request body is over the limit of {limit} bytes. Send fewer rows at a time."


async def _refuse(
    code: int,
    error: LoopError,
    receive: Receive,
    send: Send,
    drained_bytes: int,
    secure: bool,
) -> None:
    """Answers at once, then throws away what the client still sends, up to a bound."""
    body = _error_body(str(error))
    headers = {"connection": "close"}
    if code == 401:
        headers["www-authenticate"] = "Bearer"
    if code == 429:
        # The rates are per second (access.py).
        headers["retry-after"] = "1"
    await _send(send, code, body, headers, more_body=True, secure=secure)
    while drained_bytes > 0:
        message: Any = await receive()
        drained_bytes -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(
    send: Send,
    code: int,
    body: bytes,
    headers: Headers,
    more_body: bool = False,
    secure: bool = False,
) -> None:
    sent = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    sent |= _SECURITY_HEADERS | (_HSTS if secure else {})
    raw = [(key.encode(), value.encode()) for key, value in sent.items()]
    await send({"type": "http.response.start", "status": code, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": more_body})
