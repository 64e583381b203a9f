"""Identity of a process, in words by which another one can tell whether it has ended.

A process number alone says little: another machine or container has the same ones, and a number is
given again. The boot's id and the namespace of process numbers say where it counts, the start time
which of its holders is meant.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
# Fields behind the name in /proc/PID/stat (proc(5)): the state, and the start in clock ticks.
_STATE, _STARTED = 0, 19
_ENDED = ("Z", "X")


def this_process() -> str:
    """Returns the words; empty where the system does not tell."""
    found = _stat(os.getpid())
    where = _where()
    return f"{where} {os.getpid()} {found[_STARTED]}" if where and found else ""


def has_ended(identity: str) -> bool:
    """Says whether a process is known to have ended; of one elsewhere nobody knows."""
    parts = identity.split()
    if len(parts) != 3 or not parts[1].isdecimal() or parts[0] != _where():
        return False
    found = _stat(int(parts[1]))
    return found is None or found[_STATE] in _ENDED or found[_STARTED] != parts[2]


def _where() -> str:
    """Returns where process numbers mean the same: this boot, and this namespace; or nothing."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _stat(number: int) -> list[str] | None:
    try:
        text = (_PROC / str(number) / "stat").read_text()
    except OSError:
        return None
    # The name stands in brackets and may hold anything.
    return text.rpartition(")")[2].split()
