"""One gRPC call on its way: frames to its upstream and back, logged before its trailers leave."""

import functools
import time
from typing import TYPE_CHECKING

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.raw_calls import GRPC
from tfx_loop.deployment.gateway import counters as count
from tfx_loop.deployment.gateway.gate import REQUEST_ID, Capture, Identity
from tfx_loop.deployment.gateway.grpc_heads import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    AnswerHead,
    RequestHead,
    is_client_error,
    read_answer,
    read_head,
)
from tfx_loop.deployment.gateway.model_spec import read_model_spec, with_version
from tfx_loop.deployment.gateway.routes import Route
from tfx_loop.deployment.server_access.access import AccessRefused, Refusal
from tfx_loop.deployment.server_access.grpc_wire import (
    PREFIX_BYTES,
    message_frame,
    percent_encoded,
)
from tfx_loop.deployment.server_access.http2_frames import (
    CALM,
    CANCEL,
    NO_ERROR,
    REFUSED_STREAM,
    Headers,
    encode_headers,
)
from tfx_loop.deployment.server_access.http2_stream import Half

if TYPE_CHECKING:
    from tfx_loop.deployment.gateway.grpc_client import GrpcClient
    from tfx_loop.deployment.gateway.grpc_upstream import GrpcUpstream, GrpcUpstreamConnection

_REFUSED = {
    Refusal.UNAUTHENTICATED: UNAUTHENTICATED,
    Refusal.FORBIDDEN: PERMISSION_DENIED,
    Refusal.TOO_MANY: RESOURCE_EXHAUSTED,
}
# Codes with which an upstream resets a stream, as gRPC over HTTP/2 maps them; others are INTERNAL.
_RESET = {REFUSED_STREAM: UNAVAILABLE, CANCEL: CANCELLED, CALM: RESOURCE_EXHAUSTED}
_ADMIN = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
# The client's own clock ends a call first; this only ends those whose client is gone unnoticed.
_LATE_SECONDS = 0.5
# HPACK: a literal field that is not indexed, its name of 12 bytes as it is (RFC 7541, 6.2.2). The
# id is new in each call, so that a block with it cannot be shared.
_ID_FIELD = b"\x00\x0cx-request-id"


