"""Where the compiler is looked for, and with which options it is run."""

import json
import os
import sys

import pytest
from edgetpu_pairs import needs_pairs, source, twin
from fake_compiler import copying, write_compiler

from tfx_loop.core.errors import ChildFailed, ConfigError
from tfx_loop.edge.edgetpu_compiler.settings import CompilerSettings
from tfx_loop.edge.edgetpu_compiler.toolchain.compilation import compile_models
from tfx_loop.edge.edgetpu_compiler.toolchain.compiler import find


@pytest.fixture
def path_of(tmp_path, monkeypatch):
    """A PATH that holds nothing but what the test puts there."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def engine(path, body="os.execv(command[0], command)"):
    """Writes a container engine that runs the command in the mounted folder, without container.

    Docker's daemon is not here; what this stands for is the folder and the arguments.
    """
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\n"
        f"with open({str(path.parent / 'calls')!r}, 'a') as calls: "
        "calls.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "if sys.argv[1] != 'run': sys.exit(0)\n"
        "rest = sys.argv[sys.argv.index('IMAGE') + 1:]\n"
        f"command = [{str(path.parent / 'inside' / 'edgetpu_compiler')!r}, *rest[1:]]\n"
        "os.chdir(sys.argv[sys.argv.index('--volume') + 1].split(':')[0])\n" + body + "\n"
    )
    path.chmod(0o755)


def calls(path_of):
    return [json.loads(line) for line in (path_of / "calls").read_text().splitlines()]


def test_nothing_is_found_where_nothing_is(path_of):
    assert find(CompilerSettings()) is None


def test_the_path_is_searched(path_of):
    executable = write_compiler(path_of / "edgetpu_compiler", "")
    found = find(CompilerSettings())
    assert (found.command, found.engine) == (str(executable), "")
    assert found.version == "16.0.384591198"


def test_the_setting_goes_before_the_path(path_of, tmp_path):
    write_compiler(path_of / "edgetpu_compiler", "")
    chosen = write_compiler(tmp_path / "mine", "")
    assert find(CompilerSettings(executable=str(chosen))).command == str(chosen)


def test_a_named_executable_that_is_absent_is_not_replaced(path_of, tmp_path):
    write_compiler(path_of / "edgetpu_compiler", "")
    with pytest.raises(ConfigError, match=r"found none.*coral\.ai/docs/edgetpu/compiler"):
        find(CompilerSettings(executable=str(tmp_path / "absent")))


def test_a_binary_for_another_machine_says_so(path_of):
    binary = path_of / "edgetpu_compiler"
    binary.write_bytes(b"\x7fELF not for here")
    binary.chmod(0o755)
    with pytest.raises(ConfigError, match="x86-64"):
        find(CompilerSettings())


def test_a_compiler_that_does_not_say_its_version_may_still_work(path_of):
    executable = path_of / "edgetpu_compiler"
    executable.write_text("#!/bin/sh\nexit 0\n")
    executable.chmod(0o755)
    assert find(CompilerSettings()).version == ""


def test_an_image_without_an_engine_is_an_error(path_of):
    with pytest.raises(ConfigError, match="podman or docker"):
        find(CompilerSettings(container_image="IMAGE"))


def test_an_image_that_does_not_run_is_an_error(path_of):
    engine(path_of / "podman", "print('no such image'); sys.exit(125)")
    with pytest.raises(ConfigError, match=r"no such image.*docker/edgetpu\.Dockerfile"):
        find(CompilerSettings(container_image="IMAGE"))


@needs_pairs
def test_the_container_gets_the_scratch_folder_and_nothing_else(path_of, tmp_path):
    engine(path_of / "podman")
    write_compiler(path_of / "inside" / "edgetpu_compiler", copying(twin()))
    settings = CompilerSettings(container_image="IMAGE", memory_mb=3000)
    found = find(settings)
    assert found.place == "edgetpu_compiler in IMAGE (podman)"
    result = compile_models([source()], tmp_path / "compiled", found, settings)
    assert result.models[0].path.read_bytes() == twin().read_bytes()
    run = calls(path_of)[-1]
    assert run[run.index("--network") + 1] == "none"
    assert run[run.index("--memory") + 1] == "3000m"
    assert "--read-only" in run
    assert run.count("--volume") == 1


@pytest.mark.slow
def test_a_container_that_hangs_is_removed(path_of, tmp_path):
    engine(path_of / "podman")
    write_compiler(path_of / "inside" / "edgetpu_compiler", "time.sleep(60)")
    settings = CompilerSettings(container_image="IMAGE", timeout_seconds=1)
    model = tmp_path / "m.tflite"
    model.touch()
    with pytest.raises(ChildFailed, match="no end after 1 s"):
        compile_models([model], tmp_path / "compiled", find(settings), settings)
    *_, run, stop = calls(path_of)
    assert stop == ["rm", "--force", run[run.index("--name") + 1]]


@pytest.mark.parametrize(("version", "timed"), [("16.0.384591198", True), ("14.1.3", False)])
def test_the_compiler_s_own_timer_is_set_where_it_has_one(path_of, tmp_path, version, timed):
    seen = tmp_path / "seen"
    executable = write_compiler(
        path_of / "edgetpu_compiler", f"open({str(seen)!r}, 'w').write(repr(arguments))"
    )
    executable.write_text(executable.read_text().replace("16.0.384591198", version))
    settings = CompilerSettings(timeout_seconds=77, min_runtime_version=13, search_delegate=True)
    model = tmp_path / "m.tflite"
    model.touch()
    with pytest.raises(ChildFailed):
        compile_models([model], tmp_path / "compiled", find(settings), settings)
    options = seen.read_text()
    assert "'--show_operations', '--out_dir', 'out'" in options
    assert "'--min_runtime_version', '13', '--search_delegate'" in options
    assert ("'--timeout_sec', '77'" in options) is timed


@pytest.mark.parametrize(
    "wrong", [{"min_mapped_share": 1.5}, {"timeout_seconds": 0}, {"memory_mb": float("nan")}]
)
def test_settings_that_cannot_work(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CompilerSettings(**wrong)


def test_no_file_of_a_run_is_left_behind(path_of, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    write_compiler(path_of / "edgetpu_compiler", "sys.exit(1)")
    settings = CompilerSettings()
    model = tmp_path / "m.tflite"
    model.touch()
    with pytest.raises(ChildFailed):
        compile_models([model], tmp_path / "compiled", find(settings), settings)
    assert os.listdir(scratch) == []
