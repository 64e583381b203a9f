"""Set-up without a C++ compiler, with a uv and a zig that note how they are called."""

import shutil
import subprocess
from pathlib import Path

import pytest
from time_limits import seconds

ROOT = Path(__file__).parents[2]
FILES = ("requirements.lock", "pyproject.toml", "scripts/setup", "scripts/choose_python",
         "scripts/uv.txt", "scripts/zig.txt", "scripts/zigcxx")  # fmt: skip
TOOLS = ("awk", "bash", "cat", "chmod", "cmp", "cp", "cut", "df", "dirname", "env", "flock",
         "getconf", "grep", "ln", "mkdir", "rm", "sed", "sh", "sha256sum", "sort", "tail", "tee",
         "timeout", "uname")  # fmt: skip
PYTHON = """
case "$2" in *Python.h*) echo 3.10 "$0" ;; *) echo installer "$0" ;; esac
"""
UV = """
zig="$TOOLS/zig/ziglang"
case "$*" in
    venv*) mkdir -p .venv/bin && ln -s "$(command -v env)" .venv/bin/python ;;
    *scripts/zig.txt*)
        echo "fetch zig" >>"$NOTES"
        mkdir -p "$zig" && echo "$ZIG" >"$zig/zig" && chmod +x "$zig/zig" ;;
    *pyfarmhash*) "$CXX" -c one.cc -o one.o && "$CXX" -shared one.o -o one.so ;;
    *sync*) echo "sync, CXX=${CXX:-}" >>"$NOTES" ;;
esac
"""
WORKING_ZIG = '#!/bin/sh\necho "zig $*" >>"$NOTES"'
BROKEN_ZIG = "#!/bin/sh\necho 'error: unknown target' >&2; exit 1"


class Machine:
    """A machine with `bin` as its PATH, a new checkout, and notes of what uv and zig were asked."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.checkout, self._notes = (
            folder / "bin",
            folder / "a checkout",
            folder / "notes",
        )
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.has("python3", PYTHON)
        for name in FILES:
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        self._executable(self.checkout / ".tools/uv/bin/uv", UV)
        shutil.copy(ROOT / "scripts/uv.txt", self.checkout / ".tools/uv/requirements.txt")

    def _executable(self, path: Path, script: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def has(self, command: str, script: str = "") -> None:
        self._executable(self.bin / command, script)

    def set_up(self, zig: str = WORKING_ZIG) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.bin), "HOME": str(self.bin.parent), "PIP_INDEX_URL": "file:///nowhere",
            "TOOLS": str(self.checkout / ".tools"), "NOTES": str(self._notes), "ZIG": zig,
        }  # fmt: skip
        return subprocess.run(
            [str(self.checkout / "scripts/setup")],
            env=environment, capture_output=True, text=True, timeout=seconds(60),
        )  # fmt: skip

    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_zig_compiles_before_the_packages_and_goes_away(machine: Machine) -> None:
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    fetched, compiled, linked, synced = machine.notes()
    assert fetched == "fetch zig"
    assert compiled.startswith("zig c++ ")
    assert compiled.endswith(" -c one.cc -o one.o")
    assert linked.startswith("zig c++ ")
    assert linked.endswith(" -nostdlib++ -shared one.o -o one.so")
    assert synced == "sync, CXX="
    assert "no C++ compiler here" in done.stdout
    assert not (machine.checkout / ".tools/zig").exists()


@pytest.mark.parametrize("there", [("cc", "c++"), ("cc",), ("c++",)])
def test_zig_is_fetched_only_where_a_compiler_is_missing(
    machine: Machine, there: tuple[str, ...]
) -> None:
    for command in there:
        machine.has(command)
    assert machine.set_up().returncode == 0
    assert ("fetch zig" in machine.notes()) == (there != ("cc", "c++"))


def test_what_was_compiled_once_is_kept(machine: Machine) -> None:
    assert machine.set_up().returncode == 0
    packages = machine.checkout / ".venv/lib/python3.10/site-packages"
    packages.mkdir(parents=True)
    (packages / "farmhash.cpython-310-x86_64-linux-gnu.so").touch()
    with (machine.checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert machine.set_up().returncode == 0
    assert machine.notes().count("fetch zig") == 1
    assert machine.notes()[-1] == "sync, CXX="


def test_one_sentence_when_zig_fails_too(machine: Machine) -> None:
    done = machine.set_up(zig=BROKEN_ZIG)
    assert done.returncode != 0
    (sentence,) = done.stderr.strip().splitlines()
    assert "with g++ installed, zig is not needed" in sentence
    assert "unknown target" in sentence
    assert machine.notes() == ["fetch zig"]
    assert not (machine.checkout / ".venv/tfx-loop.stamp").exists()
