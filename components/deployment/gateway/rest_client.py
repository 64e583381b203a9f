"""The REST front: connections of clients, and the requests on them in their order."""

import asyncio
from collections import deque
from typing import Any

import httptools

from tfx_loop.deployment.gateway.counters import CLIENT_ERROR, OVERLOADED, place
from tfx_loop.deployment.gateway.gate import Gate
from tfx_loop.deployment.gateway.rest_exchange import RestExchange
from tfx_loop.deployment.gateway.rest_heads import error_answer
from tfx_loop.deployment.gateway.rest_upstream import RestUpstream

# What a refused request may still send before its connection is cut: a client that sends before it
# listens gets to the answer.
_DRAINED_LIMITS = 16
# Eight times what nginx takes by default for one header: tokens and traces fit, and a client cannot
# fill the memory with a head without end.
_MAX_HEAD_BYTES = 64 * 1024
# Requests that a client sends before it has the answers; reading stops then.
_MAX_QUEUED = 8


class RestClient(asyncio.Protocol):
    """A connection of a client over HTTP/1.1."""

    def __init__(
        self, gate: Gate, upstreams: list[RestUpstream], clients: "set[RestClient]"
    ) -> None:
        """Is not connected yet.

        Args:
            gate: Shared state.
            upstreams: Where requests go, by the index of a route.
            clients: All connections; this one enters and leaves it.
        """
        self.gate, self.upstreams = gate, upstreams
        self.address = ""
        self._clients = clients
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[RestExchange] = deque()
        self._incoming: RestExchange | None = None
        self._head_bytes = 0
        self._drained = 0
        self._lingering = self._reading_paused = False
        self.write_paused = False
        self.last = self._lingering_since = gate.loop.time()

    def connection_made(self, transport: Any) -> None:
        """Counts it."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else "unix"
        self._clients.add(self)
        self.gate.counters.row[place("connections", "rest")] += 1
        if len(self._clients) > self.gate.limits.max_connections or self.gate.draining:
            self.gate.refuse("rest", OVERLOADED)
            self.write(error_answer(503, "Too many connections: try again later."))
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Cancels what was asked and is not answered."""
        self._clients.discard(self)
        self.gate.counters.row[place("connections", "rest")] -= 1
        queue, self._queue = self._queue, deque()
        for exchange in queue:
            exchange.client_lost()

    def data_received(self, data: bytes) -> None:
        """Parses what came, and sends it on."""
        self.last = self.gate.loop.time()
        if self._lingering:
            self._drained += len(data)
            if self._drained > _DRAINED_LIMITS * self.gate.limits.max_request_bytes:
                self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(501, "Upgrades of the protocol are not served here.")
            return
        except httptools.HttpParserError as error:
            self._refuse(400, f"Malformed request: {error}")
            return
        self.pump()

    def pump(self) -> None:
        """Moves the first request on."""
        if self._queue:
            self._queue[0].pump()
        wait = len(self._queue) > _MAX_QUEUED or (bool(self._queue) and self._queue[-1].wants_pause)
        self._pause(wait)

    def pause_writing(self) -> None:
        """Has the upstream wait: the client reads more slowly than it answers."""
        self.write_paused = True
        if self._queue:
            self._queue[0].client_paused()

    def resume_writing(self) -> None:
        """Has the upstream go on."""
        self.write_paused = False
        self.last = self.gate.loop.time()
        if self._queue:
            self._queue[0].client_resumed()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._incoming = RestExchange(self)
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Its path comes, maybe in pieces."""
        assert self._incoming is not None
        self._incoming.url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of it."""
        assert self._incoming is not None
        self._incoming.add_header(name.lower(), name, value)
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Its head is complete: it may be refused, and sent on."""
        exchange, parser = self._incoming, self._parser
        assert exchange is not None
        self._queue.append(exchange)
        exchange.head_complete(
            parser.get_method(), parser.get_http_version(), parser.should_keep_alive()
        )

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        assert self._incoming is not None
        self._incoming.add_body(body)

    def on_message_complete(self) -> None:
        """It is complete."""
        assert self._incoming is not None
        self._incoming.request_complete()
        self._incoming = None

    def write(self, data: bytes) -> None:
        """Sends bytes to the client, if it is still there."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def answered(self, exchange: RestExchange) -> None:
        """Goes on with the next request, or closes after the last one."""
        if not self._queue or self._queue[0] is not exchange:
            return
        self._queue.popleft()
        self.last = self.gate.loop.time()
        if not exchange.complete:
            self._linger()
        elif not exchange.keeps_alive or (self.gate.draining and not self._queue):
            self._transport.close()
        elif self._queue or self._reading_paused:
            # Not at once: the parser that finds the next request may be calling just now.
            self.gate.loop.call_soon(self.pump)

    def abort(self) -> None:
        """Cuts the connection: an answer has begun that cannot be completed."""
        self._transport.abort()

    def drain(self) -> None:
        """Closes it as soon as nothing is under way."""
        if not self._queue and self._incoming is None:
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Gives up what makes no progress."""
        limits, waited = self.gate.limits, now - self.last
        if self._lingering:
            # A second of silence: the client has read the answer, or sends no more.
            if waited > 1.0 or now - self._lingering_since > limits.client_seconds:
                self._transport.abort()
        elif self._queue:
            exchange = self._queue[0]
            if self.write_paused and waited > limits.client_seconds:
                self._transport.abort()
            elif not exchange.complete and not self._reading_paused:
                if waited > limits.client_seconds:
                    exchange.give_up(408, "The request was not sent in time.", CLIENT_ERROR)
            else:
                exchange.sweep(now)
        elif self._incoming is not None or self._head_bytes:
            if waited > limits.client_seconds:
                self._refuse(408, "The request was not sent in time.")
        elif waited > limits.idle_seconds:
            self._transport.close()

    def _linger(self) -> None:
        """Reads on and throws away, so that the client gets to the answer before the cut."""
        self._lingering, self._lingering_since = True, self.gate.loop.time()
        self._pause(False)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _refuse(self, code: int, message: str) -> None:
        self.gate.refuse("rest", CLIENT_ERROR)
        # An answer would come before those of the requests that were read before, and be taken for
        # theirs.
        if not self._queue:
            self.write(error_answer(code, message))
        self._transport.close()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise httptools.HttpParserCallbackError("the head is over 64 KiB")

    def _pause(self, wait: bool) -> None:
        if wait == self._reading_paused or self._transport.is_closing():
            return
        self._reading_paused = wait
        if wait:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
