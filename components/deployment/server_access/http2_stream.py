"""One side of an HTTP/2 stream: what waits to be sent, and the credit of both peers."""

from collections import deque
from typing import TYPE_CHECKING, Any

from tfx_loop.deployment.server_access.http2_frames import (
    DATA,
    HEADERS,
    RST_STREAM,
    STREAM_WINDOW,
    WINDOW_UPDATE,
    WORD,
    frame,
)

if TYPE_CHECKING:
    from tfx_loop.deployment.server_access.http2 import Http2Connection


class Half:
    """One side of a stream: what is sent to this peer, and the credit that it has.

    Attributes:
        connection: Where.
        stream: Its number there.
        owner: The call that it belongs to.
        sent_all: Whether END_STREAM was sent.
        received_all: Whether it came.
    """

    __slots__ = (
        "closed",
        "connection",
        "credit",
        "owner",
        "queue",
        "queued",
        "received",
        "received_all",
        "sent_all",
        "stream",
        "window",
    )

    def __init__(self, connection: "Http2Connection", stream: int, owner: Any) -> None:
        self.connection, self.stream, self.owner = connection, stream, owner
        self.window = connection.peer_window
        self.queue: deque[tuple[int, bytes, bool]] = deque()
        self.queued = 0
        self.received = self.credit = 0
        self.sent_all = self.received_all = self.closed = False

    def send_headers(self, block: bytes, end: bool) -> None:
        """Sends a header block, behind the data that waits."""
        if self.queue:
            self.queue.append((HEADERS, block, end))
        elif not self.closed:
            self.connection.write_headers(self, block, end)

    def send_data(self, data: bytes, end: bool) -> None:
        """Sends data, as far as the peer takes it; the rest waits."""
        if self.closed:
            return
        self.queued += len(data)
        self.queue.append((DATA, data, end))
        self.connection.send_queued(self)

    def send_whole(self, headers: bytes, data: bytes, trailers: bytes) -> None:
        """Sends headers, data and trailers, at once where the peer takes them so."""
        if not self.connection.write_whole(self, headers, data, trailers):
            self.send_headers(headers, False)
            self.send_data(data, False)
            self.send_headers(trailers, True)

    def grant(self, size: int) -> None:
        """Lets the peer send as many bytes more."""
        self.credit += size
        # Half a window at a time: a WINDOW_UPDATE for each frame would be as many frames again.
        if self.credit >= STREAM_WINDOW // 2 and not (self.received_all or self.closed):
            self.connection.write(frame(WINDOW_UPDATE, 0, self.stream, WORD.pack(self.credit)))
            self.received -= self.credit
            self.credit = 0

    def reset(self, code: int) -> None:
        """Ends the stream at once, if it is open."""
        if not self.closed:
            # A stream that both sides ended is closed, and a reset of it would be an error of ours.
            if not (self.sent_all and self.received_all):
                self.connection.write(frame(RST_STREAM, 0, self.stream, WORD.pack(code)))
            self.close()

    def close(self) -> None:
        """Forgets the stream."""
        if not self.closed:
            self.closed = True
            self.queue.clear()
            self.queued = 0
            self.connection.forget(self)
