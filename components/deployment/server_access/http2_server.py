"""The server's end of an HTTP/2 connection: preface, new streams in their order, resets, drain."""

import asyncio

from tfx_loop.deployment.server_access.http2 import Http2Connection
from tfx_loop.deployment.server_access.http2_frames import (
    CALM,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    Http2Error,
)

# Streams of one client at once. Beyond what waits anywhere behind it, more would only hold memory.
MAX_STREAMS = 1024
# Streams that a client may cancel at once, and how many more each second: whoever opens and resets
# streams without end would have models work for nobody (CVE-2023-44487).
_RESETS, _RESETS_PER_SECOND = 1000.0, 100.0


class Http2ServerConnection(Http2Connection):
    """What connections of clients have in common, whoever answers their calls.

    Attributes:
        stop_message: What a client is told when no more calls are taken.
    """

    stop_message = "the server stops"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Is not connected yet."""
        super().__init__(loop)
        self._greeted = self._draining = False
        self._last_stream = 0
        self._resets, self._reset_at = _RESETS, self.last

    @property
    def is_incomplete(self) -> bool:
        """Whether the preface, a frame or a header block has begun and not ended."""
        return not self._greeted or bool(self._buffer) or self._block is not None

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

    def takes_stream(self, stream: int) -> bool:
        """Says whether one more stream is taken; raises Http2Error for a number that cannot be."""
        # A client's streams are odd and rise (RFC 9113, 5.1.1).
        if stream <= self._last_stream or stream % 2 == 0:
            raise Http2Error(PROTOCOL_ERROR, f"a new stream with the number {stream}")
        self._last_stream = stream
        return not self._draining and len(self.halves) < MAX_STREAMS

    def count_reset(self) -> None:
        """Counts a stream that the client reset; raises Http2Error for too many."""
        # A token bucket: full at the start, one token a reset, refilled as time goes by.
        now = self._loop.time()
        self._resets += (now - self._reset_at) * _RESETS_PER_SECOND
        self._resets, self._reset_at = min(self._resets, _RESETS) - 1, now
        if self._resets < 0 and not self.closed:
            raise Http2Error(CALM, "too many streams were reset")

    def close_when_done(self) -> None:
        """Takes no more calls, and closes when the last one is answered."""
        if not self._draining and not self.closed:
            self._draining = True
            self.go_away(NO_ERROR, self._last_stream, self.stop_message)
        if not self.halves:
            self.close()

    def close_if_drained(self) -> None:
        """Closes a connection whose last call was answered, where it takes no more."""
        if self._draining and not self.halves:
            self.close()
