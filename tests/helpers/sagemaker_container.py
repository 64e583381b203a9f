"""Containers of the loopback SageMaker: /ping and /invocations over an unpacked model.tar.gz.

The rules are those of AWS' TensorFlow inference image (its `serve.py`, `tfs_utils.py` and
`tensorflowServing.js`): which folders are models, which content types are taken, what a body means.
Behind them stands a real `loop-model-server`, or for flows that are run dozens of times a model
that answers a number made of its file.
"""

import hashlib
import http.client
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from server_process import ServerProcess

# What the image's nginx hands on as JSON; anything else but text/csv is 415.
_JSON_TYPES = ("application/json", "application/jsonlines", "application/jsons")
DEFAULT_MODEL = "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"


class LayoutError(Exception):
    """An archive that the container does not start on."""


class Container(Protocol):
    """A running container."""

    def ping(self) -> int:
        """Returns the status of GET /ping."""

    def invoke(self, body: bytes, content_type: str, attributes: str) -> tuple[int, bytes]:
        """Returns status and body of POST /invocations."""

    def stop(self) -> None:
        """Ends it."""


OpenContainer = Callable[[Path, Mapping[str, str]], Container]


def unpacked(archive: Path) -> Path:
    """Returns a new folder with what an archive holds; refuses what leaves it."""
    root = Path(tempfile.mkdtemp(prefix="sagemaker-container-"))
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            parts = member.name.split("/")
            if (
                member.name.startswith("/")
                or ".." in parts
                or not (member.isfile() or member.isdir())
            ):
                raise LayoutError(f"unsafe member {member.name}")
        # Checked above, member by member.
        tar.extractall(root)  # noqa: S202
    return root


def served_model(root: Path, environment: Mapping[str, str]) -> tuple[str, Path]:
    """Returns name and base path of the model that /invocations asks.

    Raises:
        LayoutError: No folder called by digits holds a saved_model.pb, or the default name is that
            of no model.
    """
    found = {
        file.parent.parent
        for file in root.rglob("saved_model.pb")
        if re.fullmatch(r"\d+", file.parent.name)
    }
    if not found:
        raise LayoutError("no SavedModel bundles found!")
    names = {base.name: base for base in sorted(found)}
    # Without the variable the image takes the first that it comes upon.
    name = environment.get(DEFAULT_MODEL) or next(iter(names))
    if name not in names:
        raise LayoutError(f"no model {name!r} among {sorted(names)}")
    return name, names[name]


def tfs_body(body: bytes, content_type: str) -> str | None:
    """Returns the JSON that TF Serving is sent for a body; None for a type that is not taken."""
    text = body.decode()
    if content_type == "text/csv":
        rows = [line.split(",") for line in text.strip().splitlines()]
        return json.dumps({"instances": [[float(value) for value in row] for row in rows]})
    if content_type not in _JSON_TYPES:
        return None
    if re.search(r'"(instances|inputs|examples)"\s*:', text):
        return text
    if re.search(r"[}\]]\s*[\[{]", text):
        rows = ",".join(text.strip().splitlines())
        return f'{{"instances":[{rows}]}}'
    rows = text if re.match(r"\s*\[\s*\[", text) else f"[{text}]"
    return f'{{"instances":{rows}}}'


def unsupported(content_type: str) -> tuple[int, bytes]:
    """Returns what the image answers to a content type that it does not take."""
    message = f"Unsupported Media Type: {content_type or 'Unknown'}"
    return 415, json.dumps({"error": message}).encode()


class ServerContainer:
    """A container with a real `loop-model-server`."""

    def __init__(self, archive: Path, environment: Mapping[str, str]) -> None:
        """Unpacks and starts; raises LayoutError."""
        self._root = unpacked(archive)
        self._name, base = served_model(self._root, environment)
        self._server = ServerProcess(base, self._root, model_name=self._name).start()

    def ping(self) -> int:
        """Returns 200 where a version is available."""
        try:
            status, answer = self._ask("GET", "", b"")
        except OSError:
            return 502
        return 200 if status == 200 and b'"AVAILABLE"' in answer else 502

    def invoke(self, body: bytes, content_type: str, attributes: str) -> tuple[int, bytes]:
        """Returns what the server answers."""
        text = tfs_body(body, content_type)
        if text is None:
            return unsupported(content_type)
        method = re.search(r"tfs-method=([^,]+)", attributes)
        return self._ask("POST", f":{method[1] if method else 'predict'}", text.encode())

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()
        shutil.rmtree(self._root)

    def _ask(self, method: str, verb: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.rest_port, timeout=60)
        try:
            path = f"/v1/models/{self._name}{verb}"
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def answer_of(content: bytes) -> float:
    """Returns what a NumberContainer answers for each row, made of a saved_model.pb."""
    return int(hashlib.sha256(content).hexdigest()[:6], 16) / 16**6


class NumberContainer:
    """A container whose model answers one number for each row: for flows, not for models."""

    def __init__(self, archive: Path, environment: Mapping[str, str]) -> None:
        """Unpacks; raises LayoutError."""
        self._root = unpacked(archive)
        _, base = served_model(self._root, environment)
        (version,) = base.iterdir()
        self._content = (version / "saved_model.pb").read_bytes()
        self.stopped = False

    def ping(self) -> int:
        """Returns 200, unless the model's file says that it does not load."""
        return 502 if b"does not load" in self._content else 200

    def invoke(self, body: bytes, content_type: str, attributes: str) -> tuple[int, bytes]:
        """Returns the number once for each instance."""
        if self.stopped:
            return 503, b'{"error": "stopped"}'
        text = tfs_body(body, content_type)
        if text is None:
            return unsupported(content_type)
        if b"fails" in self._content:
            return 500, b'{"error": "the graph failed"}'
        instances = json.loads(text)["instances"]
        rows = [[answer_of(self._content)] for _ in instances]
        return 200, json.dumps({"predictions": rows}).encode()

    def stop(self) -> None:
        """Ends it: a request that comes later is one that was lost."""
        self.stopped = True
        shutil.rmtree(self._root)
