"""A gRPC server on an event loop of its own, for handlers that grpcio's stubs register."""

import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from tfx_loop.deployment.model_server.access_log import AccessLog
from tfx_loop.deployment.model_server.engine import run_blocking
from tfx_loop.deployment.model_server.grpc_connection import (
    CallAborted,
    GrpcConnection,
    ServerCall,
)
from tfx_loop.deployment.model_server.http_server import HttpLimits, LoopServer
from tfx_loop.deployment.server_access.access import Access, AccessRefused, Refusal
from tfx_loop.deployment.server_access.headers import REQUEST_ID_HEADER

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.tracing import RequestTracer

_LOG = logging.getLogger(__name__)
# Parsed on the loop: larger messages would keep it from others for milliseconds.
_QUICK_BYTES = 256 * 1024
# Answered on the loop: they wait for nothing, or for the engine without a thread.
_QUICK_METHODS = frozenset(
    {
        "/tensorflow.serving.PredictionService/Predict",
        "/tensorflow.serving.PredictionService/Classify",
        "/tensorflow.serving.PredictionService/Regress",
        "/tensorflow.serving.PredictionService/MultiInference",
        "/tensorflow.serving.PredictionService/GetModelMetadata",
        "/tensorflow.serving.ModelService/GetModelStatus",
        "/grpc.health.v1.Health/Check",
    }
)
_REFUSED = {
    Refusal.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Refusal.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.TOO_MANY: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
# What a span of a server counts as its error:
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/.
_SERVER_ERRORS = frozenset(
    ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)
_ADMIN_METHODS = ("/tensorflow.serving.ModelService/HandleReloadConfigRequest",)


class GrpcServer(LoopServer):
    """A server of unary methods; hand it to the `add_…_to_server` of generated stubs.

    Attributes:
        methods: Handlers by path.
    """

    connection_type = GrpcConnection

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        limits: HttpLimits,
        access: Access,
        tls: ssl.SSLContext | None = None,
        log: AccessLog | None = None,
        tracer: "RequestTracer | None" = None,
    ) -> None:
        """Answers nobody before `start`.

        Args:
            listeners: Bound sockets.
            limits: What clients may take.
            access: Who may call; what others send is not parsed.
            tls: Certificates, with ALPN `h2`, where it speaks TLS.
            log: Is told of each answer.
            tracer: Makes a span of each call.
        """
        super().__init__(listeners, limits, tls, name="grpc")
        self.methods: dict[str, Any] = {}
        self._access, self._log, self._tracer = access, log, tracer

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Takes the handlers of a service, as grpcio's servers do."""
        for handler in handlers:
            self.methods.update(handler._method_handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Takes the handlers of a service by name; newer stubs call it beside the other."""
        self.methods.update({f"/{service}/{name}": handlers[name] for name in handlers})

    def admit(self, authorization: str, address: str, path: str) -> None:
        """Raises CallAborted where a call is not to be answered."""
        admin = path in _ADMIN_METHODS
        try:
            self._access.count(self._access.authenticate(authorization, address, admin=admin))
        except AccessRefused as error:
            raise CallAborted(_REFUSED[error.refusal], str(error)) from None

    def takes_long(self, path: str, size: int) -> bool:
        """Says whether a call is answered in a worker thread."""
        return path not in _QUICK_METHODS or size > _QUICK_BYTES

    def answer_in_thread(
        self, answer: Callable[[Any, Any], Any], request: Any, call: ServerCall
    ) -> None:
        """Answers a call in a worker thread."""
        self.workers.submit(self._work, answer, request, call)

    def begin_span(self, call: ServerCall, headers: Mapping[str, str]) -> str:
        """Begins the span of a call; returns its `traceparent`, empty where spans are not made."""
        if self._tracer is None:
            return ""
        service, _, method = call.path.strip("/").partition("/")
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "client.address": call.peer(),
        }
        # Any client may write a path: only methods that are served name spans.
        name = call.path.strip("/") if call.path in self.methods else "unknown"
        call.span = self._tracer.begin(name, headers, attributes)
        return call.span.traceparent

    def finished(self, call: ServerCall, code: str) -> None:
        """Logs an answer, where that is asked for.

        Args:
            call: What was asked.
            code: The name of the status.
        """
        if self._log is not None:
            self._log.grpc(call, code)
        if call.span is not None:
            attributes: dict[str, Any] = {"rpc.grpc.status_code": grpc.StatusCode[code].value[0]}
            if request_id := dict(call.sent).get(REQUEST_ID_HEADER):
                attributes[f"rpc.grpc.response.metadata.{REQUEST_ID_HEADER}"] = [request_id]
            call.span.end(code in _SERVER_ERRORS, attributes)

    def _work(self, answer: Callable[[Any, Any], Any], request: Any, call: ServerCall) -> None:
        try:
            found = answer(request, call)
            if isinstance(found, Coroutine):
                found = run_blocking(found, call.deadline)
        except CallAborted as error:
            self.loop.call_soon_threadsafe(call.end, error)
        except Exception as error:
            _LOG.exception("grpc request failed")
            text = f"Internal error: {type(error).__name__}"
            aborted = CallAborted(grpc.StatusCode.INTERNAL, text)
            self.loop.call_soon_threadsafe(call.end, aborted)
        else:
            self.loop.call_soon_threadsafe(call.respond, found)
