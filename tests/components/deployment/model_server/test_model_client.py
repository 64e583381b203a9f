"""The REST client against servers that keep no promise."""

import socket
import threading
import time

import pytest
from time_limits import seconds

from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.deployment.model_server.client import ModelClient


@pytest.fixture
def drip():
    """A server that sends a byte of its body every tenth of a second, without an end."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def answer():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                while not stop.wait(0.1):
                    connection.sendall(b" ")
            except OSError:
                return

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    stop.set()
    thread.join()
    listener.close()


@pytest.mark.slow
def test_answer_that_comes_in_pieces_has_one_deadline(drip):
    client = ModelClient(f"http://127.0.0.1:{drip}", "flights", timeout=0.5)
    started = time.monotonic()
    with pytest.raises(ServerUnavailable, match=r"No answer .* within 0\.5 s"):
        client.status()
    # The whole body would take 100 s; a busy machine may be a few seconds late.
    assert time.monotonic() - started < seconds(10)
