"""Process trees: the memory that one takes, and its end."""

import contextlib
import os
import signal

import psutil


def rss_mb(pid: int) -> float:
    """Returns resident memory of a process and its descendants in MiB; 0 when it is gone."""
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    # psutil counts bytes, limits are in MiB.
    return total / 2**20


def kill(pid: int, *, alive: bool) -> None:
    """Kills a process, its process group and, while it is alive, descendants in other groups."""
    processes = _tree(pid) if alive else []  # The id of a dead one may be another's by now.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
