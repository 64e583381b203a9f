"""An upstream that answers every call with one answer: what a proxy costs is not hidden by a model.

    .venv/bin/python -m tests.benchmarks.serving.echo_upstream REST_PORT GRPC_PORT

REST gets a JSON answer of one prediction, gRPC its own message back. Both are as small as Python
on uvloop can make them, so that the upstream is not what is measured.
"""

import asyncio
import sys

import uvloop

from tfx_loop.deployment.server_access import http2_frames, http2_stream
from tfx_loop.deployment.server_access.http2 import Http2Connection

BODY = b'{"predictions": [2.5]}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY
HEAD = http2_frames.encode_headers(((b":status", b"200"), (b"content-type", b"application/grpc")))
TRAILERS = http2_frames.encode_headers(((b"grpc-status", b"0"), (b"grpc-message", b"")))


class RestEcho(asyncio.Protocol):
    """Answers requests that have a length and no pipelining."""

    def __init__(self):
        self.left = 0
        self.held = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.left == 0:
            data = self.held + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.held = data
                return
            self.held = b""
            head = data[:end].lower()
            at = head.find(b"content-length:")
            self.left = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.left -= len(data) - end - 4
        else:
            self.left -= len(data)
        if self.left <= 0:
            self.left = 0
            self.transport.write(ANSWER)


class GrpcEcho(Http2Connection):
    """Answers calls with their own message."""

    def __init__(self):
        super().__init__(asyncio.get_running_loop())
        self.greeted = False
        self.messages = {}

    def connection_made(self, transport):
        super().connection_made(transport)
        self.greet(1000)

    def data_received(self, data):
        if not self.greeted:
            data = self._buffer + data
            if len(data) < 24:
                self._buffer = data
                return
            self.greeted, self._buffer, data = True, b"", data[24:]
        super().data_received(data)

    def headers_came(self, stream, half, headers, end):
        if half is None:
            self.halves[stream] = http2_stream.Half(self, stream, None)
            self.messages[stream] = []

    def data_came(self, half, data, end):
        half.grant(len(data))
        self.messages[half.stream].append(data)
        if end:
            half.send_headers(HEAD, False)
            half.send_data(b"".join(self.messages.pop(half.stream)), False)
            half.send_headers(TRAILERS, True)

    def all_sent(self, half):
        half.close()

    def half_lost(self, half, code):
        self.messages.pop(half.stream, None)


async def serve(rest_port: int, grpc_port: int) -> None:
    """Serves until it is killed."""
    loop = asyncio.get_running_loop()
    await loop.create_server(RestEcho, "127.0.0.1", rest_port)
    await loop.create_server(GrpcEcho, "127.0.0.1", grpc_port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
