"""One HTTP/1.1 connection: requests in, one at a time, and their answers out.

Nothing of a request is kept beyond its limits, and none is waited for without end. A client that
hangs up takes its predictions with it, as far as they have not begun.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httptools

from tfx_loop.deployment.model_server.engine import (
    TOOK_TOO_LONG,
    DeadlinePassed,
    PredictionJob,
    Steps,
)
from tfx_loop.deployment.model_server.http_messages import HttpAnswer, HttpRequest, error_answer

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.http_server import HttpServer

# As most servers; cookies and tokens fit.
_MAX_HEADER_BYTES = 64 * 1024
# Requests that a client sends before it reads; then its bytes wait in the kernel.
_MAX_PIPELINED = 16
# After a refusal, this many times the limit is read and thrown away, so that a client which sends
# before it listens gets to the answer; then the connection is cut.
_DRAINED_LIMITS = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """A connection of a server. Lives on the event loop alone.

    Attributes:
        deadline: When the server closes it, on the loop's clock; moved by what happens on it.
        busy: Whether a request is being answered.
    """

    def __init__(self, server: "HttpServer") -> None:
        """Is not connected yet."""
        self._server = server
        self.busy = False
        self.deadline = 0.0
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[HttpRequest] = deque()
        self._job: PredictionJob | None = None
        self._answered: HttpRequest | None = None
        self._steps: Steps[HttpAnswer] | None = None
        self._refused = False
        self._drained = 0
        self._closing = False
        self._address = ""
        self._request: HttpRequest | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_size = self._size = 0
        self._body: list[bytes] = []
        # Whether a part of a request came, whether the connection ends with its answer, and whether
        # the client reads too slowly for what was sent.
        self._begun = self._last = self._unread = False

    # From the transport.

    def connection_made(self, transport: Any) -> None:
        """Begins to wait for a request."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        # Unix sockets have no address.
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self.deadline = self._server.now + self._server.limits.idle_seconds
        self._server.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Takes back what was asked and has not begun."""
        self._server.closed(self)
        self._closing = True
        self._requests.clear()
        if self._job is not None:
            self._job.cancelled = True

    def pause_writing(self) -> None:
        """Gives a client that does not read a bounded time."""
        self._unread = True
        self.deadline = self._server.now + self._server.limits.request_seconds

    def resume_writing(self) -> None:
        """Goes back to the limits of one that reads."""
        self._unread = False
        limits = self._server.limits
        seconds = limits.answer_seconds if self.busy else limits.idle_seconds
        self.deadline = self._server.now + seconds

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        if self._refused:
            self._drain(len(data))
            return
        if not self.busy and not self._begun:
            # The whole request has to come by then, however slowly.
            self.deadline = self._server.now + self._server.limits.request_seconds
            self._begun = True
        try:
            self._parser.feed_data(data)
            # The parser keeps a header until it is whole, and tells nothing of it before.
            if self._request is None and not self._refused:
                self._count_header(len(data))
        except httptools.HttpParserUpgrade:
            # Another protocol is offered, and not taken: it is a request like others.
            self._last = True
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            if not self._refused:
                self._refuse(error_answer(400, f"Malformed HTTP request: {error}"))

    # From the parser.

    def on_message_begin(self) -> None:
        """Starts a request."""
        self._reset()
        self._begun = True

    def on_url(self, url: bytes) -> None:
        """Takes a part of the target."""
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header; of those that come twice, the first."""
        self._count_header(len(name) + len(value) + 4)
        self._headers.setdefault(name.lower().decode("latin-1"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Decides whether the body is worth reading."""
        if self._refused:
            return
        request = self._request = HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            target=self._url.decode("latin-1"),
            headers=self._headers,
            address=self._address,
            secure=self._server.secure,
            keep_alive=self._parser.should_keep_alive(),
        )
        refusal = self._server.admit(request)
        length = self._headers.get("content-length", "")
        if refusal is None and length.isdigit():
            refusal = self._over_limit(int(length))
        if refusal is not None:
            self._refuse(refusal)
        elif self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body; declared lengths may be wrong, and chunks declare none."""
        if self._refused:
            self._drain(len(body))
            return
        self._body.append(body)
        self._size += len(body)
        refusal = self._over_limit(self._size)
        if refusal is not None:
            self._refuse(refusal)

    def on_message_complete(self) -> None:
        """Hands the request on, in its turn."""
        if self._refused:
            # All of it came: what was refused is answered already.
            self._close()
            return
        assert self._request is not None
        self._request.body = b"".join(self._body)
        self._begun = False
        self._requests.append(self._request)
        if len(self._requests) >= _MAX_PIPELINED:
            self._transport.pause_reading()
        if not self.busy:
            self._next()

    # Answering.

    def close_when_done(self) -> None:
        """Closes it after the request that is being answered, at once where there is none."""
        self._last = True
        if not self.busy:
            self._close()

    def expire(self) -> None:
        """Closes it: what it waits for did not come in time."""
        if self._begun and not self.busy and not self._refused:
            self._refuse(error_answer(408, "The request did not come whole in time."))
        elif self.busy and not self._unread:
            self._give_up()
            return
        # Also what the client does not read.
        if self._transport is not None:
            self._transport.abort() if self.busy else self._close()

    def _give_up(self) -> None:
        """Answers in place of a prediction that takes too long."""
        job, self._job = self._job, None
        # A worker thread sees to its own limit.
        self.deadline = math.inf
        if job is not None:
            job.cancelled = True
            self._go_on(DeadlinePassed(TOOK_TOO_LONG))

    def _next(self) -> None:
        while self._requests and not self._closing:
            request = self._requests.popleft()
            self.busy = True
            self._answered = request
            request.started = time.perf_counter()
            # Predictions have a limit of their own, which counts from here.
            left = self._server.limits.answer_seconds
            self.deadline = self._server.loop.time() + left
            if self._server.takes_long(request):
                self._server.answer_in_thread(request, self)
                return
            self._steps = self._server.answer(request)
            self._advance(None)
            if self.busy:
                return

    def _advance(self, error: Exception | None) -> None:
        """Runs the handler to the next prediction that it waits for, or to its end."""
        assert self._steps is not None
        assert self._answered is not None
        while True:
            try:
                job = self._steps.send(None) if error is None else self._steps.throw(error)
            except StopIteration as stop:
                self._steps = None
                self.send_answer(stop.value)
                return
            job.deadline = self._answered.started + self._server.limits.answer_seconds
            error = self._server.start_job(job, self._resume)
            if error is not None:
                continue
            self._job = job
            return

    def _resume(self, job: PredictionJob) -> None:
        if job is not self._job:
            return  # It was given up.
        self._job = None
        self._go_on(None)

    def _go_on(self, error: Exception | None) -> None:
        self._advance(error)
        if not self.busy:
            self._next()

    def answered_in_thread(self, answer: HttpAnswer) -> None:
        """Sends the answer that a worker made, and goes on with what waits."""
        self.send_answer(answer)
        self._next()

    def send_answer(self, answer: HttpAnswer) -> None:
        """Sends the answer of the request that is under way."""
        self.busy = False
        request = self._answered
        assert request is not None
        if self._closing:
            self._server.finished(request, answer, hung_up=True)
            return
        last = self._last or not request.keep_alive
        self._transport.write(answer.to_bytes(request, last))
        self._server.finished(request, answer)
        if last:
            self._close()
            return
        self.deadline = self._server.now + self._server.limits.idle_seconds
        if len(self._requests) == _MAX_PIPELINED - 1:
            self._transport.resume_reading()

    # Refusing.

    def _refuse(self, answer: HttpAnswer) -> None:
        """Answers at once, then throws away what the client still sends, up to a bound."""
        self._refused = True
        self._body.clear()
        request = self._request or HttpRequest(address=self._address, secure=self._server.secure)
        self.deadline = self._server.now + self._server.limits.request_seconds
        if not self._closing:
            self._transport.write(answer.to_bytes(request, True))
            self._server.finished(request, answer)
            if answer.code in (400, 408, 431):
                # Where it ends is not known.
                self._close()

    def _drain(self, size: int) -> None:
        self._drained += size
        if self._drained > self._server.limits.body_bytes * _DRAINED_LIMITS:
            self._close()

    def _over_limit(self, size: int) -> HttpAnswer | None:
        limit = self._server.limits.body_bytes
        if size <= limit:
            return None
        return error_answer(
            413, f"The request body is over the limit of {limit} bytes. Send fewer rows at a time."
        )

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > _MAX_HEADER_BYTES and not self._refused:
            self._refuse(error_answer(431, f"Headers over {_MAX_HEADER_BYTES} bytes."))

    def _reset(self) -> None:
        self._request, self._url, self._headers = None, b"", {}
        self._header_size = self._size = 0
        self._body = []
        self._begun = self._last = False

    def _close(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()


def resume_all(jobs: Sequence[PredictionJob]) -> None:
    """Goes on with each request of a batch, on the event loop."""
    for job in jobs:
        if job.resume is not None:
            job.resume(job)
