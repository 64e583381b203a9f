"""One REST request on its way to its upstream, and its answer, logged before it is complete."""

import functools
import json
import time
from typing import TYPE_CHECKING, Any

import httptools

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.raw_calls import REST
from tfx_loop.deployment.gateway import counters as count
from tfx_loop.deployment.gateway.gate import (
    IDENTITY,
    REQUEST_ID,
    Capture,
    Identity,
)
from tfx_loop.deployment.gateway.rest_heads import HOP_BY_HOP, answer_head
from tfx_loop.deployment.gateway.routes import RestTarget, Route, target_of
from tfx_loop.deployment.server_access.access import AccessRefused, Refusal
from tfx_loop.deployment.server_access.headers import VERSION_HEADER

if TYPE_CHECKING:
    from tfx_loop.deployment.gateway.rest_client import RestClient
    from tfx_loop.deployment.gateway.rest_upstream import RestConnection

_REFUSED = {Refusal.UNAUTHENTICATED: 401, Refusal.FORBIDDEN: 403, Refusal.TOO_MANY: 429}
_OWN_PATHS = "/gateway/"
# Bytes of a body that wait for the upstream; then the client waits.
_MAX_WAITING_BYTES = 256 * 1024
# Requests up to this size are kept, so that they can be asked again on a new connection where the
# upstream closed the old one at the same moment.
_MAX_RETRY_BYTES = 64 * 1024
_VERSION = VERSION_HEADER.encode()

_target_of = functools.lru_cache(maxsize=1024)(target_of)


