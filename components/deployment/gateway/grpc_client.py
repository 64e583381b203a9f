"""The gRPC front: connections of clients over HTTP/2."""

from typing import Any

from tfx_loop.deployment.gateway.counters import OVERLOADED, place
from tfx_loop.deployment.gateway.gate import Gate
from tfx_loop.deployment.gateway.grpc_call import GrpcCall
from tfx_loop.deployment.gateway.grpc_upstream import GrpcUpstream
from tfx_loop.deployment.server_access.http2 import Http2Connection
from tfx_loop.deployment.server_access.http2_frames import (
    CALM,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Headers,
    Http2Error,
)
from tfx_loop.deployment.server_access.http2_stream import Half

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Streams that a client may cancel at once, and how many more each second: whoever opens and resets
# streams without end would have the upstream work for nobody (CVE-2023-44487).
_RESETS, _RESETS_PER_SECOND = 1000.0, 100.0
_MAX_STREAMS = 1024
# Answers to pings and settings that a client does not read.
_MAX_UNREAD_BYTES = 4 * 1024 * 1024


class GrpcClient(Http2Connection):
    """A connection of a client."""

    def __init__(
        self, gate: Gate, upstreams: list[GrpcUpstream], clients: "set[GrpcClient]"
    ) -> None:
        """Is not connected yet.

        Args:
            gate: Shared state.
            upstreams: Where calls go, by the index of a route.
            clients: All connections; this one enters and leaves it.
        """
        super().__init__(gate.loop)
        self.gate, self.upstreams = gate, upstreams
        self.address = ""
        self._clients = clients
        self._greeted = False
        self._last_stream = 0
        self._resets, self._reset_at = _RESETS, self.last
        self._draining = False

    def connection_made(self, transport: Any) -> None:
        """Counts it, and says what is taken."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else "unix"
        self._clients.add(self)
        self.gate.counters.row[place("connections", "grpc")] += 1
        self.greet(_MAX_STREAMS)
        if len(self._clients) > self.gate.limits.max_connections or self.gate.draining:
            self.gate.refuse("grpc", OVERLOADED)
            self.go_away(CALM, 0, "too many connections")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Cancels what was asked and is not answered."""
        self._clients.discard(self)
        self.gate.counters.row[place("connections", "grpc")] -= 1
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Reads the preface, then frames."""
        if not self._greeted:
            data = self._buffer + data
            if data[: len(PREFACE)] != PREFACE[: len(data)]:
                # HTTP/1, or TLS to a plain port: no frame would be understood.
                self.abort()
                return
            if len(data) < len(PREFACE):
                self._buffer = data
                return
            self._greeted, self._buffer, data = True, b"", data[len(PREFACE) :]
        super().data_received(data)
        if self.write_paused and self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self.abort()

    def headers_came(self, stream: int, half: Half | None, headers: Headers, end: bool) -> None:
        """Begins a call."""
        if half is not None:
            if not end:
                raise Http2Error(PROTOCOL_ERROR, "headers in the middle of a stream")
            half.owner.client_trailers()
            return
        # A client's streams are odd and rise (RFC 9113, 5.1.1).
        if stream <= self._last_stream or stream % 2 == 0:
            raise Http2Error(PROTOCOL_ERROR, f"a new stream with the number {stream}")
        self._last_stream = stream
        call = GrpcCall(self, stream)
        if self._draining or len(self.halves) >= _MAX_STREAMS:
            self.gate.refuse("grpc", OVERLOADED)
            call.down.reset(REFUSED_STREAM)
            return
        self.halves[stream] = call.down
        call.down.received_all = end
        call.begin(headers, end)

    def data_came(self, half: Half, data: bytes, end: bool) -> None:
        """Sends data of a call on."""
        half.owner.client_data(data, end)

    def data_left(self, half: Half, size: int) -> None:
        """Lets the upstream send as much more."""
        half.owner.left(half, size)

    def all_sent(self, half: Half) -> None:
        """Ends a call."""
        half.owner.answer_sent()
        if self._draining and not self.halves:
            self.close()

    def half_lost(self, half: Half, code: int) -> None:
        """Cancels a call."""
        half.owner.client_lost()
        now = self.gate.loop.time()
        self._resets += (now - self._reset_at) * _RESETS_PER_SECOND
        self._resets, self._reset_at = min(self._resets, _RESETS) - 1, now
        if self._resets < 0 and not self.closed:
            raise Http2Error(CALM, "too many streams were reset")

    def drain(self) -> None:
        """Takes no more calls, and closes when the last one is answered."""
        if not self._draining and not self.closed:
            self._draining = True
            self.go_away(NO_ERROR, self._last_stream, "the gateway stops")
        if not self.halves:
            self.close()

    def sweep(self, now: float) -> None:
        """Gives up what makes no progress."""
        for half in list(self.halves.values()):
            half.owner.sweep(now)
        limits, waited = self.gate.limits, now - self.last
        if self.write_paused and waited > limits.client_seconds:
            self.abort()
        elif not self._greeted or self._buffer or self._block is not None:
            if waited > limits.client_seconds:
                self.abort()
        elif not self.halves and waited > limits.idle_seconds:
            self.drain()
