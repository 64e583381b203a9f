"""Spans of answered requests, by OpenTelemetry's SDK where `--traces` asks for them.

The SDK's own environment variables say where spans go and which are kept (OTEL_TRACES_EXPORTER,
OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME; see
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). Names and
attributes are those of its semantic conventions for HTTP and RPC servers.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.server_access.headers import TRACEPARENT_HEADER

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_SERVICE = "loop-model-server"
_EXPORTERS = "opentelemetry_traces_exporter"
# Of `otlp`, which leaves the protocol open: the first that is installed.
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
# What a stopping server waits for an exporter, in milliseconds.
_FLUSH_MS = 2_000


@dataclass(frozen=True)
class RequestSpan:
    """The span of a request that is being answered.

    Attributes:
        span: OpenTelemetry's.
        traceparent: What names it to others: the log, and whoever is asked on its behalf.
    """

    span: trace.Span
    traceparent: str

    def end(self, failed: bool, attributes: Mapping[str, Any]) -> None:
        """Ends it.

        Args:
            failed: Whether the server is to blame.
            attributes: How it was answered.
        """
        self.span.set_attributes(dict(attributes))
        if failed:
            self.span.set_status(trace.StatusCode.ERROR)
        self.span.end()


class RequestTracer:
    """Begins the spans of a server."""

    def __init__(self, provider: "TracerProvider") -> None:
        """Keeps where spans go."""
        self._provider = provider
        self._tracer = provider.get_tracer("tfx_loop.model_server")
        self._context = TraceContextTextMapPropagator()

    def begin(
        self, name: str, headers: Mapping[str, str], attributes: Mapping[str, Any]
    ) -> RequestSpan:
        """Begins the span of a request, in the caller's trace where its headers name one.

        Args:
            name: The same for all requests of a kind: no ids, no versions.
            headers: Of the request, in lower case.
            attributes: What was asked.
        """
        parent = self._context.extract(headers)
        kind = trace.SpanKind.SERVER
        span = self._tracer.start_span(name, parent, kind, dict(attributes))
        sent: dict[str, str] = {}
        self._context.inject(sent, trace.set_span_in_context(span))
        return RequestSpan(span, sent.get(TRACEPARENT_HEADER, ""))

    def close(self) -> None:
        """Sends what is left."""
        self._provider.force_flush(_FLUSH_MS)


def start_tracer() -> RequestTracer:
    """Returns a tracer with the exporters that the environment names.

    Raises:
        ConfigError: The SDK, or an exporter, is not installed, or refuses its settings.
    """
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            "--traces needs OpenTelemetry's SDK, which is not installed: pip install "
            "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http."
        ) from error
    named = "OTEL_SERVICE_NAME" in os.environ
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": _SERVICE}))
    for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        if name.strip() not in ("", "none"):
            provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip())))
    return RequestTracer(provider)


def _exporter(name: str) -> Any:
    known = {point.name: point for point in entry_points(group=_EXPORTERS)}
    wanted = [name]
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol)
        wanted = [_OTLP.get(protocol, protocol)] if protocol else list(_OTLP.values())
    found = next((known[each] for each in wanted if each in known), None)
    if found is None:
        raise ConfigError(
            f"--traces found no exporter {' or '.join(wanted)!r} (OTEL_TRACES_EXPORTER), but: "
            f"{', '.join(sorted(known))}. Install its package, such as "
            "opentelemetry-exporter-otlp-proto-http, or name another."
        )
    try:
        return found.load()()
    except Exception as error:
        # Packages of others: whatever they raise of a wrong variable, the user has to hear it.
        raise ConfigError(f"--traces: the exporter {found.name} cannot be used: {error}") from error
