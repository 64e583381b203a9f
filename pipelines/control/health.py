"""A health endpoint on loopback: whether the daemon looks, and what is in its way."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control.watch import WatchHealth

HOST, PATH = "127.0.0.1", "/healthz"
# A client that connects and says nothing must not hold a thread.
_TIMEOUT_SECONDS = 5.0


@contextmanager
def health_server(health: Callable[[], WatchHealth], port: int) -> Iterator[str]:
    """Answers `GET /healthz` with 200 or 503 and JSON; yields the address.

    Args:
        health: What is said.
        port: On loopback; 0 takes a free one.

    Raises:
        ConfigError: Nothing can listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        timeout = _TIMEOUT_SECONDS

        def do_GET(self) -> None:
            """Answers."""
            if self.path.partition("?")[0] != PATH:
                self.send_error(404)
                return
            said = health()
            body = json.dumps(asdict(said)).encode()
            self.send_response(200 if said.healthy else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps probes out of the log: one comes every few seconds."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise ConfigError(
            f"Expected a free port for --health-port, received {port}: {error.strerror}."
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="health")
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
