"""One end of an HTTP/2 connection (RFC 9113), as small as passing gRPC on needs it."""

import asyncio
from typing import Any

from tfx_loop.deployment.server_access.http2_frames import (
    ACK,
    CALM,
    CANCEL,
    CONNECTION_WINDOW,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_HEAD,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    MAX_BLOCK,
    MAX_FRAME,
    MAX_WINDOW,
    PADDED,
    PING,
    PRIORITY_FLAG,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REPLENISH,
    RST_STREAM,
    SETTING,
    SETTING_FRAME,
    SETTING_LIST,
    SETTING_STREAMS,
    SETTING_WINDOW,
    SETTINGS,
    STREAM_WINDOW,
    WINDOW_UPDATE,
    WORD,
    HeaderReader,
    Headers,
    Http2Error,
    frame,
    read_word,
    unpadded,
)
from tfx_loop.deployment.server_access.http2_stream import Half


class Http2Connection(asyncio.Protocol):
    """What clients' and upstreams' connections have in common.

    Attributes:
        halves: The open streams, by number.
        peer_window: What the peer grants a new stream.
        closed: Whether the connection is.
        last: When bytes came last.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Is not connected yet."""
        self.halves: dict[int, Half] = {}
        self.peer_window = DEFAULT_WINDOW
        # Without limit until the peer's settings say one (RFC 9113, 6.5.2).
        self.peer_streams = MAX_WINDOW
        self.closed = False
        self.last = loop.time()
        self.write_paused = False
        self._loop = loop
        self._transport: Any = None
        self._reader = HeaderReader()
        self._buffer = b""
        self._out: list[bytes] = []
        self._flush_due = False
        self._window = DEFAULT_WINDOW
        # The least that a peer may ask for, and what holds until its settings came (RFC 9113, 4.2).
        self._peer_frame = 16_384
        self._credit = 0
        self._block: tuple[int, int, list[bytes]] | None = None
        self._blocked: dict[int, Half] = {}

    def connection_made(self, transport: Any) -> None:
        """Keeps the transport."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Ends all streams."""
        self.closed = True
        halves, self.halves = list(self.halves.values()), {}
        for half in halves:
            half.closed = True
            self.half_lost(half, CANCEL)

    def pause_writing(self) -> None:
        """Sends no more data for now."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Sends the data that waited."""
        self.write_paused = False
        self.last = self._loop.time()
        self._send_blocked()

    def data_received(self, data: bytes) -> None:
        """Reads the whole frames."""
        self.last = self._loop.time()
        if self._buffer:
            data = self._buffer + data
        try:
            self._buffer = data[self.read_frames(data) :]
        except Http2Error as error:
            self.fail(error)

    def read_frames(self, data: bytes, start: int = 0) -> int:
        """Handles the whole frames of some bytes; returns where the rest begins."""
        size = len(data)
        while size - start >= 9:
            head, flags, stream = FRAME_HEAD.unpack_from(data, start)
            # Length of 24 bits, kind of 8, flags of 8, stream of 32 whose first bit means nothing
            # (RFC 9113, 4.1): nine bytes.
            length, kind = head >> 8, head & 0xFF
            if length > MAX_FRAME:
                raise Http2Error(FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            end = start + 9 + length
            if end > size:
                break
            self._frame(kind, flags, stream & MAX_WINDOW, data[start + 9 : end])
            if self.closed:
                return size
            start = end
        return start

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != CONTINUATION:
            raise Http2Error(PROTOCOL_ERROR, "a header block that is interrupted")
        if kind == DATA:
            self._data(flags, stream, payload)
        elif kind == HEADERS:
            payload = unpadded(payload, flags)
            if flags & PRIORITY_FLAG:
                # Stream and weight of a priority, which RFC 9113 has given up (5.3.2).
                payload = payload[5:]
            if flags & END_HEADERS:
                self._headers(stream, self._reader.read(payload), bool(flags & END_STREAM))
            else:
                self._block = stream, flags, [payload]
        elif kind == CONTINUATION:
            self._continuation(flags, stream, payload)
        elif kind == WINDOW_UPDATE:
            self._window_update(stream, payload)
        elif kind == RST_STREAM:
            half = self.halves.pop(stream, None)
            if half is not None:
                half.closed = True
                self._blocked.pop(stream, None)
                self.half_lost(half, read_word(payload))
        elif kind == SETTINGS:
            self._settings(flags, payload)
        elif kind == PING:
            if len(payload) != 8:
                raise Http2Error(FRAME_SIZE_ERROR, "a ping of another size")
            if not flags & ACK:
                self.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.going_away(read_word(payload) & MAX_WINDOW)
        elif kind == PUSH_PROMISE:
            raise Http2Error(PROTOCOL_ERROR, "a push, which was not allowed")

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        # Padding counts as well (RFC 9113, 6.9.1), and so do streams that are over: the peer
        # counted them.
        self._credit += size
        if self._credit >= REPLENISH:
            self.write(frame(WINDOW_UPDATE, 0, 0, WORD.pack(self._credit)))
            self._credit = 0
        half = self.halves.get(stream)
        if half is None or half.received_all:
            return  # Of a stream that was just ended here.
        half.received += size
        if half.received > STREAM_WINDOW:
            raise Http2Error(FLOW_CONTROL_ERROR, "more data than was granted")
        if flags & PADDED:
            payload = unpadded(payload, flags)
            half.grant(size - len(payload))
        end = bool(flags & END_STREAM)
        half.received_all = end
        self.data_came(half, payload, end)

    def _headers(self, stream: int, headers: Headers, end: bool) -> None:
        half = self.halves.get(stream)
        if half is not None and end:
            half.received_all = True
        self.headers_came(stream, half, headers, end)

    def _continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream:
            raise Http2Error(PROTOCOL_ERROR, "a continuation of nothing")
        _, first, parts = self._block
        parts.append(payload)
        # Empty ones cost work and no bytes, so they are counted, too.
        if sum(map(len, parts)) + len(parts) * 1024 > MAX_BLOCK:
            raise Http2Error(CALM, "a header block over 64 KiB")
        if flags & END_HEADERS:
            self._block = None
            self._headers(stream, self._reader.read(b"".join(parts)), bool(first & END_STREAM))

    def _window_update(self, stream: int, payload: bytes) -> None:
        more = read_word(payload) & MAX_WINDOW
        if stream == 0:
            self._window += more
            if more == 0 or self._window > MAX_WINDOW:
                raise Http2Error(FLOW_CONTROL_ERROR, "a window that is none")
            self._send_blocked()
        elif (half := self.halves.get(stream)) is not None:
            half.window += more
            self.send_queued(half)

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % 6:
            raise Http2Error(FRAME_SIZE_ERROR, "settings of another size")
        for key, value in SETTING.iter_unpack(payload):
            if key == SETTING_WINDOW:
                if value > MAX_WINDOW:
                    raise Http2Error(FLOW_CONTROL_ERROR, "a window that is none")
                # A change of the initial window changes that of open streams, too, and may put it
                # below 0 (RFC 9113, 6.9.2).
                change, self.peer_window = value - self.peer_window, value
                for half in list(self.halves.values()):
                    half.window += change
                    self.send_queued(half)
            elif key == SETTING_FRAME:
                # Smaller than the peer allows is always right: frames of its 16 MiB would hold
                # other streams up.
                self._peer_frame = max(16_384, min(value, MAX_FRAME))
            elif key == SETTING_STREAMS:
                self.peer_streams = value
        self.write(frame(SETTINGS, ACK, 0))
        self.settings_came()

    def write(self, data: bytes) -> None:
        """Sends bytes, together with all others of this turn of the event loop."""
        self._out.append(data)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        out, self._out = self._out, []
        if out and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def write_headers(self, half: Half, block: bytes, end: bool) -> None:
        """Sends a header block, in pieces where the peer takes no larger ones."""
        flags, kind = END_STREAM if end else 0, HEADERS
        while len(block) > self._peer_frame:
            self.write(frame(kind, flags, half.stream, block[: self._peer_frame]))
            block, flags, kind = block[self._peer_frame :], 0, CONTINUATION
        self.write(frame(kind, flags | END_HEADERS, half.stream, block))
        if end:
            self._sent_all(half)

    def write_whole(self, half: Half, headers: bytes, data: bytes, trailers: bytes) -> bool:
        """Sends all of an answer in one piece; returns whether the peer takes it so."""
        size, stream = len(data), half.stream
        room = min(self._peer_frame, half.window, self._window)
        if half.closed or half.queue or self.write_paused:
            return False
        if size > room or len(headers) > self._peer_frame or len(trailers) > self._peer_frame:
            return False
        half.window -= size
        self._window -= size
        first = FRAME_HEAD.pack(len(headers) << 8 | HEADERS, END_HEADERS, stream)
        body = FRAME_HEAD.pack(size << 8 | DATA, 0, stream)
        last = FRAME_HEAD.pack(len(trailers) << 8 | HEADERS, END_HEADERS | END_STREAM, stream)
        self.write(b"".join((first, headers, body, data, last, trailers)))
        self.data_left(half, size)
        self._sent_all(half)
        return True

    def send_queued(self, half: Half) -> None:
        """Sends what waits on a stream, as far as the peer takes it."""
        queue = half.queue
        while queue:
            kind, data, end = queue[0]
            if kind == HEADERS:
                queue.popleft()
                self.write_headers(half, data, end)
                continue
            size = min(len(data), self._peer_frame, half.window, self._window)
            # A frame without data costs no credit: the end of a stream is sent in any case.
            if data and (size <= 0 or self.write_paused):
                # What waits for the connection is tried again when that has room; what waits for
                # its own window, when WINDOW_UPDATE names the stream.
                if half.window > 0:
                    self._blocked[half.stream] = half
                return
            queue.popleft()
            whole = size >= len(data)
            if not whole:
                queue.appendleft((DATA, data[size:], end))
                data = data[:size]
            half.window -= size
            self._window -= size
            half.queued -= size
            last = end and whole
            self.write(
                FRAME_HEAD.pack(size << 8 | DATA, END_STREAM if last else 0, half.stream) + data
            )
            if size:
                self.data_left(half, size)
            if last:
                self._sent_all(half)

    def _sent_all(self, half: Half) -> None:
        half.sent_all = True
        self.all_sent(half)

    def _send_blocked(self) -> None:
        blocked, self._blocked = self._blocked, {}
        for half in blocked.values():
            if not half.closed:
                self.send_queued(half)

    def forget(self, half: Half) -> None:
        """Drops a stream that is over."""
        self.halves.pop(half.stream, None)
        self._blocked.pop(half.stream, None)

    def greet(self, streams: int | None) -> None:
        """Sends the first frames: what this side takes."""
        settings = [(SETTING_WINDOW, STREAM_WINDOW), (SETTING_FRAME, MAX_FRAME)]
        settings.append((SETTING_LIST, MAX_BLOCK))
        if streams is not None:
            settings.append((SETTING_STREAMS, streams))
        self.write(frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*one) for one in settings)))
        # SETTINGS cannot change the connection's window (RFC 9113, 6.9.2).
        more = WORD.pack(CONNECTION_WINDOW - DEFAULT_WINDOW)
        self.write(frame(WINDOW_UPDATE, 0, 0, more))

    def go_away(self, code: int, last: int, message: str = "") -> None:
        """Says that no more streams are taken."""
        payload = WORD.pack(last) + WORD.pack(code) + message.encode()
        self.write(frame(GOAWAY, 0, 0, payload))

    def fail(self, error: Http2Error) -> None:
        """Ends the connection of a peer that breaks the protocol."""
        self.go_away(error.code, 0, str(error))
        self._flush()
        self._transport.close()

    def close(self) -> None:
        """Ends the connection after what was sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Ends it at once."""
        self._transport.abort()

    # What becomes of it, for those who derive.

    def headers_came(self, stream: int, half: Half | None, headers: Headers, end: bool) -> None:
        """Headers or trailers."""

    def data_came(self, half: Half, data: bytes, end: bool) -> None:
        """Data of a stream."""

    def data_left(self, half: Half, size: int) -> None:
        """Data was sent: as much may come from the other side."""

    def all_sent(self, half: Half) -> None:
        """The stream's last frame was sent."""

    def half_lost(self, half: Half, code: int) -> None:
        """The peer, or the connection, ended a stream."""

    def going_away(self, last: int) -> None:
        """The peer takes no more streams."""

    def settings_came(self) -> None:
        """The peer's settings are known."""
