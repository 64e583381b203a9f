"""Runs a real model server process for tests and benchmarks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import time_limits
from forked_servers import ForkedProcess, shared_forks

from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.deployment.server_access.credentials import ANONYMOUS, Credentials

ROOT = Path(__file__).resolve().parents[2]


class ServerProcess:
    """A server of its own on free ports; started and stopped, or killed, by the test.

    Attributes:
        forked: Whether it is forked from a process that has imported TensorFlow, which starts in
            a tenth of the time. What measures memory or the start takes a process of its own.
    """

    forked = "PYTEST_VERSION" in os.environ

    def __init__(
        self, base_path: Path, scratch: Path, log_dir: Path | None = None, **flags
    ) -> None:
        """Says what to serve; `start` starts it."""
        self.base_path = base_path
        self.log_dir = log_dir
        self.ready_file = scratch / "ready.json"
        self.output = scratch / "server.log"
        self.flags = {
            "file_system_poll_wait_seconds": "0.2",
            # A test waits for the end of a version that fails.
            "max_num_load_retries": "0",
            **flags,
        }
        self.process: subprocess.Popen | ForkedProcess | None = None
        self.rest_port = self.grpc_port = 0

    def start(self) -> "ServerProcess":
        """Starts it and waits until it answers."""
        self.ready_file.unlink(missing_ok=True)
        flags = {
            "model_name": "flights",
            "model_base_path": self.base_path,
            "port": 0,
            "rest_api_port": 0,
            "ready_file": self.ready_file,
            **({"prediction_log": self.log_dir} if self.log_dir else {}),
            **self.flags,
        }
        # None stands for a flag without a value.
        arguments = [f"--{n}" if v is None else f"--{n}={v}" for n, v in flags.items()]
        if self.forked and shared_forks().suits(os.environ):
            self.process = shared_forks().start_server(
                ["loop-model-server", *arguments], self.output, os.environ
            )
        else:
            command = [sys.executable, "-m", "tfx_loop.deployment.model_server.main", *arguments]
            with self.output.open("ab") as output:
                self.process = subprocess.Popen(
                    command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
                )
        deadline = time.monotonic() + time_limits.seconds(120)
        while not self.ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start:\n{self.output.read_text()}")
            time.sleep(0.05)
        ready = json.loads(self.ready_file.read_text())
        assert ready["pid"] == self.process.pid
        self.rest_port, self.grpc_port = ready["rest_api_port"], ready["port"]
        return self

    def client(self, timeout: float = 30.0, credentials: Credentials = ANONYMOUS) -> ModelClient:
        """Returns a client of its own."""
        return ModelClient(self.url, "flights", time_limits.seconds(timeout), credentials)

    @property
    def url(self) -> str:
        """The address of the REST server."""
        scheme = "https" if "tls_certificate" in self.flags else "http"
        return f"{scheme}://127.0.0.1:{self.rest_port}"

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(time_limits.seconds(30))
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise RuntimeError(f"The server did not stop:\n{self.output.read_text()}") from error

    def wait_for(self, version: int, state: str, seconds: float = 60.0) -> str:
        """Waits until a version is in a state; returns its error text."""
        deadline = time.monotonic() + time_limits.seconds(seconds)
        client = self.client()
        while time.monotonic() < deadline:
            for status in client.status():
                if (status.version, status.state) == (version, state):
                    return status.error
            time.sleep(0.05)
        raise AssertionError(f"version {version} is not {state}: {client.status()}")
