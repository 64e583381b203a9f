"""The server that cases are asked of, started by TF Serving's name with TF Serving's flags."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import time_limits
from conformance_models import save_half_plus, save_many_signatures
from forked_servers import ForkedProcess, Forks, shared_forks

PROGRAM = "tensorflow_model_server"
ROOT = Path(__file__).resolve().parents[3]
_CONFIG = """
model_config_list {{
  config {{
    name: "default" base_path: "{base}/default" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 122 versions: 123 }} }}
    version_labels {{ key: "fixed" value: 122 }}
    version_labels {{ key: "last" value: 123 }}
  }}
  config {{ name: "many" base_path: "{base}/many" model_platform: "tensorflow" }}
}}
"""


def free_port() -> int:
    """Returns a port that nothing listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RunningServer:
    """A process of `tensorflow_model_server`, which is a link to this server's entry point."""

    def __init__(self, scratch: Path, *flags: str, forks: Forks | None = None) -> None:
        """Starts it; `wait` waits until it answers.

        Args:
            scratch: A folder of its own.
            flags: Besides those of its ports.
            forks: Starts it by forking; without it the program itself is started.
        """
        scratch.mkdir(parents=True, exist_ok=True)
        self.rest_port, self.grpc_port = free_port(), free_port()
        self.output = scratch / "server.log"
        link = scratch / PROGRAM
        link.symlink_to(Path(sys.executable).with_name("loop-model-server"))
        command = [str(link), f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.process: subprocess.Popen | ForkedProcess
        if forks is not None:
            self.process = forks.start_server([*command, *flags], self.output, environment)
            return
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *flags], stdout=output, stderr=subprocess.STDOUT, env=environment
            )

    def wait(self) -> "RunningServer":
        """Waits until it answers over gRPC, which starts last."""
        deadline = time.monotonic() + time_limits.seconds(120)
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.listens():
                return self
            time.sleep(0.05)
        raise RuntimeError(f"The server did not start:\n{self.said()}")

    def listens(self) -> bool:
        """Says whether gRPC's port takes connections."""
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.grpc_port)) == 0

    def said(self) -> str:
        """Returns what it printed."""
        return self.output.read_text(errors="replace")

    def ended(self) -> int:
        """Returns its status, once it has ended by itself."""
        return self.process.wait(time_limits.seconds(60))

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()

    def http(
        self, method: str, path: str, body: Any = None, headers: dict | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        """Asks over REST; returns code, body and headers."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.rest_port, timeout=time_limits.seconds(60)
        )
        sent = body.encode() if isinstance(body, str) else body
        connection.request(method, path, sent, headers or {})
        response = connection.getresponse()
        content = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        return response.status, content, found

    def rest(
        self, method: str, path: str, body: Any = None, headers: dict | None = None
    ) -> tuple[int, Any]:
        """Asks over REST; returns code and JSON, or what came where it is none."""
        code, content, _ = self.http(method, path, body, headers)
        try:
            return code, json.loads(content)
        except ValueError:
            return code, content


class World:
    """The servers of a run: one for most cases, and more where flags have to differ."""

    def __init__(self, scratch: Path) -> None:
        """Makes the models."""
        self.scratch = scratch
        self.made = scratch / "made"
        save_half_plus(self.made / "two")
        save_half_plus(self.made / "three", add=3.0)
        save_many_signatures(self.made / "many")
        self._forks = shared_forks()
        self._stopped: list[Callable[[], None]] = []
        self._found: dict[object, Any] = {}

    def put(self, model: str, base: Path, name: str) -> None:
        """Puts a version into place at once, as a pusher does."""
        base.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.made / model, base / ".coming")
        os.rename(base / ".coming", base / name)

    def start(self, name: str, *flags: str) -> RunningServer:
        """Starts a server that ends with the run."""
        server = RunningServer(self.scratch / name, *flags, forks=self._forks)
        self._stopped.append(server.stop)
        return server

    @cached_property
    def server(self) -> RunningServer:
        """The server of most cases: several models, labels, metrics."""
        base = self.scratch / "base"
        self.put("two", base / "default", "00000122")
        self.put("three", base / "default", "00000123")
        self.put("many", base / "many", "1")
        config = self.scratch / "models.config"
        config.write_text(_CONFIG.format(base=base))
        monitoring = self.scratch / "monitoring.config"
        monitoring.write_text("prometheus_config { enable: true }")
        # The one that is started as scripts do: by a link to the program.
        server = RunningServer(
            self.scratch / "main",
            f"--model_config_file={config}",
            f"--monitoring_config_file={monitoring}",
            "--file_system_poll_wait_seconds=1",
            "--enable_batching",
            "--tensorflow_session_parallelism=2",
            f"--grpc_socket_path={self.scratch}/grpc.sock",
            "--enable_grpc_healthcheck_service",
        )
        self._stopped.append(server.stop)
        return server.wait()

    def predict(
        self,
        content: Any,
        signature: str = "",
        key: str = "instances",
        model: str = "many",
    ) -> tuple[int, Any]:
        """Asks for predictions over REST."""
        body: dict[str, Any] = {key: content}
        if signature:
            body["signature_name"] = signature
        return self.server.rest("POST", f"/v1/models/{model}:predict", json.dumps(body))

    def channel(self, target: str = "", **options: Any) -> Any:
        """Returns a gRPC channel to the server, or another one's."""
        import grpc

        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        return grpc.insecure_channel(target or f"127.0.0.1:{self.server.grpc_port}", limits)

    def once(self, made: Callable[["World"], Any]) -> Any:
        """Returns what a function makes, made once in a run."""
        if made not in self._found:
            self._found[made] = made(self)
        return self._found[made]

    def close(self) -> None:
        """Ends all servers."""
        for stop in self._stopped:
            stop()


@contextmanager
def opened_world(scratch: Path) -> Iterator[World]:
    """Yields a world whose servers end with it."""
    world = World(scratch)
    try:
        yield world
    finally:
        world.close()


def until(wanted: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Returns the first answer that is true, or the last one."""
    deadline = time.monotonic() + time_limits.seconds(seconds)
    while not (found := wanted()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
