"""A REST client of a model server, ours or TF Serving."""

import base64
import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from tfx_loop.core.errors import ConfigError, ModelRejected, ServerUnavailable, ServingError
from tfx_loop.deployment.server_access.credentials import ANONYMOUS, Credentials
from tfx_loop.deployment.server_access.headers import (
    CANDIDATE_HEADER,
    EVENT_TIME_HEADER,
    GOLDEN_HEADER,
    REQUEST_ID_HEADER,
    REQUEST_KEY_HEADER,
)

# Far beyond an answer of milliseconds, and short enough that a push notices a server that hangs.
DEFAULT_TIMEOUT_SECONDS = 10.0
# What a kept connection raises that the server closed meanwhile. Asking again is safe: the request
# keeps its id.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
# After each the deadline is looked at: small beside an answer of megabytes, large beside a call.
_PIECE_BYTES = 256 * 1024

Columns = Mapping[str, Any]
Outputs = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class VersionState:
    """What the server says about one version.

    Attributes:
        version: The number of the version's folder.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: Why it is not served, empty when nothing failed.
        candidate: Whether it is loaded beside the one that serves, and takes none of the traffic
            that names no version, or a canary's share; our server's word.
    """

    version: int
    state: str
    error: str
    candidate: bool = False


class ModelClient:
    """Talks to one model of one server over a kept connection; usable from several threads.

    Every predict carries a request id, so that repeating a request counts once in the log.
    """

    def __init__(
        self,
        base_url: str,
        model_name: str,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        credentials: Credentials = ANONYMOUS,
    ) -> None:
        """Remembers where the server is; connects with the first request.

        Args:
            base_url: For example `http://127.0.0.1:8501`.
            model_name: The name that the server serves the model under.
            timeout: Seconds that one request may take, unless told otherwise.
            credentials: What is shown to the server, and by what it is known.

        Raises:
            ConfigError: No such address can be, or it does not fit the credentials.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"Expected a server address such as http://127.0.0.1:8501, received: {base_url!r}."
            )
        credentials.check(parts.scheme, parts.hostname)
        self._credentials = credentials
        self._tls = credentials.context() if parts.scheme == "https" else None
        # The ports of https and http.
        self._address = (parts.hostname, parts.port or (443 if self._tls else 80))
        self._path = f"{parts.path.rstrip('/')}/v1/models/{quote(model_name, safe='')}"
        self._timeout = timeout
        # http.client's connections are for one thread at a time: each gets its own.
        self._local = threading.local()
        self._output_names: dict[tuple[str, int | None], list[str]] = {}
        self.base_url = base_url.rstrip("/")
        self.model_name = model_name

    def status(self, timeout: float | None = None) -> list[VersionState]:
        """Returns the states of all versions, newest first; empty when there is none yet.

        Raises:
            ServerUnavailable: The server does not answer.
            ServingError: It answers with an error.
        """
        code, content, headers = self._request("GET", self._path, None, {}, timeout)
        beside = headers.get(CANDIDATE_HEADER, "").split(",")
        if code == http.client.NOT_FOUND:
            return []
        self._expect_ok(code, content)
        states = [
            VersionState(
                version=int(item["version"]),
                state=str(item["state"]),
                error=str(item.get("status", {}).get("error_message", "")),
                candidate=str(item["version"]) in beside,
            )
            for item in content.get("model_version_status", [])
        ]
        return sorted(states, key=lambda state: -state.version)

    def loads_candidates(self) -> bool:
        """Says whether the server loads a version to be proven before it takes traffic.

        Raises:
            ServerUnavailable: The server does not answer.
        """
        return CANDIDATE_HEADER in self._request("GET", self._path, None, {}, None)[2]

    def routes_by_record(self) -> bool:
        """Says whether its traffic goes by `deployment.json`; raises as `loads_candidates`."""
        return self.loads_candidates()

    def folders(self) -> dict[str, str]:
        """Returns `model_base_path` and `prediction_log` of a `loop-model-server` on this machine.

        Raises:
            ServerUnavailable: The server does not answer.
            ServingError: It is another server, or on another machine: it does not say.
        """
        code, content, _ = self._request("GET", f"{self._path}/folders", None, {}, None)
        self._expect_ok(code, content)
        return {name: str(folder) for name, folder in content.items()}

    def metadata(
        self, timeout: float | None = None, *, version: int | None = None
    ) -> dict[str, Any]:
        """Returns the signatures of a version, as TF Serving's metadata shows them.

        Args:
            timeout: Seconds; by default the client's own.
            version: By default the one that serves.
        """
        path = f"{self._path_of(version)}/metadata"
        code, content, _ = self._request("GET", path, None, {}, timeout)
        self._expect_ok(code, content)
        return content

    def predict(
        self,
        columns: Columns | None = None,
        *,
        instances: Sequence[Any] | None = None,
        signature_name: str = "",
        version: int | None = None,
        request_id: str | None = None,
        event_time_ms: int | None = None,
        request_key: str | None = None,
        golden_token: str = "",
        timeout: float | None = None,
    ) -> Outputs:
        """Returns the outputs by name, each a list with one item per row.

        Args:
            columns: Input name to values (arrays or lists, equally long). Bytes go as base64.
            instances: The rows instead, one object or value each.
            signature_name: Empty for `serving_default`.
            version: A version to insist on; by default the one that serves.
            request_id: Id of the request in the log; a repeat of the same inputs with it counts
                once.
            request_key: What makes requests one and the same instead, whatever they ask.
            golden_token: Token of the push that asks to see whether the model answers right.
            event_time_ms: When it happened, in milliseconds UTC; by default the server's clock.
            timeout: Seconds; a request that lasts longer raises ServerUnavailable.

        Raises:
            ServerUnavailable: No connection, a timeout, or the server cannot log (503).
            ModelRejected: The model, version or signature is not served (404).
            ServingError: The request is wrong, or the model failed on it.
        """
        if (columns is None) == (instances is None):
            raise ConfigError("Expected either columns or instances.")
        body: dict[str, Any] = {"signature_name": signature_name} if signature_name else {}
        if columns is not None:
            body["inputs"] = {name: plain(values) for name, values in columns.items()}
        else:
            body["instances"] = plain(instances)
        headers = {REQUEST_ID_HEADER: request_id or uuid.uuid4().hex}
        if event_time_ms is not None:
            headers[EVENT_TIME_HEADER] = str(int(event_time_ms))
        if request_key is not None:
            headers[REQUEST_KEY_HEADER] = request_key
        if golden_token:
            headers[GOLDEN_HEADER] = golden_token
        path = f"{self._path_of(version)}:predict"
        code, content, _ = self._request("POST", path, json.dumps(body).encode(), headers, timeout)
        self._expect_ok(code, content)
        return self._named_outputs(content, signature_name, version)

    def close(self) -> None:
        """Closes the connection of this thread."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
        self._local.connection = None

    def _path_of(self, version: int | None) -> str:
        return self._path if version is None else f"{self._path}/versions/{version}"

    def _named_outputs(
        self, content: dict[str, Any], signature_name: str, version: int | None
    ) -> Outputs:
        if "outputs" in content:
            outputs = content["outputs"]
            if isinstance(outputs, dict):
                return outputs
            return {self._single_output(signature_name, version): outputs}
        rows = content.get("predictions")
        if not isinstance(rows, list):
            raise ServingError(f"Expected predictions from {self.base_url}, received: {content}.")
        # An object with the one key b64 is a text in base64, the only output of its row.
        if rows and isinstance(rows[0], dict) and set(rows[0]) != {"b64"}:
            return {name: [row[name] for row in rows] for name in rows[0]}
        return {self._single_output(signature_name, version): rows}

    def _single_output(self, signature_name: str, version: int | None) -> str:
        """Returns the name that TF Serving leaves out when a signature has one output only."""
        key = (signature_name or "serving_default", version)
        if key not in self._output_names:
            metadata = self.metadata(version=version)
            signatures = metadata["metadata"]["signature_def"]["signature_def"]
            self._output_names[key] = sorted(signatures[key[0]]["outputs"])
        return self._output_names[key][0]

    def _expect_ok(self, code: int, content: dict[str, Any]) -> None:
        if code == http.client.OK:
            return
        message = f"{self.base_url} answered {code}: {content.get('error', content)}"
        if code == http.client.NOT_FOUND:
            raise ModelRejected(message)
        if code == http.client.SERVICE_UNAVAILABLE:
            raise ServerUnavailable(message)
        raise ServingError(message)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout: float | None,
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        seconds = self._timeout if timeout is None else timeout
        try:
            try:
                code, raw, got = self._exchange(method, path, body, headers, seconds)
            except _STALE:
                # The server may close a kept connection at any time: once more, on a new one.
                self.close()
                code, raw, got = self._exchange(method, path, body, headers, seconds)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ServerUnavailable(
                f"No answer from {self.base_url} within {seconds:g} s "
                f"({type(error).__name__}: {error}). Is the model server running?"
            ) from error
        return code, _json_object(raw, code, self.base_url), got

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> tuple[int, bytes, Mapping[str, str]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            if self._tls is None:
                connection = http.client.HTTPConnection(*self._address, timeout=seconds)
            else:
                connection = http.client.HTTPSConnection(
                    *self._address, timeout=seconds, context=self._tls
                )
            self._local.connection = connection
        elif connection.sock is not None:
            connection.sock.settimeout(seconds)
        connection.timeout = seconds
        deadline = time.monotonic() + seconds
        sent = {"Content-Type": "application/json", **headers, **self._credentials.headers()}
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        body_read = _read_until(deadline, response, connection.sock)
        return response.status, body_read, {k.lower(): v for k, v in response.getheaders()}


def _read_until(
    deadline: float, response: http.client.HTTPResponse, kept: socket.socket | None
) -> bytes:
    """Reads a body to its end; a socket's own time-out starts anew with every piece."""
    parts: list[bytes] = []
    while part := response.read1(_PIECE_BYTES):
        parts.append(part)
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer came in pieces, and not to its end")
        # A server that closes after its answer has left no socket to set.
        if kept is not None and kept.fileno() >= 0:
            kept.settimeout(left)
    # read1 leaves a response open at the end of its body, and the connection with it.
    response.close()
    return b"".join(parts)


def _json_object(raw: bytes, code: int, base_url: str) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise ServingError(
            f"Expected JSON from {base_url}, received {code}: {raw[:200]!r}."
        ) from error
    if not isinstance(content, dict):
        raise ServingError(f"Expected a JSON object from {base_url}, received: {raw[:200]!r}.")
    return content


def plain(value: Any) -> Any:
    """Returns what JSON can carry: lists for arrays, {"b64": ...} for bytes."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
