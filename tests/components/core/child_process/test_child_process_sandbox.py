"""What a child can do to the machine: it reads, computes, and writes into its own folders alone."""

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from tfx_loop.core.child_process import foreign_program, sandbox
from tfx_loop.core.child_process.worker import Worker


def call(worker, function, payload):
    return worker.call(f"sandboxed_work:{function}", payload, doing="work in a sandbox")


@pytest.fixture
def worker():
    with Worker(timeout_seconds=60) as made:
        yield made


@pytest.fixture(autouse=True)
def _this_kernel_confines(worker, caplog):
    call(worker, "nothing", None)
    if "kernel_refused" in caplog.text:
        pytest.skip(f"this kernel does not confine: {caplog.text}")


@pytest.mark.slow
def test_a_child_writes_into_its_folders_alone(tmp_path, worker):
    mine, other = tmp_path / "mine", tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("before")
    (other / "empty").mkdir()
    worker.may_write(mine)
    assert call(worker, "write", str(mine / "a" / "file")) == ""
    assert (mine / "a" / "file").read_text() == "written"
    assert call(worker, "write", f"{worker.folder}/file") == ""
    assert call(worker, "write_temporary", None).startswith(worker.folder)
    for harm, path in (
        ("write", other / "new"),
        ("write", other / "file"),
        ("append", other / "file"),
        ("truncate", other / "file"),
        ("remove", other / "file"),
        ("remove_folder", other / "empty"),
        ("link", other / "link"),
        ("rename_into", other / "file"),
        ("write", Path.home() / f".loop-{os.getpid()}"),
    ):
        assert call(worker, harm, str(path)) in ("PermissionError", "OSError"), harm
    # A link in its own folder leads nowhere that it could not go.
    (mine / "link").symlink_to(other / "file")
    assert call(worker, "append", str(mine / "link")) == "PermissionError"
    assert {path.name for path in other.iterdir()} == {"file", "empty"}
    assert (other / "file").read_text() == "before"
    assert call(worker, "read", str(other / "file")) == "before"


def test_a_child_reaches_no_network(worker):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        host, port = server.getsockname()
        accepted = []
        waiting = threading.Thread(target=lambda: accepted.append(server.accept()))
        waiting.start()
        assert call(worker, "connect", [host, port]) in ("PermissionError", "OSError")
        assert call(worker, "send_datagram", [host, port]) == "OSError"
        assert not accepted
        with socket.create_connection((host, port)):
            waiting.join()


def test_a_child_ends_no_process_of_ours(worker):
    assert call(worker, "signal", os.getpid()) == "PermissionError"


def test_what_a_child_starts_is_confined_too(tmp_path, worker):
    assert call(worker, "write_by_shell", str(tmp_path / "file")) != "0"
    assert not (tmp_path / "file").exists()


def test_a_folder_is_made_and_a_child_that_may_write_there_runs_on(worker):
    starts = worker.starts
    worker.may_write(f"{worker.folder}/new")
    assert call(worker, "write", f"{worker.folder}/new/file") == ""
    assert worker.starts == starts


def test_the_folder_of_a_worker_goes_with_it(worker):
    folder = worker.folder
    assert Path(folder).is_dir()
    worker.close()
    assert call(worker, "write", f"{folder}/file") == ""


def test_a_kernel_that_refuses_is_told_once(monkeypatch, caplog):
    from tfx_loop.core.child_process import worker as module

    monkeypatch.setattr(module, "_told", set())
    for _ in range(2):
        module._tell_once("network, writes")
        module._tell_once("")
    lines = [r.message for r in caplog.records if "kernel_refused" in r.message]
    assert lines == ["child confined=partly kernel_refused=network, writes"]


class RefusingKernel:
    """Stands for the C library of a kernel with neither: this one has both."""

    def unshare(self, _):
        return -1

    def syscall(self, *_):
        return -1


def test_what_the_kernel_refuses_is_named(monkeypatch):
    monkeypatch.setattr(sandbox.ctypes, "CDLL", lambda *_, **__: RefusingKernel())
    assert sandbox.confine([]) == "network, writes"


def test_a_foreign_program_is_confined_as_a_child_is(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    code = f"echo a > {mine}/file; echo b > {other}/file; exit 7"
    limits = foreign_program.ProgramLimits(timeout_seconds=60, memory_mb=1024)
    done = foreign_program.run(["sh", "-c", code], cwd=mine, limits=limits, writable=[str(mine)])
    assert done.returncode == 7
    assert "ermission denied" in done.text
    assert (mine / "file").read_text() == "a\n"
    assert not any(other.iterdir())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        command = [sys.executable, "-c", connect]
        assert foreign_program.run(command, cwd=mine, limits=limits).returncode == 0
        done = foreign_program.run(command, cwd=mine, limits=limits, writable=[str(mine)])
        assert done.returncode == 1


def test_a_foreign_program_that_is_not_there_cannot_be_started(tmp_path):
    limits = foreign_program.ProgramLimits(timeout_seconds=60, memory_mb=1024)
    with pytest.raises(FileNotFoundError):
        foreign_program.run(["no-such-program"], cwd=tmp_path, limits=limits, writable=[])
