"""Model servers and children of `Worker`, forked from a process that has imported TensorFlow.

Importing it takes five seconds of a core, and many tests need a server or a child of their own. A
forked one runs the same `main` with its own flags, environment and output; it shares nothing with
others but the memory that none of them writes.
"""

import atexit
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
from typing import IO, Any

import time_limits

SERVER, CHILD = "server", "child"
# Standard input, output and error, and the pipe by which a child sees its parent's end.
_MOST_FILES = 4
# What TensorFlow, Keras and the interpreter read when they are imported: a process that is to have
# others is started, not forked.
_READ_AT_IMPORT = ("CUDA", "KERAS_", "LD_", "OMP_", "PYTHON", "TF_", "XLA_")
# The forked ones are as loud as the process that forks them.
_CHOSEN = {
    "TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "1",
}  # fmt: skip


class ForkedProcess:
    """A forked process, with as much of `subprocess.Popen` as servers and workers need."""

    def __init__(self, connection: socket.socket) -> None:
        """Waits until it was forked."""
        self._connection, self._unread = connection, b""
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.returncode: int | None = None
        self.pid = int(self._read(time_limits.seconds(120))["pid"])

    def _read(self, timeout: float | None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not select.select([self._connection], [], [], left)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            piece = self._connection.recv(4096)
            if not piece:
                raise RuntimeError("the process that forks others is gone")
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


class Forks:
    """The process that forks servers and children; it ends with this one."""

    def __init__(self) -> None:
        """Starts it, which takes as long as TensorFlow's import."""
        self._folder = tempfile.TemporaryDirectory()
        self._address = str(Path(self._folder.name) / "forks")
        self._environment = {**os.environ, **_CHOSEN}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, self._address],
            stdin=subprocess.PIPE,
            env=self._environment,
        )

    @property
    def runs(self) -> bool:
        """Says whether it is there; a test that fails ends what was started during it."""
        return self._process.poll() is None

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Says whether a process of this environment would import TensorFlow as this one did."""

        def told(variables: Mapping[str, str]) -> dict[str, str]:
            found = {k: v for k, v in variables.items() if k.startswith(_READ_AT_IMPORT)}
            return {k: v for k, v in found.items() if k not in _CHOSEN} | {
                "keras": variables.get("KERAS_BACKEND", "tensorflow"),
                "legacy": variables.get("TF_USE_LEGACY_KERAS", ""),
            }

        return told(environment) == told(self._environment)

    def start_server(
        self, arguments: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> ForkedProcess:
        """Starts a model server.

        Args:
            arguments: The name that it is started by, and its flags.
            output: Gets what it prints.
            environment: Its variables.
        """
        with open(os.devnull, "rb") as nothing, output.open("ab") as told:
            files = [nothing.fileno(), told.fileno(), told.fileno()]
            return self._start(SERVER, [*arguments], files, environment)

    def start_child(
        self,
        arguments: Sequence[str],
        lifeline: int,
        log: IO[bytes],
        environment: Mapping[str, str],
    ) -> ForkedProcess:
        """Starts a child of `Worker`; takes and returns what `Worker.start_child` does."""
        inward, written = os.pipe()
        read, outward = os.pipe()
        try:
            files = [inward, outward, log.fileno(), lifeline]
            child = self._start(CHILD, [*arguments], files, environment)
        except BaseException:
            os.close(written)
            os.close(read)
            raise
        finally:
            os.close(inward)
            os.close(outward)
        child.stdin, child.stdout = os.fdopen(written, "wb", 0), os.fdopen(read, "rb")
        return child

    def _start(
        self, kind: str, arguments: list[str], files: list[int], environment: Mapping[str, str]
    ) -> ForkedProcess:
        request = {
            "kind": kind,
            "arguments": arguments,
            "environment": {**environment},
            "folder": os.getcwd(),
        }
        connection = self._connected()
        socket.send_fds(connection, [b"."], files)
        connection.sendall(json.dumps(request).encode() + b"\n")
        return ForkedProcess(connection)

    def close(self) -> None:
        """Ends it; what it forked goes on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def _connected(self) -> socket.socket:
        # Importing TensorFlow takes five seconds of a core, which a starved machine gives slowly.
        deadline = time.monotonic() + time_limits.seconds(300)
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._address)
            except OSError:
                connection.close()
                if not self.runs or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return connection


_shared: Forks | None = None


def shared_forks() -> Forks:
    """Returns those of this process, started when they are first asked for."""
    global _shared
    if _shared is None or not _shared.runs:
        if _shared is None:
            atexit.register(lambda: _shared is not None and _shared.close())
        _shared = Forks()
    return _shared


def serve_forks(address: str) -> None:
    """Forks processes for who connects, until standard input ends."""
    import gc

    # What a server imports before its first model, and what most children do.
    import tf_keras  # noqa: F401

    import tfx_loop.deployment.model_server.interfaces
    import tfx_loop.deployment.model_server.loading
    import tfx_loop.deployment.model_server.model_setup  # noqa: F401

    # A collection in a forked process would write to, and so copy, all that it shares.
    gc.freeze()
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
    """Forks a process, tells its number, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(connection, 1, _MOST_FILES)
    request = json.loads(connection.makefile("rb").readline())
    child = os.fork()
    if child == 0:
        connection.close()
        _become(request, files)
    for file in files:
        os.close(file)
    os.close(0)
    connection.sendall(json.dumps({"pid": child}).encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(json.dumps({"code": code}).encode() + b"\n")
    os._exit(0)


def _become(request: Mapping[str, Any], files: list[int]) -> None:
    """Turns this process into what was asked for; never returns."""
    try:
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        tempfile.tempdir = None
        if request["kind"] == SERVER:
            _serve(request["arguments"])
        _work(request["arguments"], files[3])
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
        os._exit(70)


def _serve(arguments: Sequence[str]) -> None:
    from tfx_loop.deployment.model_server.main import main

    sys.argv = list(arguments)
    main(sys.argv[1:])
    raise SystemExit(0)


def _work(arguments: Sequence[str], lifeline: int) -> None:
    import numpy as np

    from tfx_loop.core.child_process.child import main

    os.setsid()
    # The same numbers in each child would be those of the process that forked it.
    np.random.seed()
    path, folders = arguments
    sys.path[:] = json.loads(path)
    main(lifeline, json.loads(folders))


if __name__ == "__main__":
    serve_forks(sys.argv[1])
