"""Sockets that servers listen at."""

import os
import socket
import stat

DISABLED_PORT = -1


def listen(host: str, port: int, flag: str, *, shared: bool = False) -> socket.socket | None:
    """Returns a socket that is bound; None for DISABLED_PORT.

    Args:
        host: Address.
        port: 0 takes a free one.
        flag: What named the port, for the message.
        shared: Whether other processes may bind it, too (SO_REUSEPORT): the kernel then shares
            connections out among those that listen.

    Raises:
        RuntimeError: It cannot be bound.
    """
    if port == DISABLED_PORT:
        return None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only then.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise RuntimeError(f"cannot listen at {host}:{port} ({flag}): {error}") from error
    return listener


def listen_unix(path: str | None, flag: str) -> socket.socket | None:
    """Returns a Unix socket that is bound; None without a path. Raises as `listen`."""
    if not path:
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # What a server that was killed left behind; a plain file stays, and is an error.
        if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
        listener.bind(path)
    except OSError as error:
        raise RuntimeError(f"cannot listen at {path} ({flag}): {error}") from error
    return listener
