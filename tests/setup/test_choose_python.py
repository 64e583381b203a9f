"""Set-up chooses the right Python, on machines made of a few small scripts on PATH."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from time_limits import seconds

ROOT = Path(__file__).parents[2]
TOOLS = ["bash", "env", "sort", "timeout", "sh"]

Machine = Callable[..., str]


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def chosen(tmp_path: Path) -> Machine:
    """Runs the choice on a machine with these Pythons (name to what its probe prints)."""

    def choose(
        *arguments: str,
        on_path: dict[str, str] | None = None,
        in_pyenv: dict[str, str] | None = None,
        glibc: str = "2.36",
    ) -> str:
        path, home = tmp_path / "bin", tmp_path / "home"
        path.mkdir()
        for tool in TOOLS:
            (path / tool).symlink_to(shutil.which(tool) or tool)
        executable(path / "getconf", f"echo glibc {glibc}")
        for name, answer in (on_path or {}).items():
            executable(path / name, f'{answer} "$0"')
        for version, answer in (in_pyenv or {}).items():
            executable(home / f".pyenv/versions/{version}/bin/python3", f'{answer} "$0"')
        done = subprocess.run(
            [str(ROOT / "scripts/choose_python"), *arguments],
            env={"PATH": str(path), "HOME": str(home)},
            capture_output=True, text=True, timeout=seconds(60),
        )  # fmt: skip
        return done.stdout.strip().replace(f"{tmp_path}/", "")

    return choose


def test_310_on_path_is_taken_first(chosen: Machine) -> None:
    on_path = {"python3.10": "echo 3.10", "python3.13": "echo 3.13", "python3": "echo 3.13"}
    assert chosen(on_path=on_path, in_pyenv={"3.10.9": "echo 3.10"}, glibc="2.41") == (
        "bin/python3.10"
    )


def test_python3_that_is_a_310_counts(chosen: Machine) -> None:
    assert chosen(on_path={"python3": "echo 3.10"}) == "bin/python3"


def test_shim_of_a_version_that_is_off_is_passed_over(chosen: Machine) -> None:
    off = "echo 'pyenv: python3.10: command not found' >&2; exit 127; true"
    found = chosen(on_path={"python3.10": off}, in_pyenv={"3.10.4": "echo 3.10"})
    assert found == "home/.pyenv/versions/3.10.4/bin/python3"


def test_newest_310_of_pyenv(chosen: Machine) -> None:
    in_pyenv = {"3.10.4": "echo 3.10", "3.10.13": "echo 3.10", "3.12.1": "echo 3.12"}
    assert chosen(in_pyenv=in_pyenv) == "home/.pyenv/versions/3.10.13/bin/python3"


def test_310_in_pyenv_goes_before_313_on_a_new_system(chosen: Machine) -> None:
    found = chosen(on_path={"python3": "echo 3.13"}, in_pyenv={"3.10.4": "echo 3.10"}, glibc="2.41")
    assert found == "home/.pyenv/versions/3.10.4/bin/python3"


def test_313_needs_a_new_glibc(chosen: Machine) -> None:
    assert chosen(on_path={"python3": "echo 3.13"}, glibc="2.38") == "fetch"


@pytest.mark.parametrize("glibc", ["2.39", "2.41", "3.0"])
def test_313_on_a_new_system(chosen: Machine, glibc: str) -> None:
    assert chosen(on_path={"python3": "echo 3.13"}, glibc=glibc) == "bin/python3"


@pytest.mark.parametrize("version", ["3.9", "3.14", "unfit"])
def test_other_versions_do_not_count(chosen: Machine, version: str) -> None:
    assert chosen(on_path={"python3": f"echo {version}"}, glibc="2.41") == "fetch"


def test_broken_python_does_not_count(chosen: Machine) -> None:
    assert chosen(on_path={"python3.10": "echo 3.10; exit 1; true"}) == "fetch"


def test_nothing_at_all(chosen: Machine) -> None:
    assert chosen() == "fetch"


def test_installer_is_one_with_pip_or_venv(chosen: Machine) -> None:
    on_path = {"python3.10": "echo unfit", "python3": "echo installer"}
    assert chosen("installer", on_path=on_path) == "bin/python3"


def test_no_installer(chosen: Machine) -> None:
    assert chosen("installer", on_path={"python3": "echo unfit"}) == ""
