"""gRPC over one HTTP/2 connection: unary calls in, their answers out.

Python's grpcio takes half a millisecond a call and a thread that waits. Here calls are frames of
the event loop: predictions wait in the engine, status answers at once, and a call whose client has
left, or whose deadline is over, is taken back as far as it has not begun.
"""

import functools
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import grpc
from google.protobuf.message import DecodeError

from tfx_loop.deployment.model_server.engine import PredictionJob, Steps
from tfx_loop.deployment.server_access.grpc_wire import (
    PREFIX_BYTES,
    message_frame,
    percent_encoded,
    timeout_seconds,
)
from tfx_loop.deployment.server_access.headers import TRACEPARENT_HEADER
from tfx_loop.deployment.server_access.http2_frames import (
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Headers,
    Http2Error,
    encode_headers,
)
from tfx_loop.deployment.server_access.http2_server import MAX_STREAMS, Http2ServerConnection
from tfx_loop.deployment.server_access.http2_stream import Half

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.grpc_server import GrpcServer
    from tfx_loop.deployment.model_server.tracing import RequestSpan

_HEAD = encode_headers(((b":status", b"200"), (b"content-type", b"application/grpc")))
_OK = encode_headers(((b"grpc-status", b"0"),))
# zlib's windows: a gzip header, or a zlib header.
_WINDOWS = {"gzip": 31, "deflate": 15}


class CallAborted(Exception):
    """The handler ended a call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Metadatum(NamedTuple):
    """One entry of a call's metadata, as grpcio's handlers see it."""

    key: str
    value: str


class GrpcConnection(Http2ServerConnection):
    """A connection of a client; lives on the event loop alone.

    Attributes:
        server: What it belongs to.
        address: The client's.
    """

    def __init__(self, server: "GrpcServer") -> None:
        """Is not connected yet."""
        super().__init__(server.loop)
        self.server = server
        self.address = ""

    @property
    def deadline(self) -> float:
        """When the server closes it, on the loop's clock."""
        limits = self.server.limits
        if self.write_paused or self.is_incomplete:
            return self.last + limits.request_seconds
        if any(not half.received_all for half in self.halves.values()):
            return self.last + limits.request_seconds
        return float("inf") if self.halves else self.last + limits.idle_seconds

    def connection_made(self, transport: Any) -> None:
        """Says what is taken."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else "unix"
        self.greet(MAX_STREAMS)
        self.server.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Takes back what was asked and has not begun."""
        self.server.closed(self)
        super().connection_lost(error)

    def headers_came(self, stream: int, half: Half | None, headers: Headers, end: bool) -> None:
        """Begins a call."""
        if half is not None:
            if not end:
                raise Http2Error(PROTOCOL_ERROR, "headers in the middle of a stream")
            half.owner.came(b"", end=True)
            return
        taken = self.takes_stream(stream)
        call = ServerCall(self, stream)
        if not taken:
            call.half.reset(REFUSED_STREAM)
            return
        self.halves[stream] = call.half
        call.half.received_all = end
        call.begin(headers)
        if end:
            call.came(b"", end=True)

    def data_came(self, half: Half, data: bytes, end: bool) -> None:
        """Takes a part of a message."""
        half.grant(len(data))
        half.owner.came(data, end=end)

    def all_sent(self, half: Half) -> None:
        """Ends a call that is answered."""
        if half.received_all:
            half.close()
        else:
            half.reset(NO_ERROR)
        self.close_if_drained()

    def half_lost(self, half: Half, code: int) -> None:
        """Takes back a call."""
        half.owner.lost()
        self.count_reset()

    def expire(self) -> None:
        """Closes it: what it waits for did not come in time."""
        if self.halves or not self._greeted:
            self.abort()
        else:
            self.close_when_done()


