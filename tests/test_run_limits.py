"""A test that fails or runs out of time leaves nothing running, and limits grow by one factor."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import time_limits

HELPERS = Path(__file__).resolve().parent / "helpers"
FIXED = "import subprocess, sys, time, pytest\nfrom pathlib import Path\n"
# A child that starts a grandchild in a session of its own, as the demo starts its server.
START = """
def start(name):
    code = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        f"open({name!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    Path(f"{name}.parent").write_text(str(child.pid))
    while not (Path(name).exists() and Path(name).read_text()):
        time.sleep(0.01)
    return child
"""


def run_tests(folder, code, **environment):
    """Runs tests of their own, in a pytest of their own."""
    (folder / "test_inner.py").write_text(FIXED + START + code)
    (folder / "conftest.py").write_text('pytest_plugins = ["leftover_processes"]\n')
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={folder}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--override-ini=pythonpath={HELPERS}", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=time_limits.seconds(60),
        env={**os.environ, **environment},
        check=False,
    )


def is_running(pid_file):
    try:
        process = psutil.Process(int(pid_file.read_text()))
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ended(pid_file):
    """Waits a little: a process that was killed needs a moment to be gone."""
    deadline = time.monotonic() + time_limits.seconds(5)
    while is_running(pid_file) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid_file)


@pytest.mark.slow
def test_what_a_test_started_ends_with_its_time_limit(tmp_path):
    code = """
@pytest.mark.timeout(2)
def test_hangs():
    start("grandchild").wait()

def test_next():
    Path("ran").touch()
"""
    done = run_tests(tmp_path, code)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert ended(tmp_path / "grandchild")
    assert ended(tmp_path / "grandchild.parent")


@pytest.mark.slow
def test_what_a_fixture_started_ends_when_it_fails_and_shared_servers_live_on(tmp_path):
    code = """
@pytest.fixture(scope="session")
def shared():
    yield start("shared")

@pytest.fixture
def failing():
    start("failing")
    raise RuntimeError

def test_fails_in_its_fixture(shared, failing):
    pass

def test_fails_itself(shared):
    start("own")
    raise AssertionError

def test_shared_lives_and_what_others_started_does_not(shared):
    time.sleep(0.2)
    import psutil
    def alive(name):
        pid = int(Path(name).read_text())
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"
    assert [alive(name) for name in ("shared", "failing", "own")] == [True, False, False]
    assert not alive("own.parent")
    assert not alive("failing.parent")
"""
    done = run_tests(tmp_path, code)
    assert "1 failed, 1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert ended(tmp_path / "shared")


@pytest.mark.parametrize(("factor", "limit"), [("1", "10.0"), ("2.5", "25.0")])
def test_one_factor_scales_all_limits(factor, limit):
    code = "import time_limits; print(time_limits.seconds(10))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HELPERS,
        capture_output=True,
        text=True,
        timeout=time_limits.seconds(30),
        env={**os.environ, time_limits.VARIABLE: factor},
        check=True,
    )
    assert float(done.stdout) == float(limit)


def test_pytest_s_own_limits_are_scaled(request):
    """The run that this test belongs to has its limits from the one place."""
    marker = request.node.get_closest_marker("timeout")
    limit = marker.args[0] if marker else float(request.config.getini("timeout"))
    if request.config.getoption("timeout") is None:
        assert limit == 600 * time_limits.FACTOR
