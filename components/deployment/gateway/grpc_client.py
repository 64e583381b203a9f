"""The gRPC front: connections of clients over HTTP/2."""

from typing import Any

from tfx_loop.deployment.gateway.counters import OVERLOADED, place
from tfx_loop.deployment.gateway.gate import Gate
from tfx_loop.deployment.gateway.grpc_call import GrpcCall
from tfx_loop.deployment.gateway.grpc_upstream import GrpcUpstream
from tfx_loop.deployment.server_access.http2_frames import (
    CALM,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Headers,
    Http2Error,
)
from tfx_loop.deployment.server_access.http2_server import MAX_STREAMS, Http2ServerConnection
from tfx_loop.deployment.server_access.http2_stream import Half

# Answers to pings and settings that a client does not read.
_MAX_UNREAD_BYTES = 4 * 1024 * 1024


class GrpcClient(Http2ServerConnection):
    """A connection of a client."""

    stop_message = "the gateway stops"

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

    def connection_made(self, transport: Any) -> None:
        """Counts it, and says what is taken."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else "unix"
        self._clients.add(self)
        self.gate.counters.row[place("connections", "grpc")] += 1
        self.greet(MAX_STREAMS)
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
        taken = self.takes_stream(stream)
        call = GrpcCall(self, stream)
        if not taken:
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
        self.close_if_drained()

    def half_lost(self, half: Half, code: int) -> None:
        """Cancels a call."""
        half.owner.client_lost()
        self.count_reset()

    def drain(self) -> None:
        """Takes no more calls, and closes when the last one is answered."""
        self.close_when_done()

    def sweep(self, now: float) -> None:
        """Gives up what makes no progress."""
        for half in list(self.halves.values()):
            half.owner.sweep(now)
        limits, waited = self.gate.limits, now - self.last
        if self.write_paused and waited > limits.client_seconds:
            self.abort()
        elif self.is_incomplete:
            if waited > limits.client_seconds:
                self.abort()
        elif not self.halves and waited > limits.idle_seconds:
            self.drain()
