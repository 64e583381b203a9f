"""The access log, and the one form of all log lines of the server: text or JSON.

A line says who asked what and how it ended, and nothing of what was in the request: no query, no
body, no token.
"""

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from tfx_loop.deployment.model_server.http_messages import HttpAnswer, HttpRequest
from tfx_loop.deployment.server_access.headers import REQUEST_ID_HEADER, TRACEPARENT_HEADER
from tfx_loop.deployment.server_access.trace_context import trace_id_of

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.grpc_connection import ServerCall

_LOG = logging.getLogger("access")
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
# What a client can write in a path must not fill the disk.
_SHOWN_CHARACTERS = 200


class JsonLines(logging.Formatter):
    """A log line as a JSON object: time, level, logger, and either fields or a message."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line |= fields if fields is not None else {"message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start_logging(log_format: str) -> None:
    """Has this process log to standard error in a form, `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class AccessLog:
    """Writes a line for each answer."""

    def rest(self, request: HttpRequest, answer: HttpAnswer, hung_up: bool = False) -> None:
        """Logs an answer over REST.

        Args:
            request: What was asked.
            answer: What was answered.
            hung_up: Whether the client left before.
        """
        self._write(
            protocol="rest",
            method=request.method,
            path=request.path[:_SHOWN_CHARACTERS],
            # nginx's code for a client that closed the connection.
            code=499 if hung_up else answer.code,
            received=len(request.body),
            sent=len(answer.body),
            started=request.started,
            address=request.address,
            request_id=answer.headers.get(REQUEST_ID_HEADER, ""),
            traceparent=request.headers.get(TRACEPARENT_HEADER, ""),
        )

    def grpc(self, call: "ServerCall", code: str) -> None:
        """Logs an answer over gRPC.

        Args:
            call: What was asked.
            code: The name of the status.
        """
        self._write(
            protocol="grpc",
            path=call.path[:_SHOWN_CHARACTERS],
            code=code,
            received=call.received,
            started=call.started,
            address=call.peer(),
            request_id=dict(call.sent).get(REQUEST_ID_HEADER, ""),
            traceparent=call.traceparent,
        )

    def _write(self, started: float, traceparent: str, **fields: Any) -> None:
        if started:
            fields["ms"] = round((time.perf_counter() - started) * 1000, 3)
        if trace_id := trace_id_of(traceparent):
            fields["trace_id"] = trace_id
        message = " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())
        _LOG.info("%s", message, extra={"fields": fields})


def _quoted(value: Any) -> str:
    text = str(value)
    # A path is written by the client: no blank or line end of it may look like another field.
    plain = text.isascii() and text.isprintable() and not set(text) & set(' "=')
    return text if plain and text else json.dumps(text)
