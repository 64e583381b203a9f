"""One short run of the real loop, shared by the tests that look at it from different sides."""

import os
import subprocess
import sys

import pytest
from demo_run import WINDOWS, DemoRun
from time_limits import seconds

_SECONDS = seconds(900)


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """Runs `loop demo` over March to June on a fifth of the flights."""
    folder = tmp_path_factory.mktemp("e2e") / "demo"
    done = subprocess.run(
        [
            sys.executable, "-m", "tfx_loop.pipelines.cli.main", "demo", f"--windows={WINDOWS}",
            f"--out={folder}",
        ],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return DemoRun(folder, done.stdout)
