"""An HTTP server on an event loop of its own, in a thread of its own.

What is quick is answered on the loop; predictions wait in the engine without a thread each, so
that status and probes never wait behind them. Large bodies and calls that load models go to a few
worker threads.
"""

import asyncio
import functools
import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import LoopError
from tfx_loop.deployment.model_server.engine import (
    PredictionEngine,
    PredictionJob,
    Steps,
    run_blocking,
)
from tfx_loop.deployment.model_server.http_connection import HttpConnection, resume_all
from tfx_loop.deployment.model_server.http_messages import HttpAnswer, HttpRequest, error_answer

_LOG = logging.getLogger(__name__)
# Connections are looked at this often, so limits of time are kept to a second; where predictions
# have less than ten, to a tenth of their limit.
_SWEEP_SECONDS = 1.0
_SWEEPS_AN_ANSWER = 10
_WORKERS = 4
# Taken in by the kernel before the server accepts them.
_BACKLOG = 1024


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What a client may take.

    Attributes:
        body_bytes: Larger bodies are refused with 413, unread.
        request_seconds: By then a request that began has come whole; TF Serving's default.
        idle_seconds: How long a connection is kept without a request.
        connections: How many are open at once; more are closed unanswered.
        answer_seconds: A prediction that takes longer is given up with 504.
    """

    body_bytes: int = 16 * 1024 * 1024
    request_seconds: float = 30.0
    idle_seconds: float = 60.0
    connections: int = 10_000
    answer_seconds: float = math.inf


class HttpHandler:
    """What a server does with requests; a subclass says it."""

    def admit(self, request: HttpRequest) -> HttpAnswer | None:
        """Returns why a request is refused before its body is read; None where it is not."""
        return None

    def takes_long(self, request: HttpRequest) -> bool:
        """Says whether a request is answered in a worker thread."""
        return False

    def answer(self, request: HttpRequest) -> "Steps[HttpAnswer]":
        """Returns the coroutine that answers a request; it never raises."""
        raise NotImplementedError

    def finished(self, request: HttpRequest, answer: HttpAnswer, hung_up: bool = False) -> None:
        """Is told of each answer."""


class LoopServer:
    """A server with an event loop and a thread of its own.

    Attributes:
        limits: What clients may take.
        secure: Whether it speaks TLS.
        now: The loop's clock, taken once a sweep.
        loop: Its event loop.
        workers: Threads for what takes long.
        connection_type: Makes the protocol of a connection out of the server.
    """

    connection_type: Callable[[Any], Any]

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        limits: HttpLimits,
        tls: ssl.SSLContext | None,
        name: str,
    ) -> None:
        """Answers nobody before `start`.

        Args:
            listeners: Bound sockets.
            limits: What clients may take.
            tls: Certificates, where it speaks TLS; Unix sockets do without.
            name: Of its threads.
        """
        self.limits = limits
        self.secure = tls is not None
        self.now = 0.0
        self.loop = _new_loop()
        self.workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix=f"{name}-worker")
        self._listeners, self._tls = listeners, tls
        self._connections: set[Any] = set()
        # Engines that run soon, on this loop.
        self._due: set[PredictionEngine] = set()
        self._servers: list[asyncio.AbstractServer] = []
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)

    def start(self) -> None:
        """Starts to listen; answers when it returns."""
        self._thread.start()
        self._started.wait()

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    def stop(self, seconds: float) -> None:
        """Takes no more connections, finishes what is being answered, and ends."""
        if not self._thread.is_alive():
            return
        future = asyncio.run_coroutine_threadsafe(self._drain(seconds), self.loop)
        future.result(seconds + 5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)

    def start_job(
        self, job: PredictionJob, resume: Callable[[PredictionJob], None]
    ) -> LoopError | None:
        """Starts a prediction, on the loop; returns why it is refused, if it is."""
        job.notify, job.resume, job.on_loop = self.notify, resume, True
        try:
            quick = job.engine.start(job)
        except LoopError as error:
            return error
        if quick and job.engine not in self._due:
            self._due.add(job.engine)
            # After what other connections sent meanwhile: it makes one batch with this.
            self.loop.call_soon(self._run_quick, job.engine)
        return None

    def notify(self, jobs: Sequence[PredictionJob]) -> None:
        """Is told of finished predictions, by whichever thread ran them."""
        if threading.get_ident() == self._thread.ident:
            resume_all(jobs)
        else:
            self.loop.call_soon_threadsafe(resume_all, jobs)

    def _run_quick(self, engine: PredictionEngine) -> None:
        self._due.discard(engine)
        if engine.run_quick() and engine not in self._due:
            self._due.add(engine)
            self.loop.call_soon(self._run_quick, engine)

    def opened(self, connection: Any) -> None:
        """Keeps a new connection, or closes one too many."""
        self._connections.add(connection)
        if len(self._connections) > self.limits.connections:
            connection.expire()

    def closed(self, connection: Any) -> None:
        """Forgets a connection."""
        self._connections.discard(connection)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._listen())
        self._sweep()
        self.loop.call_soon(self._started.set)
        self.loop.run_forever()

    async def _listen(self) -> None:
        make = functools.partial(type(self).connection_type, self)
        for listener in self._listeners:
            server: asyncio.AbstractServer
            if listener.family == socket.AF_UNIX:
                server = await self.loop.create_unix_server(make, sock=listener, backlog=_BACKLOG)
            else:
                server = await self.loop.create_server(
                    make, sock=listener, ssl=self._tls, backlog=_BACKLOG
                )
            self._servers.append(server)

    def _sweep(self) -> None:
        """Closes the connections whose time is over."""
        now = self.now = self.loop.time()
        for connection in list(self._connections):
            if connection.deadline < now:
                connection.expire()
        period = min(_SWEEP_SECONDS, self.limits.answer_seconds / _SWEEPS_AN_ANSWER)
        self.loop.call_later(period, self._sweep)

    async def _drain(self, seconds: float) -> None:
        for server in self._servers:
            server.close()
        until = time.monotonic() + seconds
        for connection in list(self._connections):
            connection.close_when_done()
        while self._connections and time.monotonic() < until:
            await asyncio.sleep(0.02)


class HttpServer(LoopServer):
    """A server of HTTP/1.1."""

    connection_type = HttpConnection

    def __init__(
        self,
        handler: HttpHandler,
        listener: socket.socket,
        limits: HttpLimits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Answers nobody before `start`.

        Args:
            handler: What answers.
            listener: A bound socket.
            limits: What clients may take.
            tls: Certificates, where it speaks TLS.
        """
        super().__init__([listener], limits, tls, name="rest")
        self.admit, self.takes_long = handler.admit, handler.takes_long
        self.answer, self.finished = handler.answer, handler.finished

    def answer_in_thread(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answers a request in a worker thread."""
        self.workers.submit(self._work, request, connection)

    def _work(self, request: HttpRequest, connection: HttpConnection) -> None:
        try:
            deadline = request.started + self.limits.answer_seconds
            answer = run_blocking(self.answer(request), deadline)
        except Exception as error:
            _LOG.exception("request path=%s failed", request.path)
            answer = error_answer(500, f"Internal error: {type(error).__name__}")
        self.loop.call_soon_threadsafe(connection.answered_in_thread, answer)


def _new_loop() -> asyncio.AbstractEventLoop:
    """Returns uvloop's loop where it is installed: it costs half of asyncio's a request."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
