"""Where the tests of the pipelines write."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

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