class GrpcCall:
    """A call, between a stream of a client and one of an upstream."""

    __slots__ = (
        "_answer",
        "_begun",
        "_capture",
        "_client",
        "_counted",
        "_deadline",
        "_done",
        "_first",
        "_gate",
        "_head",
        "_headers_sent",
        "_identity",
        "_last",
        "_left",
        "_pending",
        "_pending_end",
        "_prefix",
        "_route",
        "_started",
        "_up",
        "_upstream",
        "down",
    )

    def __init__(self, client: "GrpcClient", stream: int) -> None:
        """Begins with a stream of a client."""
        self._client, self._gate = client, client.gate
        self.down = Half(client, stream, self)
        self._up: Half | None = None
        self._upstream: GrpcUpstream | None = None
        self._started = time.perf_counter()
        self._last = self._gate.loop.time()
        self._deadline = 0.0
        self._head: RequestHead | None = None
        self._identity: Identity | None = None
        self._capture: Capture | None = None
        self._route = Route()
        self._answer: AnswerHead | None = None
        self._pending: list[bytes] = []
        self._first: bytearray | None = None
        self._pending_end = self._begun = self._done = False
        self._headers_sent = self._counted = False
        # Of the message that comes: what is missing, and of its prefix what came.
        self._left, self._prefix = 0, b""

    # From the client.

    def begin(self, headers: Headers, end: bool) -> None:
        """Refuses the call, or sends its head on."""
        gate = self._gate
        try:
            head = self._head = read_head(headers)
            gate.admit(head.authorization[0], self._client.address, head.path == _ADMIN)
            if head.predicts:
                self._identity = gate.identify(head.given)
        except AccessRefused as error:
            self.refuse(_REFUSED[error.refusal], str(error), count.REFUSED)
            return
        except DataError as error:
            self.refuse(INVALID_ARGUMENT, str(error), count.CLIENT_ERROR)
            return
        if not gate.begin(GRPC):
            message = "Too many requests at once: try again."
            self.refuse(RESOURCE_EXHAUSTED, message, count.OVERLOADED)
            return
        self._begun = True
        # Half a second behind the client's own clock, which began before the request was on its
        # way.
        if head.timeout_seconds:
            self._deadline = self._last + head.timeout_seconds + _LATE_SECONDS
        if self._identity is not None:
            self._capture = gate.capture(self._identity, GRPC)
        if end:
            self._pending_end = True
        # Only where a canary or a label may change the route does the first message wait to be
        # read.
        elif head.routed and gate.routing().draws():
            self._first = bytearray()
            return
        self._find_upstream()

    def client_data(self, data: bytes, end: bool) -> None:
        """Sends data on, or keeps it until it is known where to."""
        if self._done:
            self.down.grant(len(data))
            return
        self._last = self._gate.loop.time()
        if not self._within_limit(data):
            limit = self._gate.limits.max_request_bytes
            message = f"The message is over the limit of {limit} bytes. Send fewer rows at a time."
            self.give_up(RESOURCE_EXHAUSTED, message, count.TOO_LARGE)
            return
        if self._first is not None:
            self._first += data
            self.down.grant(len(data))
            if end or (self._left == 0 and not self._prefix):
                self._pending_end = end
                self._draw(bytes(self._first))
            return
        if self._capture is not None:
            self._gate.keep(self._capture, self._capture.request, data)
        if self._up is not None:
            self._up.send_data(data, end)
        else:
            self._pending.append(data)
            self._pending_end = end

    def client_trailers(self) -> None:
        """Ends a request that ends with headers, which gRPC's clients never send."""
        self.client_data(b"", True)

    def client_lost(self) -> None:
        """Cancels the call: nobody waits for its answer."""
        if self._up is not None:
            self._up.reset(CANCEL)
        self._end(count.CANCELLED)

    def _within_limit(self, data: bytes) -> bool:
        """Follows the messages of a request; says whether the one that comes is small enough."""
        start, size = 0, len(data)
        while start < size:
            if self._left:
                step = min(self._left, size - start)
                self._left -= step
                start += step
                continue
            missing = PREFIX_BYTES - len(self._prefix)
            self._prefix += data[start : start + missing]
            start += missing
            if len(self._prefix) == PREFIX_BYTES:
                self._left, self._prefix = int.from_bytes(self._prefix[1:], "big"), b""
                if self._left > self._gate.limits.max_request_bytes:
                    return False
        return True

    def _draw(self, message: bytes) -> None:
        """Decides where a request goes, by its ModelSpec."""
        assert self._head is not None
        self._first = None
        # What is compressed, or no message of this kind, goes where it would go without a canary.
        whole = len(message) == PREFIX_BYTES + int.from_bytes(message[1:PREFIX_BYTES], "big")
        if message[:1] == b"\x00" and whole:
            try:
                spec = read_model_spec(message[PREFIX_BYTES:])
            except DataError:
                spec = None
            if spec is not None and spec.name:
                identity = self._identity
                key = identity.routing_key if identity else ""
                route = self._gate.routing().route(
                    spec.name, spec.version, spec.label, lambda: key, identity is not None
                )
                self._route = route
                if route.changed:
                    body = with_version(message[PREFIX_BYTES:], spec, route.version, route.label)
                    message = message_frame(body)
        self._pending = [message]
        if self._capture is not None:
            self._gate.keep(self._capture, self._capture.request, message)
        self._find_upstream()

    # To the upstream.

    def _find_upstream(self) -> None:
        if self._identity is not None:
            self._gate.routed(GRPC, self._route)
        self._upstream = self._client.upstreams[self._route.upstream]
        self._upstream.attach(self)

    def attach(self, connection: "GrpcUpstreamConnection") -> None:
        """Sends what came so far on a connection that has room."""
        if self._done:
            return
        assert self._head is not None
        block = self._head.block
        if not self._gate.takes_tokens:
            # A token of this gateway is for no other server.
            block += self._head.authorization[1]
        if self._identity is not None:
            block += _id_field(self._identity.request_id)
        elif REQUEST_ID in self._head.given:
            block += encode_headers(((REQUEST_ID, self._head.given[REQUEST_ID]),))
        up = self._up = connection.open(self)
        pending, self._pending = self._pending, []
        up.send_headers(block, self._pending_end and not pending)
        for i, piece in enumerate(pending):
            up.send_data(piece, self._pending_end and i == len(pending) - 1)

    def unreachable(self, message: str) -> None:
        """Answers that the upstream cannot be reached."""
        self.give_up(UNAVAILABLE, message, count.UNAVAILABLE)

    # From the upstream.

    def upstream_headers(self, headers: Headers, end: bool) -> None:
        """Sends the head of the answer on, or ends it with its trailers."""
        if self._done:
            return
        self._last = self._gate.loop.time()
        answer = read_answer(headers)
        if not end:
            self._answer = answer
            self._send_head(answer, end=False)
            return
        up = self._up
        assert up is not None
        if up.sent_all:
            up.close()
        else:
            up.reset(NO_ERROR)
        self._done = True
        if not self._headers_sent:
            # Trailers alone: an error, as a rule.
            self._answer = answer
        self._finish(answer)

    def upstream_data(self, data: bytes, end: bool) -> None:
        """Sends data of the answer on."""
        if self._done:
            return
        self._last = self._gate.loop.time()
        if self._capture is not None:
            self._gate.keep(self._capture, self._capture.response, data)
        if end:
            # No gRPC: an answer without trailers.
            self._done = True
            if self._up is not None:
                self._up.close()
        self.down.send_data(data, end)

    def upstream_lost(self, code: int, message: str) -> None:
        """Ends the call in the place of an upstream that reset it or is gone."""
        if not self._done:
            status = UNAVAILABLE if message else _RESET.get(code, INTERNAL)
            outcome = count.UNAVAILABLE if message else count.UPSTREAM_ERROR
            message = message or f"The upstream reset the stream with HTTP/2's code {code}."
            self.give_up(status, message, outcome)

    def _finish(self, trailers: AnswerHead) -> None:
        """Logs the call, then sends its trailers."""
        capture, identity, head = self._capture, self._identity, self._head
        assert head is not None
        if capture is None or identity is None or trailers.status != b"0" or not self._answer:
            self._send_trailers(trailers)
            return
        self._capture = None
        self._gate.log_call(
            capture,
            identity,
            protocol=GRPC,
            target=head.path,
            model_version=self._answer.version or self._route.version or 0,
            started=self._started,
            route=self._route,
            encodings=(head.encoding, self._answer.encoding),
            answer=functools.partial(self._send_trailers, trailers),
        )

    def _send_trailers(self, trailers: AnswerHead) -> None:
        if not self._headers_sent:
            self._send_head(trailers, end=True)
        else:
            self.down.send_headers(trailers.block, True)

    def _send_head(self, answer: AnswerHead, *, end: bool) -> None:
        block = answer.block
        if self._identity is not None and not answer.has_id:
            block += _id_field(self._identity.request_id)
        self._headers_sent = True
        self.down.send_headers(block, end)

    def answer_sent(self) -> None:
        """Ends the call: its last frame is on the way to the client."""
        answer, outcome = self._answer, count.OK
        if answer is not None and answer.status not in (b"", b"0"):
            outcome = (
                count.CLIENT_ERROR if is_client_error(answer.status) else (count.UPSTREAM_ERROR)
            )
        if self.down.received_all:
            self.down.close()
        else:
            self.down.reset(NO_ERROR)
        self._end(outcome)

    # Credit, and the end.

    def left(self, half: Half, size: int) -> None:
        """Lets one side send as much as the other side took."""
        self._last = self._gate.loop.time()
        other = self._up if half is self.down else self.down
        if other is not None and not other.closed:
            other.grant(size)

    def sweep(self, now: float) -> None:
        """Gives up a call whose deadline is over, or that makes no progress."""
        if self._done:
            return
        seconds = self._gate.limits.timeout_seconds
        if self._deadline and now > self._deadline:
            self.give_up(DEADLINE_EXCEEDED, "The deadline is over.", count.DEADLINE)
        elif now - self._last > seconds:
            message = f"Nothing was sent for {seconds:g} s."
            self.give_up(DEADLINE_EXCEEDED, message, count.DEADLINE)

    def give_up(self, status: int, message: str, outcome: str) -> None:
        """Answers instead of the upstream."""
        if self._up is not None:
            self._up.reset(CANCEL)
        if not self._done:
            self.refuse(status, message, outcome)

    def refuse(self, status: int, message: str, outcome: str) -> None:
        """Answers with a status of gRPC alone."""
        self._done = True
        self._end(outcome)
        fields = [(b"grpc-status", b"%d" % status), (b"grpc-message", percent_encoded(message))]
        if not self._headers_sent:
            fields[:0] = [(b":status", b"200"), (b"content-type", b"application/grpc")]
            if self._identity is not None:
                fields.append((REQUEST_ID, self._identity.request_id.encode()))
        self._headers_sent = True
        self.down.send_headers(encode_headers(tuple(fields)), True)

    def _end(self, outcome: str) -> None:
        """Counts the call, once."""
        self._done = True
        self._pending = []
        if self._capture is not None:
            self._gate.release(self._capture)
            self._capture = None
        if self._begun:
            self._begun = False
            self._gate.end(GRPC, outcome, self._started)
        elif not self._counted:
            self._gate.refuse(GRPC, outcome)
        self._counted = True


def _id_field(request_id: str) -> bytes:
    value = request_id.encode()
    if len(value) < 127:
        return _ID_FIELD + bytes((len(value),)) + value
    return encode_headers(((REQUEST_ID, value),))
