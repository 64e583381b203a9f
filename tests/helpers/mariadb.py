"""A MariaDB server of a test's own, from the system's binaries, and databases in it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from time_limits import seconds

# MariaDB refuses to run as root; Debian's package makes this user.
_USER = "mysql"
_SERVER = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_INSTALL = shutil.which("mariadb-install-db")


@contextmanager
def running_server() -> Iterator[str]:
    """Runs a server in a folder of its own; yields `mysql://HOST:PORT`."""
    if _SERVER is None or _INSTALL is None:
        pytest.skip("no MariaDB (apt-get install mariadb-server)")
    # Not below pytest's folder: only its owner may enter that.
    folder = Path(tempfile.mkdtemp(prefix="loop-mariadb-"))
    try:
        yield from _server(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server(folder: Path) -> Iterator[str]:
    own: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
        own |= {"user": _USER, "group": _USER, "extra_groups": []}
    data = ["--no-defaults", f"--datadir={folder / 'data'}"]
    made = [str(_INSTALL), *data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(made, check=True, timeout=seconds(120), cwd=folder, **own)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Nothing of it is kept: what is synced to disk only takes time.
    quick = ["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--bind-address=127.0.0.1"]
    command = [str(_SERVER), *data, *quick, f"--socket={folder / 'socket'}", f"--port={port}"]
    process = subprocess.Popen(command, cwd=folder, **own)
    try:
        _wait(port, process)
        yield f"mysql://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(timeout=seconds(60))


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + seconds(60)
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"MariaDB did not come up on port {port}")


def new_database(address: str, name: str) -> str:
    """Makes an empty database whose names tell cases apart; returns the store's address."""
    host, port = address.removeprefix("mysql://").split(":")
    client = ["mariadb", "--no-defaults", "-h", host, "-P", port, "-u", "root", "--protocol=tcp"]
    made = f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    subprocess.run([*client, "-e", made], check=True, timeout=seconds(60))
    return f"mysql://root@{host}:{port}/{name}"