class RestExchange:
    """A request and its answer.

    Attributes:
        url: Path and query, as the client wrote them.
        complete: Whether the whole request came.
        keeps_alive: Whether the client's connection serves on after the answer.
    """

    # Set on the class: of some thirty a request changes a few, and setting all is felt.
    complete = False
    keeps_alive = True
    url = b""
    _length: int | None = None
    _chunked = _expects = _old_client = False
    _authorization = _encoding = b""
    _method = "GET"
    _local: bytes | None = None
    _local_body = b""
    _outcome = count.OK
    _begun = _over = _in_trailers = False
    # The way there.
    _waiting_bytes = _body_bytes = _sent_bytes = 0
    _connection: "RestConnection | None" = None
    _connecting = _retried = False
    _target, _route = RestTarget(), Route()
    _identity: Identity | None = None
    _capture: Capture | None = None
    # The way back.
    _parser: Any = None
    _status, _reason = 0, b""
    _answer_encoding = b""
    _answer_version = 0
    _has_id = _head_sent = _answer_sized = _answer_chunked = _rechunk = False

    def __init__(self, client: "RestClient") -> None:
        """Begins."""
        self._client, self._gate = client, client.gate
        self._started = time.perf_counter()
        self._last = client.last
        self._headers: list[bytes] = []
        self._given: dict[bytes, bytes] = {}
        self._waiting: list[bytes] = []
        self._sent: list[bytes] | None = []
        self._out: list[bytes] = []
        self._answer_headers: list[bytes] = []

    @property
    def wants_pause(self) -> bool:
        """Whether the client is to send no more for now."""
        if self._over:
            return False
        held = self._connection is not None and self._connection.paused
        return held or self._waiting_bytes > _MAX_WAITING_BYTES

    # The request, as the client's parser finds it.

    def add_header(self, lower: bytes, name: bytes, value: bytes) -> None:
        """Takes a header, or a trailer of a chunked body."""
        if b"\r" in value or b"\n" in value:
            # Folded over lines (obs-fold, RFC 9112, 5.2): one line for the upstream, so that no
            # header hides in it.
            value = b" ".join(value.split())
        if self._in_trailers:
            if lower not in HOP_BY_HOP and lower != b"content-length":
                self._headers.append(name + b": " + value + b"\r\n")
            return
        if lower in HOP_BY_HOP:
            if lower == b"transfer-encoding":
                self._chunked = True
            elif lower == b"expect":
                self._expects = True
            return
        if lower in IDENTITY:
            self._given[lower] = value
            if lower == REQUEST_ID:
                return  # Written anew, once.
        elif lower == b"authorization":
            self._authorization = value
            if self._gate.takes_tokens:
                return  # It is for this gateway, and no other server is to read it.
        elif lower == b"content-length":
            # httptools refused what is no number, or differs, before.
            self._length = int(value) if value.isdigit() else None
        elif lower == b"content-encoding":
            self._encoding = value
        self._headers.append(name + b": " + value + b"\r\n")

    def head_complete(self, method: bytes, version: str, keeps_alive: bool) -> None:
        """Refuses the request, or prepares what is sent on."""
        self._method = method.decode("ascii", "replace")
        # HTTP/1.0 knows neither chunks nor 100 Continue.
        self._old_client = version == "1.0"
        self.keeps_alive = keeps_alive
        self._in_trailers = True
        path = self.url.decode("latin-1")
        try:
            if path.startswith(_OWN_PATHS):
                self._answer_itself(path)
                return
            if not path.startswith("/"):
                raise DataError("Expected a path that begins with '/'.")
            self._admit(path)
        except AccessRefused as error:
            code = _REFUSED[error.refusal]
            # 401 has to name a scheme (RFC 9110, 15.5.2); rates are counted in seconds.
            extra = {401: "www-authenticate: Bearer\r\n", 429: "retry-after: 1\r\n"}.get(code, "")
            self._refuse(code, str(error), count.REFUSED, extra)
        except DataError as error:
            self._refuse(400, str(error), count.CLIENT_ERROR)
        else:
            self._headers = []  # Trailers follow, if anything.

    def _admit(self, path: str) -> None:
        gate = self._gate
        target = self._target = _target_of(path)
        gate.admit(self._authorization, self._client.address, target.administers)
        limit = gate.limits.max_request_bytes
        if self._length is not None and self._length > limit:
            self._too_large(limit)
            return
        identity = None
        if target.predicts and self._method == "POST":
            identity = self._identity = gate.identify(self._given)
        if not gate.begin(REST):
            self._refuse(
                429, "Too many requests at once: try again.", count.OVERLOADED, "retry-after: 1\r\n"
            )
            return
        self._begun = True
        table = gate.routing()
        if target.model and table.draws():
            key = identity.routing_key if identity else ""
            self._route = table.route(
                target.model, target.version, target.label, lambda: key, identity is not None
            )
            if self._route.changed:
                path = target.path(self._route.version, self._route.label)
        if identity is not None:
            gate.routed(REST, self._route)
            self._capture = gate.capture(identity, REST)
        self._head(path)

    def _head(self, path: str) -> None:
        if self._identity is not None:
            self._headers.append(b"x-request-id: %s\r\n" % self._identity.request_id.encode())
        elif REQUEST_ID in self._given:
            self._headers.append(b"x-request-id: %s\r\n" % self._given[REQUEST_ID])
        if self._chunked:
            self._headers.append(b"transfer-encoding: chunked\r\n")
        first = f"{self._method} {path} HTTP/1.1\r\n".encode("latin-1")
        self._waiting = [first, *self._headers, b"\r\n"]
        if self._expects and not self._old_client:
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def add_body(self, body: bytes) -> None:
        """Takes a piece of the body."""
        self._body_bytes += len(body)
        if self._over or self._local is not None:
            return
        limit = self._gate.limits.max_request_bytes
        if self._body_bytes > limit:
            self._too_large(limit)
            return
        if self._capture is not None:
            self._gate.keep(self._capture, self._capture.request, body)
        self._waiting_bytes += len(body)
        if self._chunked:
            self._waiting += (b"%x\r\n" % len(body), body, b"\r\n")
        else:
            self._waiting.append(body)

    def request_complete(self) -> None:
        """Ends the body."""
        self.complete = True
        if self._chunked and self._local is None:
            self._waiting += (b"0\r\n", *self._headers, b"\r\n")

    # The way to the upstream.

    def pump(self) -> None:
        """Sends on what came since the last call; this is the first request of its connection."""
        if self._over:
            return
        if self._local is not None:
            self._answer_local()
            return
        connection = self._connection
        if connection is None:
            if not self._connecting:
                self._find_connection()
            return
        if self._waiting:
            self._send(connection)

    def _find_connection(self) -> None:
        upstream = self._client.upstreams[self._route.upstream]
        # A retry is on a new connection: others of the same age may be closed, too.
        connection = None if self._retried else upstream.take()
        if connection is not None:
            self._attach(connection)
            return
        self._connecting = True
        task = self._gate.loop.create_task(upstream.connect())
        task.add_done_callback(self._connected)

    def _connected(self, task: Any) -> None:
        self._connecting = False
        error = task.exception()
        if error is not None:
            if not self._over:
                name = self._client.upstreams[self._route.upstream].address.name
                self.give_up(502, f"The upstream {name} cannot be reached: {error}.", "unavailable")
            return
        if self._over:
            # The client left meanwhile; the next one can have it.
            self._client.upstreams[self._route.upstream].put_back(task.result())
            return
        self._attach(task.result())
        self._client.pump()

    def _attach(self, connection: "RestConnection") -> None:
        connection.exchange = self
        self._connection = connection
        self._parser = httptools.HttpResponseParser(self)
        self._send(connection)

    def _send(self, connection: "RestConnection") -> None:
        data = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._last = self._gate.loop.time()
        if self._sent is not None:
            self._sent_bytes += len(data)
            if self._sent_bytes > _MAX_RETRY_BYTES:
                self._sent = None
            else:
                self._sent.append(data)
        connection.write(data)

    def upstream_paused(self) -> None:
        """Has the client wait."""
        self._client.pump()

    def upstream_resumed(self) -> None:
        """Has the client go on."""
        self._client.pump()

    # The way back.

    def upstream_data(self, data: bytes) -> None:
        """Parses a part of the answer, and sends it on."""
        self._last = self._gate.loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._upstream_broke(f"The upstream's answer is no HTTP: {error}.")
            return
        if self._out and not self._over:
            self._write_out()

    def upstream_lost(self, error: Exception | None) -> None:
        """Ends an answer that ends with its connection; any other one is broken."""
        connection, self._connection = self._connection, None
        if self._over:
            return
        if self._head_sent or self._out:
            # Neither a length nor chunks: the end of the connection is the end of the body (RFC
            # 9112, 6.3).
            if error is None and self._rechunk and not self._answer_chunked:
                self.on_message_complete()
            else:
                self._upstream_broke("The upstream ended its answer in the middle.")
            return
        # A used connection may have been closed by the upstream as idle while the request was on
        # its way: it was not answered, so it is asked once more. A new one that closes has seen the
        # request.
        fresh = connection is None or not connection.reused
        if fresh or self._retried or self._sent is None or not self.complete:
            self.give_up(
                502, "The upstream closed the connection without an answer.", count.UNAVAILABLE
            )
            return
        self._retried = True
        self._waiting = [*self._sent, *self._waiting]
        self._sent, self._sent_bytes = [], 0
        self._find_connection()

    def client_paused(self) -> None:
        """Has the upstream wait."""
        if self._connection is not None:
            self._connection.pause_reading()

    def client_resumed(self) -> None:
        """Has it go on."""
        if self._connection is not None:
            self._connection.resume_reading()

    def on_status(self, reason: bytes) -> None:
        """The words behind the answer's code."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer, or a trailer."""
        lower = name.lower()
        if self._head_sent or lower in HOP_BY_HOP:
            if lower == b"transfer-encoding":
                self._answer_chunked = True
            return
        if lower == REQUEST_ID:
            self._has_id = True
        elif lower == b"content-length":
            self._answer_sized = True
        elif lower == b"content-encoding":
            self._answer_encoding = value
        elif lower == _VERSION and value.isdigit():
            # As many digits as an int64 has.
            self._answer_version = int(value[:19])
        self._answer_headers.append(name + b": " + value + b"\r\n")

    def on_headers_complete(self) -> None:
        """Makes the head of the answer."""
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        headers = self._answer_headers
        if self._identity is not None and not self._has_id:
            headers.append(b"x-request-id: %s\r\n" % self._identity.request_id.encode())
        # Such answers have no body, whatever their headers say (RFC 9110, 6.4.1).
        bodiless = self._method == "HEAD" or self._status in (204, 304)
        self._rechunk = not (self._answer_sized or bodiless)
        if self._rechunk:
            if self._old_client:
                self.keeps_alive = False
            else:
                headers.append(b"transfer-encoding: chunked\r\n")
        # An answer before the end of the request, a refusal as a rule: what is left of the body
        # would be read as the next request.
        if not self.complete or self._gate.draining:
            self.keeps_alive = False
        headers.append(self._connection_header())
        first = b"HTTP/1.1 %d %s\r\n" % (self._status, self._reason)
        self._out = [first, *headers, b"\r\n"]
        # httptools cannot know that the answer to HEAD has no body, and would wait for it. The
        # upstream's connection is not used again, as its parser is still in the middle.
        if self._method == "HEAD":
            self._finish(reusable=False)

    def on_body(self, body: bytes) -> None:
        """A piece of the answer."""
        if self._over:
            return
        if self._capture is not None and self._status == 200:
            self._gate.keep(self._capture, self._capture.response, body)
        if self._rechunk and not self._old_client:
            self._out += (b"%x\r\n" % len(body), body, b"\r\n")
        else:
            self._out.append(body)

    def on_message_complete(self) -> None:
        """Ends the answer; one of a 1xx code goes before the real one."""
        if self._status < 200:
            self._reason, self._answer_headers = b"", []
            return
        if self._over:
            return
        if self._rechunk and not self._old_client:
            self._out.append(b"0\r\n\r\n")
        self._finish(
            reusable=self.complete and not self._waiting and self._parser.should_keep_alive()
        )

    def _finish(self, *, reusable: bool) -> None:
        """Logs the call, then sends the rest of the answer."""
        self._over = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.done(reusable=reusable)
        capture, identity = self._capture, self._identity
        if self._status >= 500:
            self._outcome = count.UPSTREAM_ERROR
        elif self._status >= 400:
            self._outcome = count.CLIENT_ERROR
        if capture is None or identity is None or self._status != 200 or not self.complete:
            self._complete_answer()
            return
        self._capture = None
        self._gate.log_call(
            capture,
            identity,
            protocol=REST,
            target=self.url.decode("latin-1"),
            model_version=self._answer_version or self._route.version or self._target.version or 0,
            started=self._started,
            route=self._route,
            encodings=(self._encoding.decode("latin-1"), self._answer_encoding.decode("latin-1")),
            answer=self._complete_answer,
        )

    def _complete_answer(self) -> None:
        self._write_out()
        self._end()
        self._client.answered(self)

    def _write_out(self) -> None:
        if self._out:
            self._client.write(b"".join(self._out))
            self._out, self._head_sent = [], True

    # Ends without an answer of the upstream.

    def client_lost(self) -> None:
        """Cancels the request: nobody waits for its answer."""
        if not self._over:
            self._outcome = count.CANCELLED
            self._over = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self._end()

    def sweep(self, now: float) -> None:
        """Gives up an upstream that makes no progress."""
        seconds = self._gate.limits.timeout_seconds
        if self._begun and not self._over and now - self._last > seconds:
            self.give_up(504, f"The upstream sent nothing for {seconds:g} s.", count.DEADLINE)

    def give_up(self, code: int, message: str, outcome: str) -> None:
        """Answers instead of the upstream; an answer that has begun is cut."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        # A second answer cannot follow half of one; only a connection that breaks tells the client.
        if self._head_sent:
            self._outcome, self._over = outcome, True
            self._end()
            self._client.abort()
            return
        self._out = []
        self._refuse(code, message, outcome)
        self._answer_local()

    def _upstream_broke(self, message: str) -> None:
        self.give_up(502, message, count.UPSTREAM_ERROR)

    def _too_large(self, limit: int) -> None:
        self._refuse(
            413,
            f"The request body is over the limit of {limit} bytes. Send fewer rows at a time.",
            count.TOO_LARGE,
        )
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _refuse(self, code: int, message: str, outcome: str, extra: str = "") -> None:
        self._outcome = outcome
        self._waiting = []
        self._set_local(code, json.dumps({"error": message}).encode(), "application/json", extra)

    def _set_local(self, code: int, body: bytes, kind: str, extra: str = "") -> None:
        known = (
            f"x-request-id: {self._identity.request_id}\r\n" if self._identity is not None else ""
        )
        # The header `connection` is still missing: it depends on whether the request is complete by
        # then.
        self._local = answer_head(code, kind, len(body), f"{known}{extra}")
        self._local_body = b"" if self._method == "HEAD" else body

    def _answer_local(self) -> None:
        assert self._local is not None
        self._over = True
        if not self.complete:
            self.keeps_alive = False
        self._client.write(self._local + self._connection_header() + b"\r\n" + self._local_body)
        self._end()
        self._client.answered(self)

    def _answer_itself(self, path: str) -> None:
        answer = self._gate.own_answer(path) if self._method in ("GET", "HEAD") else None
        if answer is None:
            self._refuse(404, f"Not found: {self._method} {path[:200]}", count.CLIENT_ERROR)
            return
        code, body, kind = answer
        self._outcome = ""
        self._set_local(code, body, kind)

    def _connection_header(self) -> bytes:
        if not self.keeps_alive:
            return b"connection: close\r\n"
        return b"connection: keep-alive\r\n" if self._old_client else b""

    def _end(self) -> None:
        """Counts the request, once."""
        if self._capture is not None:
            self._gate.release(self._capture)
            self._capture = None
        if self._begun:
            self._begun = False
            self._gate.end(REST, self._outcome, self._started)
        elif self._outcome:
            self._gate.refuse(REST, self._outcome)
        self._outcome = ""