class ServerCall:
    """A call, and what grpcio's handlers know as its context.

    Attributes:
        half: Its stream.
        path: `/package.Service/Method`.
        started: When it came, on the clock of `time.perf_counter`.
        deadline: When the client waits no longer, on that clock.
        received: Bytes of its message so far.
        sent: What is sent before the answer.
        traceparent: The trace that it belongs to; empty for none.
        span: Of that trace, where spans are made.
    """

    __slots__ = (
        "_body", "_code", "_connection", "_done", "_encoding", "_job", "_metadata", "_steps",
        "deadline", "half", "path", "received", "sent", "span", "started", "traceparent",
    )  # fmt: skip

    def __init__(self, connection: GrpcConnection, stream: int) -> None:
        """Begins with a stream."""
        self.half = Half(connection, stream, self)
        self._connection = connection
        self.started = time.perf_counter()
        self.deadline = float("inf")
        self._body: list[bytes] = []
        self.received = 0
        self.path = self._encoding = self.traceparent = ""
        self.span: RequestSpan | None = None
        self._metadata: Sequence[Metadatum] = ()
        self.sent: list[tuple[str, str]] = []
        self._job: PredictionJob | None = None
        self._steps: Steps[Any] | None = None
        self._done = False
        self._code: grpc.StatusCode | None = None

    # From the connection.

    def begin(self, headers: Headers) -> None:
        """Reads the headers, and refuses what is not to be answered."""
        given, self._metadata = _read(headers)
        self.path, self._encoding = given.get(":path", ""), given.get("grpc-encoding", "")
        if (seconds := timeout_seconds(given.get("grpc-timeout", ""))) is not None:
            self.deadline = self.started + seconds
        if traceparent := self._connection.server.begin_span(self, given):
            given = {**given, TRACEPARENT_HEADER: traceparent}
            self._metadata = _metadata_of(given)
        self.traceparent = given.get(TRACEPARENT_HEADER, "")
        authorization = given.get("authorization", "")
        try:
            self._connection.server.admit(authorization, self._connection.address, self.path)
        except CallAborted as error:
            self._refuse(error.code, error.details)

    def came(self, data: bytes, *, end: bool) -> None:
        """Takes a part of the message, and answers when it is whole."""
        if self._done:
            return
        self.received += len(data)
        self._body.append(data)
        limit = self._connection.server.limits.body_bytes
        if self.received > limit + PREFIX_BYTES:
            self._refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, _too_large(self.received, limit))
        elif end:
            try:
                self._answer(self._message(b"".join(self._body), limit))
            except CallAborted as error:
                self._refuse(error.code, error.details)

    def lost(self) -> None:
        """Takes the prediction back, if it has not begun."""
        if self._done:
            return
        self._done = True
        self._code = grpc.StatusCode.CANCELLED
        if self._job is not None:
            self._job.cancelled = True
        self._connection.server.finished(self, self._code.name)

    # What handlers ask of a context.

    def invocation_metadata(self) -> Sequence[Metadatum]:
        """Returns what the client sent beside the message."""
        return self._metadata

    def send_initial_metadata(self, metadata: Sequence[tuple[str, str]]) -> None:
        """Keeps what is sent before the answer."""
        self.sent.extend(metadata)

    def peer(self) -> str:
        """Returns the client's address."""
        return self._connection.address

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """Ends the call with a status."""
        self._code = code
        raise CallAborted(code, details)

    def code(self) -> grpc.StatusCode | None:
        """Returns the status that the handler ended the call with; None for an answer."""
        return self._code

    # Answering.

    def _message(self, body: bytes, limit: int) -> bytes:
        """Returns the one message of the call, decompressed."""
        length = int.from_bytes(body[1:PREFIX_BYTES], "big")
        if len(body) < PREFIX_BYTES or len(body) != length + PREFIX_BYTES:
            self.abort(grpc.StatusCode.INTERNAL, "Expected one whole message of gRPC.")
        if not body[0]:
            return body[PREFIX_BYTES:]
        window = _WINDOWS.get(self._encoding)
        if window is None:
            self.abort(grpc.StatusCode.UNIMPLEMENTED, f"No compression {self._encoding!r} here.")
        try:
            inflate = zlib.decompressobj(wbits=window)
            # One byte over the limit tells that there is more, and no bomb is unpacked.
            message = inflate.decompress(body[PREFIX_BYTES:], limit + 1)
        except zlib.error:
            self.abort(grpc.StatusCode.INTERNAL, "The message is not compressed as it says.")
        if len(message) > limit:
            self.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, _too_large(len(message), limit))
        return message

    def _answer(self, message: bytes) -> None:
        server = self._connection.server
        method = server.methods.get(self.path)
        if method is None:
            self.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        try:
            request = method.request_deserializer(message)
        except DecodeError:
            self.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
        if server.takes_long(self.path, len(message)):
            server.answer_in_thread(method.unary_unary, request, self)
            return
        answer = method.unary_unary(request, self)
        if hasattr(answer, "send"):
            self._steps = answer
            self._advance()
        else:
            self.respond(answer)

    def _advance(self) -> None:
        """Runs the handler to the next prediction that it waits for, or to its end."""
        steps = self._steps
        assert steps is not None
        error: Exception | None = None
        while True:
            try:
                job = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as stop:
                self.respond(stop.value)
                return
            job.deadline = self.deadline
            # A refusal goes into the handler as an exception, whose own code answers it.
            error = self._connection.server.start_job(job, self._resume)
            if error is not None:
                continue
            self._job = job
            return

    def _resume(self, _: PredictionJob) -> None:
        self._job = None
        if self._done:
            if self._steps is not None:
                self._steps.close()
            return
        try:
            self._advance()
        except CallAborted as error:
            self._refuse(error.code, error.details)

    def respond(self, answer: Any) -> None:
        """Sends the answer."""
        if self._done:
            return
        self._done = True
        message = answer.SerializeToString()
        block = _HEAD
        if self.sent:
            block += encode_headers(tuple([(k.encode(), v.encode()) for k, v in self.sent]))
        self.half.send_whole(block, message_frame(message), _OK)
        self._connection.server.finished(self, "OK")

    def end(self, error: CallAborted) -> None:
        """Ends the call with the status of a handler that ran elsewhere."""
        self._refuse(error.code, error.details)

    def _refuse(self, code: grpc.StatusCode, details: str) -> None:
        if self._done:
            return
        self._done = True
        self._body.clear()
        fields = [
            (b"grpc-status", b"%d" % code.value[0]),
            (b"grpc-message", percent_encoded(details)),
        ]
        sent = [(key.encode(), value.encode()) for key, value in self.sent]
        self.half.send_headers(_HEAD + encode_headers((*sent, *fields)), True)
        self._connection.server.finished(self, code.name)


# Calls of a client have a few different heads, as those of one method.
@functools.lru_cache(maxsize=64)
def _read(headers: Headers) -> tuple[Mapping[str, str], Sequence[Metadatum]]:
    """Returns the headers of a call by name, and its metadata."""
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return given, _metadata_of(given)


def _metadata_of(headers: Mapping[str, str]) -> Sequence[Metadatum]:
    return [Metadatum(name, value) for name, value in headers.items() if not name.startswith(":")]


def _too_large(size: int, limit: int) -> str:
    return f"Received message larger than max ({size} vs. {limit}). Send fewer rows at a time."
