"""Clients that ask a live server without a pause, and note every answer."""

import threading
import time
import uuid
from pathlib import Path

from server_process import ServerProcess
from tiny_serving_model import save_tiny_model

from tfx_loop.core.errors import ServerUnavailable, ServingError

ROW = {"hour": [1], "delay": [1.5], "origin": ["JFK"]}


def save_low_and_high(folder: Path) -> Path:
    """Saves two models below the folder, `low` and `high`, told apart by any answer."""
    for name, bias in (("low", -1.0), ("high", 1.0)):
        save_tiny_model(folder / name, bias)
    return folder


def probability(server: ServerProcess, version: int | None = None, **asked) -> float:
    """Returns the server's answer to ROW."""
    client = server.client()
    found = client.predict(ROW, signature_name="serving_columns", version=version, **asked)
    return round(found["probability"][0][0], 4)


class LiveClients:
    """Two clients, for the time of a `with`.

    Each request has a key of its own. With `again` it is repeated under that key until it is
    answered, as good clients do; without, a server that is away counts as an error.
    """

    def __init__(self, server: ServerProcess, *, again: bool = False) -> None:
        """Asks nothing yet."""
        self.server, self.again = server, again
        self.keys: list[str] = []
        self.answers: list[float] = []
        self.errors: list[Exception] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def wait_for_answers(self, count: int, seconds: float) -> None:
        """Waits until so many more answers came."""
        wanted = len(self.answers) + count
        deadline = time.monotonic() + seconds
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, f"{len(self.answers)} of {wanted} answers came"
            time.sleep(0.05)

    def _ask(self) -> None:
        client = self.server.client(5)
        while not self._stop.is_set():
            key, answered = uuid.uuid4().hex, False
            while not answered:
                try:
                    found = client.predict(
                        ROW, signature_name="serving_columns", request_key=key, event_time_ms=7
                    )
                except ServingError as error:
                    if not (self.again and isinstance(error, ServerUnavailable)):
                        self.errors.append(error)
                        break
                    # A server that was killed has other ports when it is back.
                    time.sleep(0.05)
                    client = self.server.client(5)
                    continue
                answered = True
                with self._lock:
                    self.keys.append(key)
                    self.answers.append(round(found["probability"][0][0], 4))

    def __enter__(self) -> "LiveClients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
