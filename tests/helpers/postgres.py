"""A PostgreSQL server of a test's own, from the system's binaries, and databases in it."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from time_limits import seconds

# PostgreSQL refuses to run as root; Debian's package makes this user.
_USER = "postgres"


@contextmanager
def running_server() -> Iterator[str]:
    """Runs a server in a folder of its own; yields `postgresql://HOST:PORT`."""
    # Not below pytest's folder: only its owner may enter that.
    folder = Path(tempfile.mkdtemp(prefix="loop-postgres-"))
    try:
        with _server(folder) as address:
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL (apt-get install postgresql)")
    binaries, data = found[-1].parent, folder / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)

    def call(*command: str) -> None:
        line = [str(binaries / command[0]), *command[1:]]
        if os.geteuid() == 0:
            line = ["runuser", "-u", _USER, "--", *line]
        subprocess.run(
            line, check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=seconds(120)
        )

    call("initdb", "-D", str(data), "-A", "trust", "-U", _USER)
    listen = f"-p {port} -k {folder} -h 127.0.0.1"
    call("pg_ctl", "-D", str(data), "-o", listen, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://127.0.0.1:{port}"
    finally:
        # Ended by its own id: a server that is down already is no failure of a test.
        with contextlib.suppress(subprocess.CalledProcessError):
            call("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


def new_database(address: str, name: str) -> str:
    """Makes an empty database; returns its address for `recorder.open_store`."""
    host, port = address.removeprefix("postgresql://").split(":")
    subprocess.run(
        ["createdb", "-h", host, "-p", port, "-U", _USER, name], check=True, timeout=seconds(60)
    )
    return f"{address.replace('://', f'://{_USER}@')}/{name}"
