"""Confinement of a process by the kernel: no network, and writes below its own folders alone.

A second line behind the guard of model files, never instead of it: code that got past the guard
reaches neither other machines nor the user's files. Linux offers both to unprivileged processes:
Landlock since 5.13 (docs.kernel.org/userspace-api/landlock.html), a network namespace with nothing
in it where user namespaces are allowed (unshare(2)). What a kernel refuses is left out, and told.
"""

import ctypes
import glob
import json
import os
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

# The same on all architectures (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# LANDLOCK_CREATE_RULESET_VERSION and LANDLOCK_RULE_PATH_BENEATH of linux/landlock.h;
# PR_SET_NO_NEW_PRIVS of linux/prctl.h, without which no unprivileged process may restrict itself.
_ASK_VERSION = 1
_PATH_BENEATH = 1
_SET_NO_NEW_PRIVS = 38
# CLONE_NEWUSER and CLONE_NEWNET of linux/sched.h.
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
# LANDLOCK_ACCESS_FS_*: write, remove and make, by the version that knows them; reading is free.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_WRITES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
# Moving files between folders, known from version 2 on; binding and connecting TCP, from 4 on.
_REFER = 1 << 13
_TCP = 0b11
# Abstract sockets and signals to processes outside.
_SCOPES = 0b11
# Devices that programs write to; those of GPUs where there are any.
_DEVICES = ("/dev/null", "/dev/zero", "/dev/nvidia*", "/dev/dri/*", "/dev/kfd")
_FOLDERS = ("/dev/shm",)  # noqa: S108


def confine(folders: Sequence[str]) -> str:
    """Confines this process and its children for good; has to come before its first thread.

    Args:
        folders: Where it may write; those that are not there are left out.

    Returns:
        What the kernel refused, such as `network, writes`; empty where it did all.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    no_network = _leave_network(libc)
    version = _version(libc)
    no_writes = version > 0 and _restrict(libc, version, folders, networked=False)
    # Of Landlock, TCP alone: better than nothing.
    partly = "network beside TCP" if no_writes and version >= 4 else "network"
    refused = [] if no_network else [partly]
    return ", ".join(refused + ([] if no_writes else ["writes"]))


def confine_writes(folders: Sequence[str]) -> str:
    """Confines this process's writes alone, where it has to serve: threads and children to come.

    Args:
        folders: Where it may write; those that are not there are left out.

    Returns:
        `writes` where the kernel refused; empty where it did.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _version(libc)
    done = version > 0 and _restrict(libc, version, folders, networked=True)
    return "" if done else "writes"


def confined_command(command: Sequence[str], folders: Sequence[str], told: int) -> list[str]:
    """Returns a command that confines itself before it becomes another.

    Args:
        command: The program's path and its arguments.
        folders: As of `confine`.
        told: File descriptor that gets the number of the error with which the program did not
            start, and is closed when it did.
    """
    # This file needs the standard library alone: no path of the program's surroundings is taken.
    return [sys.executable, "-I", "-S", __file__, json.dumps([*folders]), str(told), *command]


def _version(libc: ctypes.CDLL) -> int:
    return int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Moves into a network namespace of its own; who is not root needs one of users first."""
    if libc.unshare(_NEW_NET) == 0:
        return True
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_USER | _NEW_NET) != 0:
        return False
    # Known to itself by the same numbers: files keep their owner.
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with suppress(OSError), open(f"/proc/self/{name}", "w") as file:
            file.write(content)
    return True


def _restrict(libc: ctypes.CDLL, version: int, folders: Sequence[str], *, networked: bool) -> bool:
    # A right that the kernel does not know makes it refuse the whole ruleset.
    writes = _WRITES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    # struct landlock_ruleset_attr grew with the versions.
    fields = [writes]
    if not networked:
        fields += [*([_TCP] if version >= 4 else []), *([_SCOPES] if version >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    size = ctypes.c_size_t(len(attributes))
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return False
    try:
        for folder in (*folders, *_FOLDERS):
            _allow(libc, ruleset, folder, writes)
        for device in _DEVICES:
            for path in glob.glob(device):
                _allow(libc, ruleset, path, writes & (_WRITE_FILE | _TRUNCATE))
        if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    with suppress(FileNotFoundError):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            # struct landlock_path_beneath_attr, packed.
            rule = struct.pack("=Qi", access, opened)
            libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        finally:
            os.close(opened)


def _become(folders: str, told: str, *command: str) -> None:
    confine(json.loads(folders))
    os.set_inheritable(int(told), False)
    try:
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(int(told), str(error.errno).encode())


if __name__ == "__main__":
    _become(*sys.argv[1:])
