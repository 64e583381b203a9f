"""Work that may abort, hang or leak, done without harm to the process that asks for it.

TensorFlow's converter can abort the process, TFMOT flips variables of it, and conversions were
reported to leak. So they run in a child: imported once, asked many times, watched for time and
memory, replaced by a fresh one after every failure. It has no network and writes below `folder`
and what `may_write` names alone, as far as the kernel can see to that.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, BinaryIO

from tfx_loop.core import errors
from tfx_loop.core.child_process import inherited, tree
from tfx_loop.core.child_process.failure import Failure, child_failed
from tfx_loop.core.errors import ChildFailed, ConfigError, LoopError

_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tfx_loop.core.child_process.child import main; "
    "main(int(sys.argv[3]), json.loads(sys.argv[2]))"
)
_COMMAND = (sys.executable, "-c", _BOOTSTRAP)
# Each look at memory walks the process tree: often enough to stop a leak, seldom enough to be
# nothing beside the work.
_POLL_SECONDS = 0.2
# An idle child ends as soon as its pipe does; one that does not hangs and is killed.
_STOP_SECONDS = 2.0
# What a pipe takes at once on Linux.
_CHUNK = 65_536
_LOG = logging.getLogger(__name__)
# What the kernel refused to children of this process, told once.
_told: set[str] = set()

Progress = Callable[[str], None]


class Worker:
    """A child process that calls functions by name, one call at a time.

    Use it as a context manager, or `close` it. The child starts at the first call.

    Attributes:
        timeout_seconds: How long one call may take, the start of the child included.
        memory_mb: Resident memory that the child and its children may take, in MiB.
        restart_mb: After a call that leaves more than this, the next one gets a fresh child.
        starts: How many children were started so far.
    """

    def __init__(
        self,
        *,
        # Ten minutes and 8 GiB: room for a conversion or a model call on a machine of CI, and an
        # end to what hangs. Chosen, not measured.
        timeout_seconds: float = 600,
        memory_mb: float = 8192,
        restart_mb: float | None = None,
    ) -> None:
        """Sets the limits; `restart_mb` is half of `memory_mb` unless given.

        Raises:
            ConfigError: A limit is not positive.
        """
        for name, value in (("timeout_seconds", timeout_seconds), ("memory_mb", memory_mb)):
            if not value > 0:
                raise ConfigError(f"Expected {name} above 0, received {value}.")
        self.timeout_seconds = timeout_seconds
        self.memory_mb = memory_mb
        self.restart_mb = memory_mb / 2 if restart_mb is None else restart_mb
        self.starts = 0
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._lifeline: BinaryIO | None = None
        self._home = tempfile.TemporaryDirectory(prefix="loop-child-")
        self._writable = [os.path.realpath(self._home.name)]
        self._log = tempfile.NamedTemporaryFile(prefix="loop-child-", suffix=".log")  # noqa: SIM115

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def folder(self) -> str:
        """A folder for what goes to the child and comes back; it is gone with this object."""
        return self._home.name

    def may_write(self, folder: str | os.PathLike[str]) -> None:
        """Makes a folder, and lets the child write there, too; one that runs already is ended."""
        path = os.path.realpath(folder)
        os.makedirs(path, exist_ok=True)
        # What it may write is fixed when a child starts: the next call starts one that may write
        # there, too.
        if not any(os.path.commonpath((path, known)) == known for known in self._writable):
            self._writable.append(path)
            self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def rss_mb(self) -> float:
        """Resident memory of the child and its children, in MiB; 0 while there is none."""
        return tree.rss_mb(self.pid) if self.pid is not None else 0.0

    def call(
        self,
        function: str,
        payload: Any,
        *,
        doing: str,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Returns what a function returns for a payload, computed in the child.

        Args:
            function: Import path `module:name` of a function of one argument.
            payload: Its argument, as JSON; arrays travel as .npy or .npz files named in it.
            doing: What is done to which model, for errors: "int8 conversion of flights".
            timeout_seconds: Another limit for this call.
            progress: Gets each line that the function hands to `report_progress`.

        Raises:
            LoopError: The function raised it; the same class and message.
            ChildFailed: It aborted, took too long or too much memory, or raised another error.
        """
        asked = {
            "function": function,
            "payload": payload,
            "settings": inherited.all_settings(),
        }
        request = json.dumps(asked).encode() + b"\n"
        limit = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        with self._lock:
            child = self._living_child()
            started = time.monotonic()
            try:
                reply = self._exchange(child, request, started + limit, progress)
            # An interrupt, too: a child in the middle of a call would answer the next one with its
            # reply.
            except BaseException as error:
                self._kill()
                if isinstance(error, Failure):
                    seconds = time.monotonic() - started
                    raise child_failed(error, doing, seconds, self._read_log(), self) from None
                raise
            left_mb = tree.rss_mb(child.pid)
            if left_mb > self.restart_mb:
                _LOG.info("child pid=%d rss_mb=%.0f restart=memory", child.pid, left_mb)
                self._kill()
        if "error" in reply:
            raise _loop_error(reply["error"])
        return reply["value"]

    def start_child(
        self,
        arguments: Sequence[str],
        lifeline: int,
        log: IO[bytes],
        environment: Mapping[str, str],
    ) -> subprocess.Popen[bytes]:
        """Starts a child.

        Args:
            arguments: Its module path and the folders that it may write in, as JSON.
            lifeline: File descriptor of a pipe that ends when this process does.
            log: Gets what the child prints on standard error.
            environment: Its variables.

        Returns:
            It, with pipes as standard input and output, at the head of a session of its own.
        """
        return subprocess.Popen(
            [*_COMMAND, *arguments, str(lifeline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            pass_fds=[lifeline],
            # A group of its own, so that its children are killed with it, and a terminal's Ctrl-C
            # is ours.
            start_new_session=True,
        )

    def close(self) -> None:
        """Ends the child; a later call starts another."""
        with self._lock:
            self._stop()

    def _living_child(self) -> subprocess.Popen[bytes]:
        os.truncate(self._log.name, 0)
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._kill()
        read_end, write_end = os.pipe()
        self._lifeline = os.fdopen(write_end, "wb")
        # An empty entry is the folder of this process, which the child need not be in.
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        with open(self._log.name, "ab") as log:
            try:
                self._child = self.start_child(
                    [path, json.dumps(self._writable)],
                    read_end,
                    log,
                    {**_environment(), "TMPDIR": self.folder},
                )
            finally:
                os.close(read_end)
        self.starts += 1
        _LOG.info("child pid=%d start=%d", self._child.pid, self.starts)
        return self._child

    def _exchange(
        self,
        child: subprocess.Popen[bytes],
        request: bytes,
        deadline: float,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """Sends a request and returns its reply, or raises Failure with the cause."""
        assert child.stdin is not None
        assert child.stdout is not None
        # Neither may block: a child that writes before it has read its whole request would wait for
        # ever.
        for pipe in (child.stdin, child.stdout):
            os.set_blocking(pipe.fileno(), False)
        received = b""
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            selector.register(child.stdin, selectors.EVENT_WRITE)
            while True:
                for key, _ in selector.select(_POLL_SECONDS):
                    if key.fileobj is child.stdin:
                        request = request[_write(child.stdin.fileno(), request) :]
                        if not request:
                            selector.unregister(child.stdin)
                        continue
                    chunk = os.read(child.stdout.fileno(), _CHUNK)
                    if not chunk:
                        raise _ended(child)
                    *lines, received = (received + chunk).split(b"\n")
                    for line in lines:
                        reply = json.loads(line)
                        if "failed" in reply:
                            raise Failure(reply["cause"], reply["failed"])
                        if "refused" in reply:
                            _tell_once(reply["refused"])
                            continue
                        if "progress" not in reply:
                            return dict(reply)
                        if progress is not None:
                            progress(reply["progress"])
                self._check_limits(child, deadline)

    def _check_limits(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        if time.monotonic() > deadline:
            raise Failure("timed_out", "")
        used = tree.rss_mb(child.pid)
        if used > self.memory_mb:
            raise Failure("out_of_memory", f"{used:.0f} MiB")

    def _read_log(self) -> str:
        with open(self._log.name, "rb") as log:
            log.seek(0, os.SEEK_END)
            # The end tells why; TensorFlow may write megabytes before it.
            log.seek(max(log.tell() - _CHUNK, 0))
            return log.read().decode("utf-8", "replace")

    def _stop(self) -> None:
        """Lets an idle child end by itself; kills what does not."""
        if self._child is not None and self._child.stdin is not None:
            try:
                self._child.stdin.close()
                self._child.wait(_STOP_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                _LOG.info("child pid=%d stop=killed", self._child.pid)
        self._kill()

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        tree.kill(child.pid, alive=child.poll() is None)
        child.wait()
        for pipe in (child.stdin, child.stdout, self._lifeline):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def run(
    function: str,
    payload: Any,
    *,
    doing: str,
    timeout_seconds: float = 600,
    memory_mb: float = 8192,
    progress: Progress | None = None,
) -> Any:
    """Returns what a function returns for a payload, computed in a child of its own.

    Raises:
        LoopError: As `Worker.call`.
    """
    with Worker(timeout_seconds=timeout_seconds, memory_mb=memory_mb) as worker:
        return worker.call(function, payload, doing=doing, progress=progress)


def _environment() -> dict[str, str]:
    """Returns the environment of this process, with what TFMOT needs of TensorFlow.

    Files of Keras 3 are exported by TensorFlow, whatever backend the user trains with.
    """
    chosen = {
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "KERAS_BACKEND": "tensorflow",
    }
    return {**os.environ, **chosen}


def _tell_once(refused: str) -> None:
    if refused and refused not in _told:
        _told.add(refused)
        _LOG.warning("child confined=partly kernel_refused=%s", refused)


def _write(pipe: int, content: bytes) -> int:
    try:
        return os.write(pipe, content[:_CHUNK])
    except BrokenPipeError:
        return len(content)  # The end of the child shows at the other pipe, with its reason.


def _ended(child: subprocess.Popen[bytes]) -> Failure:
    code = child.wait()
    if code < 0:
        return Failure("aborted", signal.Signals(-code).name)
    return Failure("aborted", f"exit code {code}")


def _loop_error(told: dict[str, str]) -> LoopError:
    if told["class"] == ChildFailed.__name__:
        return ChildFailed(told["message"], cause=told["cause"], log_tail=told["log_tail"])
    kind: type[LoopError] = getattr(errors, told["class"])
    return kind(told["message"])
