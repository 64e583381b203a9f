"""Set-up stops with one clear sentence where it cannot work, and at once where all is done."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from time_limits import seconds

ROOT = Path(__file__).parents[2]
STATE = ("requirements.lock", "pyproject.toml", "scripts/setup")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with all that set-up reads, and nothing set up."""
    copy = tmp_path / "checkout"
    for name in (*STATE, "scripts/choose_python", "scripts/uv.txt"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    return copy


def set_up(checkout: Path, *replaced: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs set-up with some commands of the machine replaced: ("uname", "echo Darwin")."""
    for name, script in replaced:
        tool = checkout.parent / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{checkout.parent / 'bin'}:/usr/bin:/bin",
        "PIP_INDEX_URL": "file:///nowhere",  # nothing is fetched here, and pip need not be asked
    }
    return subprocess.run(
        [str(checkout / "scripts/setup")],
        env=environment, capture_output=True, text=True, timeout=seconds(120),
    )  # fmt: skip


def pretend_uv_is_there(checkout: Path) -> None:
    (checkout / ".tools/uv").mkdir(parents=True)
    shutil.copy(checkout / "scripts/uv.txt", checkout / ".tools/uv/requirements.txt")


def stamp(checkout: Path) -> None:
    state = b"".join((checkout / name).read_bytes() for name in STATE) + f"{checkout}\n".encode()
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(shutil.which("true") or "/bin/true")
    (checkout / ".venv/tfx-loop.stamp").write_text(hashlib.sha256(state).hexdigest() + "\n")


@pytest.mark.parametrize(
    ("tool", "script", "expected"),
    [
        ("uname", 'test "$1" = -m && echo arm64 || echo Darwin', "TFX has wheels for Linux"),
        ("getconf", "exit 1", "TFX has wheels for Linux"),
        ("df", "printf 'head\\n- 1 1 461 1 /\\n'", "461 MB are free"),
    ],
)
def test_unfit_machine_gets_one_sentence(
    checkout: Path, tool: str, script: str, expected: str
) -> None:
    pretend_uv_is_there(checkout)
    done = set_up(checkout, (tool, script))
    assert done.returncode != 0
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_second_run_says_and_does_nothing(checkout: Path) -> None:
    stamp(checkout)
    done = set_up(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (checkout / ".tools").exists()


def test_changed_lock_is_noticed(checkout: Path) -> None:
    stamp(checkout)
    pretend_uv_is_there(checkout)
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    uv = checkout / ".tools/uv/bin/uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\necho 'error: error sending request'; exit 2\n")
    uv.chmod(0o755)
    done = set_up(checkout)
    assert done.returncode != 0
    assert "no connection came about" in done.stderr
    assert not (checkout / ".venv/tfx-loop.stamp").exists()


def test_unfinished_environment_is_thrown_away(checkout: Path) -> None:
    pretend_uv_is_there(checkout)
    (checkout / ".venv").mkdir()
    (checkout / ".venv/half").touch()
    set_up(checkout, ("df", "printf 'head\\n- 1 1 461 1 /\\n'"))
    assert not (checkout / ".venv/half").exists()
