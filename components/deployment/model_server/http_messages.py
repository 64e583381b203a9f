"""Requests and answers of HTTP, as handlers see them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.tracing import RequestSpan

# What OWASP's REST Security Cheat Sheet has an API send: answers are data, and nobody else's.
_SECURITY_HEADERS = (
    "cache-control: no-store\r\n"
    "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "referrer-policy: no-referrer\r\n"
    "x-content-type-options: nosniff\r\n"
    "x-frame-options: DENY\r\n"
)
# Two years, as hstspreload.org asks for.
_HSTS = "strict-transport-security: max-age=63072000\r\n"
_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n" for s in HTTPStatus}
JSON = "application/json"


@dataclass(slots=True)
class HttpRequest:
    """A request.

    Attributes:
        method: In capitals.
        target: What stands in the request line.
        headers: By name in lower case; of those that come twice, the first.
        body: All of it.
        address: The client's.
        secure: Whether it came over TLS.
        keep_alive: Whether the client goes on with the connection.
        started: When its answer began, in seconds of `time.perf_counter`.
        span: Of the trace that it belongs to, where spans are made.
    """

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    address: str = ""
    secure: bool = False
    keep_alive: bool = False
    started: float = 0.0
    span: "RequestSpan | None" = None

    @property
    def path(self) -> str:
        """The target without its query, unescaped."""
        path = self.target.partition("?")[0]
        return unquote(path) if "%" in path else path


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer.

    Attributes:
        code: The status.
        body: What is sent; to HEAD only its length.
        headers: Besides those that each answer has.
        content_type: Of the body.
    """

    code: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def to_bytes(self, request: HttpRequest, last: bool) -> bytes:
        """Returns what is sent, with a word on whether the connection ends."""
        more = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        head = (
            f"{_STATUS_LINES[self.code]}content-type: {self.content_type}\r\n"
            f"content-length: {len(self.body)}\r\n{more}{_SECURITY_HEADERS}"
            f"{_HSTS if request.secure else ''}{_connection(request, last)}\r\n"
        ).encode("latin-1", "replace")
        return head if request.method == "HEAD" else head + self.body


def error_answer(code: int, message: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """Returns an answer that says in JSON what was wrong, as TF Serving does."""
    return HttpAnswer(code, json.dumps({"error": message}).encode(), headers or {})


def _connection(request: HttpRequest, last: bool) -> str:
    return "connection: close\r\n" if last else ""
