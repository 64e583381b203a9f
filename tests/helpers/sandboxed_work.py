"""What code that got past the guard would try, called in a child: each returns its error's name."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path


def _tried(harm):
    try:
        harm()
    except OSError as error:
        return type(error).__name__
    return ""


def nothing(_):
    return None


def read(path):
    return Path(path).read_text()


def write(path):
    def harm():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("written")

    return _tried(harm)


def write_temporary(_):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
        return file.name


def append(path):
    return _tried(lambda: open(path, "a").write("more"))


def truncate(path):
    return _tried(lambda: os.truncate(path, 0))


def remove(path):
    return _tried(lambda: os.remove(path))


def remove_folder(path):
    return _tried(lambda: os.rmdir(path))


def link(path):
    return _tried(lambda: os.symlink("/etc/hostname", path))


def rename_into(path):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_text("mine")
        return _tried(lambda: shutil.move(f"{folder}/file", path))


def connect(address):
    return _tried(lambda: socket.create_connection(tuple(address), 5).close())


def send_datagram(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return _tried(lambda: sender.sendto(b"x", tuple(address)))


def signal(pid):
    return _tried(lambda: os.kill(pid, 0))


def write_by_shell(path):
    command = ["sh", "-c", f"echo harm > {path}"]
    return str(subprocess.run(command, stderr=subprocess.DEVNULL).returncode)
