"""Foreign programs, run so that they can neither hang, fill memory nor flood the log."""

import contextlib
import errno
import os
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tfx_loop.core.child_process import sandbox, tree

# What a pipe takes at once on Linux: a read never waits for more than is there.
_CHUNK = 65_536
# Short against the time in which a program can fill the memory of a machine.
_POLL_SECONDS = 0.1
# What a dead program left in the pipe, 64 KiB on Linux, is read in far less.
_DRAIN_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class ProgramLimits:
    """What a program may take.

    Attributes:
        timeout_seconds: Wall time until it is killed with all its descendants.
        memory_mb: Resident memory of it and its descendants, MiB.
        output_bytes: How much of what it prints is kept, half of it from the end.
    """

    timeout_seconds: float
    memory_mb: float
    # Some 10,000 lines: the whole log of a compiler, and nothing beside a model in memory.
    output_bytes: int = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """How a program ended.

    Attributes:
        returncode: Exit code; negative for the signal that ended it.
        text: Standard output and standard error as they came; the middle is left out where they
            were longer than allowed.
        seconds: How long it ran.
        killed: `timed_out` or `out_of_memory` when a limit ended it; empty otherwise.
    """

    returncode: int
    text: str
    seconds: float
    killed: str


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    limits: ProgramLimits,
    writable: Sequence[str] | None = None,
) -> ProgramResult:
    """Runs a program in a process group of its own and returns how it ended.

    Nothing of it survives the call, also not a descendant that it left behind.

    Args:
        arguments: The program and what it is given.
        cwd: Its working folder.
        limits: What it may take.
        writable: Where the kernel lets it write, without a network; unconfined unless given.

    Raises:
        OSError: It cannot be started.
    """
    started = time.monotonic()
    program = _start(arguments, cwd) if writable is None else _confined(arguments, cwd, writable)
    assert program.stdout is not None
    output = _Output(program.stdout, limits.output_bytes)
    killed = ""
    try:
        killed = _wait(program, started, limits)
    finally:
        # Also after a normal end: a descendant that it left would hold the pipe open for ever.
        tree.kill(program.pid, alive=program.poll() is None)
        program.wait()
        output.close()
    return ProgramResult(
        returncode=program.returncode,
        text=output.text(),
        seconds=time.monotonic() - started,
        killed=killed,
    )


def _start(
    command: Sequence[str], cwd: Path, inherited: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=inherited,
        # A group of its own, so that a signal to it reaches all that it starts, and none of ours.
        start_new_session=True,
    )


def _confined(
    command: Sequence[str], cwd: Path, writable: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Starts a program in a sandbox; raises OSError as Popen does where it cannot be started."""
    if (found := shutil.which(command[0])) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as told:
        try:
            confined = sandbox.confined_command(
                [os.path.abspath(found), *command[1:]], writable, write_end
            )
            program = _start(confined, cwd, [write_end])
        finally:
            os.close(write_end)
        if number := told.read():
            program.communicate()
            raise OSError(int(number), os.strerror(int(number)), command[0])
    return program


def _wait(program: subprocess.Popen[bytes], started: float, limits: ProgramLimits) -> str:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_POLL_SECONDS)
            return ""
        if time.monotonic() - started > limits.timeout_seconds:
            return "timed_out"
        if tree.rss_mb(program.pid) > limits.memory_mb:
            return "out_of_memory"


class _Output:
    """Reads a pipe to its end and keeps the first and the last bytes."""

    def __init__(self, pipe: IO[bytes], kept: int) -> None:
        self._pipe = pipe
        self._half = kept // 2
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # The pipe was closed under the reader.
            while chunk := self._pipe.read1(_CHUNK):  # type: ignore[attr-defined]
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        # A whole chunk is dropped only where what is left still fills the half: at least as much as
        # promised is kept.
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._half:
            self._left_out += len(self._tail[0])
            self._tail_bytes -= len(self._tail.popleft())

    def close(self) -> None:
        """Waits for the end of the pipe, which a descendant that escaped may hold open."""
        self._reader.join(_DRAIN_SECONDS)
        if not self._reader.is_alive():
            self._pipe.close()

    def text(self) -> str:
        """Returns what was kept; bytes that are not UTF-8 are replaced."""
        gap = f"\n… {self._left_out} bytes left out …\n".encode() if self._left_out else b""
        return (self._head + gap + b"".join(self._tail)).decode("utf-8", "replace")
