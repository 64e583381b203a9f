"""Connections to an upstream over HTTP/2, shared by all clients' calls."""

from collections import deque
from typing import TYPE_CHECKING, Any

from tfx_loop.deployment.gateway.counters import place
from tfx_loop.deployment.gateway.gate import Gate
from tfx_loop.deployment.gateway.rest_upstream import UpstreamAddress
from tfx_loop.deployment.server_access.http2 import Http2Connection
from tfx_loop.deployment.server_access.http2_frames import (
    CANCEL,
    PREFACE,
    REFUSED_STREAM,
    Headers,
)
from tfx_loop.deployment.server_access.http2_stream import Half

if TYPE_CHECKING:
    from tfx_loop.deployment.gateway.grpc_call import GrpcCall

# More are made only where the upstream allows too few streams on one.
_MAX_CONNECTIONS = 8
# Numbers of streams are odd, 31 bits long and used once (RFC 9113, 5.1.1).
_LAST_STREAM = 2**31 - 3


class GrpcUpstream:
    """An upstream and its connections."""

    def __init__(self, gate: Gate, address: UpstreamAddress) -> None:
        """Has no connection yet."""
        self.gate, self.address = gate, address
        self._connections: list[GrpcUpstreamConnection] = []
        self._waiting: deque[GrpcCall] = deque()
        self._connecting = False

    def attach(self, call: "GrpcCall") -> None:
        """Sends a call on, at once or when a connection has room for it."""
        for connection in self._connections:
            if connection.has_room:
                call.attach(connection)
                return
        self._waiting.append(call)
        self._connect()

    def serve_waiting(self) -> None:
        """Sends on what waited for room."""
        for connection in self._connections:
            while self._waiting and connection.has_room:
                self._waiting.popleft().attach(connection)
        if self._waiting:
            self._connect()

    def forget(self, connection: "GrpcUpstreamConnection") -> None:
        """Drops a connection that takes no more calls."""
        if connection in self._connections:
            self._connections.remove(connection)
        if self._waiting:
            self._connect()

    def close(self) -> None:
        """Closes all connections."""
        for connection in list(self._connections):
            connection.close()

    def _connect(self) -> None:
        if not self._connecting and len(self._connections) < _MAX_CONNECTIONS:
            self._connecting = True
            self.gate.loop.create_task(self._connected())

    async def _connected(self) -> None:
        connection = GrpcUpstreamConnection(self)
        try:
            await self.address.connect(connection)
        except OSError as error:
            self._connecting = False
            waiting, self._waiting = self._waiting, deque()
            for call in waiting:
                call.unreachable(f"The upstream {self.address.name} cannot be reached: {error}.")
            return
        self._connecting = False
        if not connection.closed:
            self._connections.append(connection)
        self.serve_waiting()


class GrpcUpstreamConnection(Http2Connection):
    """A connection to an upstream."""

    def __init__(self, upstream: GrpcUpstream) -> None:
        """Is not connected yet."""
        super().__init__(upstream.gate.loop)
        self._upstream = upstream
        self._next = 1
        self._leaving = False
        self._count = place("upstream_connections", "grpc")

    @property
    def has_room(self) -> bool:
        """Whether it takes one more call."""
        return (
            not (self._leaving or self.closed)
            and len(self.halves) < self.peer_streams
            and self._next <= _LAST_STREAM
        )

    def connection_made(self, transport: Any) -> None:
        """Says who speaks, and what is taken."""
        super().connection_made(transport)
        self._upstream.gate.counters.row[self._count] += 1
        self.write(PREFACE)
        self.greet(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Ends its calls; the next one connects anew."""
        self._upstream.gate.counters.row[self._count] -= 1
        self.closed = True
        self._upstream.forget(self)
        super().connection_lost(error)

    def open(self, call: "GrpcCall") -> Half:
        """Returns a new stream."""
        half = Half(self, self._next, call)
        self._next += 2
        self.halves[half.stream] = half
        return half

    def headers_came(self, stream: int, half: Half | None, headers: Headers, end: bool) -> None:
        """Hands an answer's headers or trailers on."""
        if half is not None and not _is_interim(headers):
            half.owner.upstream_headers(headers, end)

    def data_came(self, half: Half, data: bytes, end: bool) -> None:
        """Hands an answer's data on."""
        half.owner.upstream_data(data, end)

    def data_left(self, half: Half, size: int) -> None:
        """Lets the client send as much more."""
        half.owner.left(half, size)

    def half_lost(self, half: Half, code: int) -> None:
        """Ends a call."""
        # REFUSED_STREAM says that nothing was done with the call (RFC 9113, 8.7): the client may
        # ask again, as after UNAVAILABLE.
        lost = self.closed or code == REFUSED_STREAM
        message = "The upstream closed the connection before its answer." if lost else ""
        half.owner.upstream_lost(code, message)
        self._freed()

    def forget(self, half: Half) -> None:
        """Makes room for another call."""
        super().forget(half)
        self._freed()

    def going_away(self, last: int) -> None:
        """Takes no more calls; those that the upstream never saw end now."""
        self._leaving = True
        self._upstream.forget(self)
        for half in [half for half in self.halves.values() if half.stream > last]:
            half.owner.upstream_lost(CANCEL, "The upstream took no more calls on its connection.")
        self._freed()

    def settings_came(self) -> None:
        """May have more room than thought, or less."""
        self._upstream.serve_waiting()

    def _freed(self) -> None:
        if self._leaving:
            if not self.halves and not self.closed:
                self.close()
        else:
            self._upstream.serve_waiting()


def _is_interim(headers: Headers) -> bool:
    return any(name == b":status" and value[:1] == b"1" for name, value in headers)
