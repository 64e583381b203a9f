"""Where the tests of the pipelines write: folders, and databases of real servers."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mariadb
import postgres as postgresql
import pytest

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 32 * 2**20


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """In memory for tests without TensorFlow, as far as the machine has such a folder.

    What they write is small, mostly metadata, and SQLite syncs each change: on a busy disk the
    tests of the loop take seven times as long. A process that is killed loses nothing either way.
    """
    large = any(request.node.get_closest_marker(name) for name in ("tensorflow", "e2e"))
    if large or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < NEEDED_BYTES:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server: `postgresql://HOST:PORT`."""
    with postgresql.running_server() as address:
        yield address


@pytest.fixture(scope="session")
def mysql() -> Iterator[str]:
    """A MariaDB server: `mysql://HOST:PORT`."""
    with mariadb.running_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, of each kind that there is."""
    if request.param == "sqlite":
        return str(tmp_path / "metadata.sqlite")
    # One database a test: its name holds letters, digits and underscores alone.
    name = "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    if request.param == "postgresql":
        return postgresql.new_database(request.getfixturevalue("postgres"), name)
    return mariadb.new_database(request.getfixturevalue("mysql"), name)
