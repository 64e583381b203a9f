"""The REST and gRPC servers of a process, put together from its flags."""

import argparse
import math
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfx_loop.deployment.model_server.access_log import AccessLog
from tfx_loop.deployment.model_server.grpc_predictions import GrpcOptions
from tfx_loop.deployment.model_server.grpc_server import GrpcServer
from tfx_loop.deployment.model_server.grpc_service import add_services
from tfx_loop.deployment.model_server.http_server import HttpLimits, HttpServer
from tfx_loop.deployment.model_server.rest import RestHandler, RestOptions
from tfx_loop.deployment.model_server.served_models import ServedModels
from tfx_loop.deployment.model_server.serving_metrics import DEFAULT_PATH, ServingMetrics
from tfx_loop.deployment.model_server.text_messages import read_monitoring_config, ssl_context
from tfx_loop.deployment.server_access.access import Access
from tfx_loop.deployment.server_access.tls import TlsFiles

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.tracing import RequestTracer


@dataclass(frozen=True, kw_only=True)
class Interfaces:
    """What both servers have in common.

    Attributes:
        models: What is served.
        flags: Of the server.
        access: Who may call.
        tls: Certificates; None for plain text.
        metrics: Where requests are counted.
        tracer: Makes spans of them; None makes none.
    """

    models: ServedModels
    flags: argparse.Namespace
    access: Access
    tls: TlsFiles | None
    metrics: ServingMetrics
    tracer: "RequestTracer | None"

    def start_rest(self, listener: socket.socket) -> HttpServer:
        """Answers over REST at a bound socket."""
        flags, answer_ms = self.flags, self.flags.rest_api_timeout_in_ms
        options = RestOptions(
            inflated_bytes=flags.max_request_bytes,
            metrics_path=_metrics_path(flags.monitoring_config_file),
            cors=flags.rest_api_enable_cors_support,
        )
        limits = HttpLimits(
            body_bytes=flags.max_request_bytes,
            answer_seconds=answer_ms / 1000 if answer_ms > 0 else math.inf,
        )
        handler = RestHandler(
            self.models, options, self.access, self.metrics, self._access_log(), self.tracer
        )
        context = self.tls.context() if self.tls is not None else None
        server = HttpServer(handler, listener, limits, context)
        server.start()
        return server

    def start_grpc(self, listeners: Sequence[socket.socket]) -> GrpcServer:
        """Answers over gRPC at bound sockets."""
        flags = self.flags
        limits = HttpLimits(body_bytes=flags.max_request_bytes)
        server = GrpcServer(
            listeners, limits, self.access, self._grpc_tls(), self._access_log(), self.tracer
        )
        options = GrpcOptions(
            tensor_content=flags.enable_serialization_as_tensor_content,
            health=flags.enable_grpc_healthcheck_service,
        )
        add_services(self.models, options, self.metrics, server)
        server.start()
        return server

    def _access_log(self) -> AccessLog | None:
        return AccessLog() if self.flags.access_log else None

    def _grpc_tls(self) -> ssl.SSLContext | None:
        if self.flags.ssl_config_file:
            return ssl_context(self.flags.ssl_config_file)
        return self.tls.context(["h2"]) if self.tls is not None else None


def _metrics_path(config_file: str | None) -> str | None:
    if not config_file:
        return None
    prometheus = read_monitoring_config(config_file).prometheus_config
    return (prometheus.path or DEFAULT_PATH) if prometheus.enable else None
