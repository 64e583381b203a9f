"""Docker's interface as far as InfraValidator uses it, over processes of `loop-model-server`.

Tests have no daemon and no image of TensorFlow Serving. What stands in for them is the container
alone: the server is a real one with TensorFlow Serving's interface, and loads what was mounted.
"""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

from server_process import ServerProcess


class _Engine(ThreadingHTTPServer):
    """The containers by id, each a server that runs or will run.

    Attributes:
        folder: Where the mounts of each container are laid out.
        containers: What has been made.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.folder = folder
        self.containers: dict[str, ServerProcess] = {}

    def create(self, asked: dict) -> str:
        """Lays out the mounts of a container; returns its id."""
        name = f"{len(self.containers):012x}"
        settings = dict(setting.split("=", 1) for setting in asked["Env"])
        root = self.folder / name
        for mount in asked["HostConfig"]["Mounts"]:
            shutil.copytree(mount["Source"], root / PurePosixPath(mount["Target"]).relative_to("/"))
        base = root / settings["MODEL_BASE_PATH"].strip("/") / settings["MODEL_NAME"]
        self.containers[name] = ServerProcess(base, root, model_name=settings["MODEL_NAME"])
        return name

    def state(self, name: str) -> dict:
        """Returns what is told of a container."""
        server = self.containers[name]
        ports = {"8500/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(server.grpc_port)}]}
        status = "running" if server.process else "created"
        return {
            "Id": name,
            "State": {"Status": status},
            "NetworkSettings": {"Ports": ports if server.process else {}},
        }


class _Call(BaseHTTPRequestHandler):
    server: _Engine

    def do_GET(self) -> None:
        name = self._name()
        if self.path.endswith("/json"):
            self._answer(200, self.server.state(name))
        else:
            self._answer(404, {"message": self.path})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        action = self.path.split("?")[0].rpartition("/")[2]
        if action == "create":
            self._answer(201, {"Id": self.server.create(json.loads(body)), "Warnings": []})
        elif action == "start":
            self.server.containers[self._name()].start()
            self._answer(204)
        elif action == "stop":
            self.server.containers[self._name()].stop()
            self._answer(204)
        else:
            self._answer(404, {"message": self.path})

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _name(self) -> str:
        found = re.search(r"/containers/(\w+)/", self.path)
        return found[1] if found else ""

    def _answer(self, status: int, content: dict | None = None) -> None:
        self.send_response(status)
        text = json.dumps(content).encode() if content is not None else b""
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def container_engine(folder: Path) -> Iterator[tuple[str, dict[str, ServerProcess]]]:
    """Yields the address of an engine, and its containers; stops what still runs."""
    engine = _Engine(folder)
    thread = threading.Thread(target=engine.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{engine.server_address[1]}", engine.containers
    finally:
        engine.shutdown()
        thread.join()
        engine.server_close()
        for server in engine.containers.values():
            if server.process:
                server.stop()
