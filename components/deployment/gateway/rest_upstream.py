"""Connections to an upstream over HTTP/1.1, kept open between requests."""

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any

from tfx_loop.deployment.gateway.counters import place
from tfx_loop.deployment.gateway.gate import Gate

if TYPE_CHECKING:
    from tfx_loop.deployment.gateway.rest_exchange import RestExchange

_LOG = logging.getLogger(__name__)
# A lost SYN is sent again after one second, and once more after two others (RFC 6298, 2.1).
_CONNECT_SECONDS = 3.0
# An upstream that took no connection in time is not waited for by everybody who comes meanwhile.
_DOWN_SECONDS = 1.0
# Answered requests leave their connection here; more than this are closed.
_MAX_IDLE = 256


class UpstreamAddress:
    """Where an upstream is, and whether it could be reached.

    Attributes:
        name: As people write it.
        up: Whether the last connection was made.
    """

    def __init__(
        self, gate: Gate, protocol: str, host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        """Keeps the address.

        Args:
            gate: Shared state.
            protocol: `rest` or `grpc`.
            host: Name or address.
            port: Its port.
            tls: What connections are made with; None for plain ones.
        """
        self.name = f"{protocol}://{host}:{port}"
        self.up = True
        self._gate, self._host, self._port, self._tls = gate, host, port, tls
        self._failures = place("upstream_failures", protocol)
        self._down_until = 0.0

    async def connect(self, protocol: Any) -> None:
        """Connects; the protocol knows its transport then.

        Raises:
            OSError: It could not, or could not just now.
        """
        now = self._gate.loop.time()
        if now < self._down_until:
            raise OSError("it took no connection a moment ago")
        try:
            await asyncio.wait_for(
                self._gate.loop.create_connection(
                    lambda: protocol,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                ),
                _CONNECT_SECONDS,
            )
        except (OSError, asyncio.TimeoutError) as error:
            self.failed(error)
            if isinstance(error, asyncio.TimeoutError):
                self._down_until = self._gate.loop.time() + _DOWN_SECONDS
                raise OSError(f"no connection within {_CONNECT_SECONDS:g} s") from error
            raise OSError(_reason(error)) from error
        if not self.up:
            _LOG.warning("upstream=%s state=reached_again", self.name)
        self.up = True

    def failed(self, error: BaseException) -> None:
        """Counts a connection that could not be made, and says the first of a row."""
        self._gate.counters.row[self._failures] += 1
        if self.up:
            _LOG.error("upstream=%s state=unreachable error=%s", self.name, _reason(error))
        self.up = False


class RestUpstream:
    """An upstream and its idle connections."""

    def __init__(self, gate: Gate, address: UpstreamAddress) -> None:
        """Has no connection yet."""
        self.gate, self.address = gate, address
        self._idle: list[RestConnection] = []

    def take(self) -> "RestConnection | None":
        """Returns a connection that is open, if there is one: the one used last."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def connect(self) -> "RestConnection":
        """Returns a new connection; raises OSError."""
        connection = RestConnection(self)
        await self.address.connect(connection)
        return connection

    def put_back(self, connection: "RestConnection") -> None:
        """Takes a connection whose answer is complete."""
        if len(self._idle) < _MAX_IDLE and not connection.closed:
            connection.reused = True
            self._idle.append(connection)
        else:
            connection.close()

    def forget(self, connection: "RestConnection") -> None:
        """Drops a connection that was closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Closes what is idle."""
        for connection in self._idle:
            connection.close()
        self._idle = []


class RestConnection(asyncio.Protocol):
    """One connection to an upstream; one exchange at a time.

    Attributes:
        exchange: What is being answered; None when idle.
        reused: Whether it answered before: the upstream may be closing it just now.
        closed: Whether it is.
        paused: Whether the upstream takes no bytes at the moment.
    """

    def __init__(self, upstream: RestUpstream) -> None:
        """Is not connected yet."""
        self.exchange: RestExchange | None = None
        self.reused = self.closed = self.paused = False
        self._upstream = upstream
        self._transport: Any = None
        self._count = place("upstream_connections", "rest")

    def connection_made(self, transport: Any) -> None:
        """Is connected."""
        self._transport = transport
        self._upstream.gate.counters.row[self._count] += 1

    def data_received(self, data: bytes) -> None:
        """Hands an answer on."""
        if self.exchange is None:
            # Nobody asked: what comes here would be taken for the next one's answer.
            self.close()
        else:
            self.exchange.upstream_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Tells the exchange that there will be no more."""
        self.closed = True
        self._upstream.gate.counters.row[self._count] -= 1
        self._upstream.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.upstream_lost(error)

    def pause_writing(self) -> None:
        """Has the client wait."""
        self.paused = True
        if self.exchange is not None:
            self.exchange.upstream_paused()

    def resume_writing(self) -> None:
        """Has the client go on."""
        self.paused = False
        if self.exchange is not None:
            self.exchange.upstream_resumed()

    def write(self, data: bytes) -> None:
        """Sends bytes."""
        self._transport.write(data)

    def pause_reading(self) -> None:
        """Has the upstream wait."""
        if not self.closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Has it go on."""
        if not self.closed:
            self._transport.resume_reading()

    def done(self, *, reusable: bool) -> None:
        """Ends the exchange: its answer is complete."""
        self.exchange = None
        if reusable:
            self._upstream.put_back(self)
        else:
            self.close()

    def close(self) -> None:
        """Closes it at once: nobody waits for what would come."""
        self.closed = True
        self.exchange = None
        if self._transport is not None:
            self._transport.abort()


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
