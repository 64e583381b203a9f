"""The HTTP interface: who may call, which thread answers, and what is told of each answer."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tfx_loop.deployment.model_server.access_log import AccessLog
from tfx_loop.deployment.model_server.engine import Steps
from tfx_loop.deployment.model_server.http_messages import HttpAnswer, HttpRequest, error_answer
from tfx_loop.deployment.model_server.http_server import HttpHandler
from tfx_loop.deployment.model_server.rest_answers import (
    ADMIN_PATH,
    PREDICTION_PATH,
    answer_request,
    path_of,
)
from tfx_loop.deployment.model_server.served_models import ServedModels
from tfx_loop.deployment.model_server.serving_metrics import (
    CONTENT_TYPE,
    UNKNOWN_MODEL,
    ServingMetrics,
)
from tfx_loop.deployment.server_access.access import Access, AccessRefused, Refusal
from tfx_loop.deployment.server_access.headers import REQUEST_ID_HEADER, TRACEPARENT_HEADER

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.tracing import RequestTracer

_REFUSED = {Refusal.UNAUTHENTICATED: 401, Refusal.FORBIDDEN: 403, Refusal.TOO_MANY: 429}
# Over REST, too, metrics have the names of gRPC's codes.
_STATUSES = {
    200: "OK", 400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
# As TF Serving answers with --rest_api_enable_cors_support.
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "Content-Type",
}
# Larger bodies are parsed in a worker thread: on the event loop this one takes a millisecond.
_QUICK_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class RestOptions:
    """How the interface answers.

    Attributes:
        inflated_bytes: What a packed body may hold.
        metrics_path: Where the metrics are; None for nowhere.
        cors: Whether web pages of any origin may call.
    """

    inflated_bytes: int
    metrics_path: str | None = None
    cors: bool = False


class RestHandler(HttpHandler):
    """TF Serving's REST API before the served models."""

    def __init__(
        self,
        models: ServedModels,
        options: RestOptions,
        access: Access,
        metrics: ServingMetrics,
        log: AccessLog | None = None,
        tracer: "RequestTracer | None" = None,
    ) -> None:
        """Keeps what answers.

        Args:
            models: What is served.
            options: How.
            access: Who may call; others are refused unread.
            metrics: What is counted, and shown at the path for it.
            log: Is told of each answer.
            tracer: Makes a span of each request.
        """
        self._models, self._options, self._access = models, options, access
        self._metrics, self._log, self._tracer = metrics, log, tracer

    def admit(self, request: HttpRequest) -> HttpAnswer | None:
        """Refuses a call that is not to be answered."""
        if self._tracer is not None:
            self._begin_span(self._tracer, request)
        authorization = request.headers.get("authorization", "")
        admin = ADMIN_PATH.fullmatch(path_of(request)) is not None
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
        return request.method == "POST" and ADMIN_PATH.fullmatch(path_of(request)) is not None

    def answer(self, request: HttpRequest) -> Steps[HttpAnswer]:
        """Answers a request."""
        return self._answer(request)

    async def _answer(self, request: HttpRequest) -> HttpAnswer:
        added = _CORS if self._options.cors else {}
        if request.method == "GET" and path_of(request) == self._options.metrics_path:
            return HttpAnswer(200, self._metrics.text(), added, CONTENT_TYPE)
        if self._options.cors and request.method == "OPTIONS":
            return HttpAnswer(200, b"", added)
        return await answer_request(self._models, request, self._options.inflated_bytes, added)

    def finished(self, request: HttpRequest, answer: HttpAnswer, hung_up: bool = False) -> None:
        """Counts the answer, and logs it where that is asked for."""
        match = PREDICTION_PATH.fullmatch(path_of(request)) if request.method == "POST" else None
        if match is not None:
            name = unquote(match["name"])
            self._metrics.request(
                name if name in self._models.services else UNKNOWN_MODEL,
                "CANCELLED" if hung_up else _STATUSES.get(answer.code, "UNKNOWN"),
                api=match["method"],
                entrypoint="REST",
                seconds=time.perf_counter() - request.started,
            )
        if self._log is not None:
            self._log.rest(request, answer, hung_up)
        if request.span is not None:
            # nginx's code for a client that closed the connection, as in the access log.
            code = 499 if hung_up else answer.code
            attributes: dict[str, Any] = {"http.response.status_code": code}
            if request_id := answer.headers.get(REQUEST_ID_HEADER):
                attributes[f"http.response.header.{REQUEST_ID_HEADER}"] = [request_id]
            request.span.end(code >= 500, attributes)

    def _begin_span(self, tracer: "RequestTracer", request: HttpRequest) -> None:
        path = path_of(request)
        match = PREDICTION_PATH.fullmatch(path) if request.method == "POST" else None
        route = f" /v1/models/{{model}}:{match['method']}" if match is not None else ""
        attributes = {
            "http.request.method": request.method,
            "url.path": path,
            "client.address": request.address,
        }
        request.span = tracer.begin(f"{request.method}{route}", request.headers, attributes)
        # From here on it is this span that others belong to.
        request.headers[TRACEPARENT_HEADER] = request.span.traceparent
