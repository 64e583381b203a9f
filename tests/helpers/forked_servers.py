"""Model servers that are forked from a process in which TensorFlow is imported already.

Importing it takes five seconds of a core, and a test of flags or folders needs a server of its own.
A forked one runs the same `main` with its own flags, environment and output; it shares nothing with
others but the memory that none of them writes.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import time_limits


class ForkedProcess:
    """A forked server, with as much of `subprocess.Popen` as tests use."""

    def __init__(self, connection: socket.socket) -> None:
        """Waits until it was forked."""
        self._connection, self._unread = connection, b""
        self.returncode: int | None = None
        self.pid = int(self._read(time_limits.seconds(120))["pid"])

    def _read(self, timeout: float | None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not select.select([self._connection], [], [], left)[0]:
                raise subprocess.TimeoutExpired("a forked server", timeout or 0.0)
            piece = self._connection.recv(4096)
            if not piece:
                raise RuntimeError("the process that forks servers is gone")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def wait(self, timeout: float | None = None) -> int:
        """Returns its exit code, negative for a signal; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self.returncode = int(self._read(timeout)["code"])
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """Returns its exit code, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ServerForks:
    """The process that forks servers; it ends with this one."""

    def __init__(self) -> None:
        """Starts it, which takes as long as TensorFlow's import."""
        self._folder = tempfile.TemporaryDirectory()
        self._address = str(Path(self._folder.name) / "forks")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, self._address], stdin=subprocess.PIPE
        )

    def start(
        self, arguments: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> ForkedProcess:
        """Starts a server.

        Args:
            arguments: The name that it is started by, and its flags.
            output: Gets what it prints.
            environment: Its variables.
        """
        request = {"arguments": arguments, "output": str(output), "environment": {**environment}}
        connection = self._connected()
        connection.sendall(json.dumps({**request, "folder": os.getcwd()}).encode() + b"\n")
        return ForkedProcess(connection)

    def close(self) -> None:
        """Ends it; servers that run go on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def _connected(self) -> socket.socket:
        deadline = time.monotonic() + time_limits.seconds(120)
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._address)
            except OSError:
                connection.close()
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return connection


def serve_forks(address: str) -> None:
    """Forks servers for who connects, until standard input ends."""
    # What a server imports before its first model.
    import tfx_loop.deployment.model_server.interfaces
    import tfx_loop.deployment.model_server.loading
    import tfx_loop.deployment.model_server.model_setup  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [])[0]):
        if listener in ready:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _keep(connection)
            connection.close()


def _keep(connection: socket.socket) -> None:
    """Forks a server, tells its number, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(connection.makefile("rb").readline())
    child = os.fork()
    if child == 0:
        connection.close()
        _become(request)
    connection.sendall(json.dumps({"pid": child}).encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(json.dumps({"code": code}).encode() + b"\n")
    os._exit(0)


def _become(request: Mapping[str, Any]) -> None:
    """Turns this process into a server; never returns."""
    from tfx_loop.deployment.model_server.main import main

    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(output, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = list(request["arguments"])
        main(sys.argv[1:])
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
        os._exit(70)


if __name__ == "__main__":
    serve_forks(sys.argv[1])
