"""The HTTP server's connections: who is slow, leaves, or sends what is no request."""

import contextlib
import json
import math
import random
import socket
import threading
import time

import numpy as np
import pytest
from time_limits import seconds

from tfx_loop.deployment.model_server.engine import DeadlinePassed, PredictionEngine, PredictionJob
from tfx_loop.deployment.model_server.http_messages import HttpAnswer, error_answer
from tfx_loop.deployment.model_server.http_server import HttpHandler, HttpLimits, HttpServer
from tfx_loop.deployment.model_server.signature import Signature

REQUEST = b"GET /quick HTTP/1.1\r\nhost: here\r\n\r\n"
SLOW = b"POST /slow HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n"


class Handler(HttpHandler):
    """Answers /slow when the engine may go on, and all else at once."""

    def __init__(self):
        self.engine, self.go_on, self.ran = PredictionEngine(), threading.Event(), []
        self.entered = threading.Event()

    def run(self, jobs):
        """Runs predictions, on the engine's thread."""
        self.entered.set()
        assert self.go_on.wait(seconds(30))
        for job in jobs:
            self.ran.append(job)
            job.outputs = {}

    def takes_long(self, request):
        """Says which requests a worker thread answers."""
        return request.path == "/slow/thread"

    async def answer(self, request):
        """Answers a request."""
        if request.path.startswith("/slow"):
            signature = Signature(name="s", inputs={}, outputs={})
            try:
                await PredictionJob(
                    self.engine, self.run, self, signature, None, {"x": np.zeros(1)}, 1
                )
            except DeadlinePassed as error:
                return error_answer(504, str(error))
        return HttpAnswer(200, request.path.encode() + request.body)


@pytest.fixture
def served(request):
    """Yields a server with short limits, and a way to connect; its parameter is that of answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    handler = Handler()
    limits = HttpLimits(
        body_bytes=1000,
        request_seconds=0.3,
        idle_seconds=0.8,
        answer_seconds=getattr(request, "param", math.inf),
    )
    server = HttpServer(handler, listener, limits)
    server.start()
    with contextlib.ExitStack() as stack:

        def connect(sent=b""):
            client = socket.create_connection(listener.getsockname(), timeout=seconds(30))
            stack.enter_context(client)
            client.sendall(sent)
            return client

        yield handler, connect, server
        handler.go_on.set()
        server.stop(5)


def read_all(client):
    """Returns what comes until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_answer(client):
    """Returns status and body of one answer."""
    file = client.makefile("rb")
    code = int(file.readline().split()[1])
    size = 0
    while (line := file.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length"):
            size = int(line.split(b":")[1])
    return code, file.read(size)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [b"GET /quick HTT", b"POST /quick HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\nhalf"],
)
def test_a_request_that_does_not_come_whole_is_answered_and_closed(served, sent):
    _, connect, _ = served
    assert b" 408 " in read_all(connect(sent))


@pytest.mark.slow
def test_an_idle_connection_is_closed(served):
    _, connect, _ = served
    client = connect(REQUEST)
    assert read_answer(client) == (200, b"/quick")
    assert read_all(client) == b""


def test_status_does_not_wait_behind_predictions(served):
    handler, connect, _ = served
    waiting = [connect(SLOW) for _ in range(20)]
    assert handler.entered.wait(seconds(30))
    started = time.monotonic()
    assert read_answer(connect(REQUEST)) == (200, b"/quick")
    # The others are held for longer.
    assert time.monotonic() - started < seconds(20)
    handler.go_on.set()
    assert [read_answer(client) for client in waiting] == [(200, b"/slow")] * 20


def wait_for_connections(server, number):
    deadline = time.monotonic() + seconds(30)
    while len(server._connections) != number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_client_asked_and_left_does_not_run(served):
    handler, connect, server = served
    first = connect(SLOW)
    assert handler.entered.wait(seconds(30))
    second = connect(SLOW)
    wait_for_connections(server, 2)
    second.close()
    wait_for_connections(server, 1)
    handler.go_on.set()
    assert read_answer(first) == (200, b"/slow")
    assert read_answer(connect(SLOW)) == (200, b"/slow")
    assert len(handler.ran) == 2


@pytest.mark.parametrize("served", [0.3], indirect=True)
@pytest.mark.parametrize("path", [b"/slow", b"/slow/thread"])
def test_a_prediction_that_takes_too_long_is_504_and_the_connection_goes_on(served, path):
    handler, connect, _ = served
    started = time.monotonic()
    running = connect(SLOW.replace(b"/slow", path))
    assert handler.entered.wait(seconds(30))
    waiting = connect(SLOW.replace(b"/slow", path))
    for client in (running, waiting):
        code, body = read_answer(client)
        assert code == 504
        assert "--rest_api_timeout_in_ms" in json.loads(body)["error"]
    assert time.monotonic() - started >= 0.3
    running.sendall(REQUEST)
    assert read_answer(running) == (200, b"/quick")
    handler.go_on.set()
    waiting.sendall(SLOW)
    assert read_answer(waiting) == (200, b"/slow")
    # The one that waited did not run.
    assert len(handler.ran) == 2


def test_requests_sent_at_once_are_answered_in_turn(served):
    handler, connect, _ = served
    handler.go_on.set()
    client = connect(b"".join(REQUEST.replace(b"quick", b"%d" % i) for i in range(40)))
    file = client.makefile("rb")
    text = b""
    while text.count(b"HTTP/1.1 200") < 40 or not text.endswith(b"/39"):
        text += file.read1(65536)
    assert [text.find(b"\r\n\r\n/%d" % i) for i in range(40)] == sorted(
        text.find(b"\r\n\r\n/%d" % i) for i in range(40)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x16\x03\x01\x02\x00", b" 400 "),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 100_000, b" 431 "),
        (b"POST / HTTP/1.1\r\ncontent-length: 2000\r\n\r\n" + b"b" * 2000, b" 413 "),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n" + b"c" * 2000, b" 413 "),
    ],
)
def test_what_is_no_request_is_answered_and_closed(served, sent, code):
    _, connect, _ = served
    assert code in read_all(connect(sent)).split(b"\r\n")[0] + b" "


def test_a_full_server_refuses_and_a_stopping_one_finishes(served):
    handler, connect, server = served
    client = connect(SLOW)
    assert handler.entered.wait(seconds(30))
    stopper = threading.Thread(target=server.stop, args=(10,))
    stopper.start()
    handler.go_on.set()
    code, body = read_answer(client)
    assert (code, body) == (200, b"/slow")
    stopper.join(seconds(30))
    assert not server.is_alive


def test_an_error_is_json_with_its_words():
    answer = error_answer(429, "later")
    assert (answer.code, json.loads(answer.body)) == (429, {"error": "later"})


def test_rubbish_is_answered_or_cut_off_and_the_server_goes_on(served):
    handler, connect, server = served
    handler.go_on.set()
    draw = random.Random(0)
    for _ in range(300):
        sent = bytearray(draw.choice([REQUEST, SLOW[:-4] + b"\r\n\r\n", REQUEST * 2]))
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(sent))
            sent[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        connect(bytes(sent)).close()
    assert read_answer(connect(REQUEST)) == (200, b"/quick")
    assert server.is_alive
