"""What the server does with a request, whether it came over REST or gRPC."""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tfx_loop.core.errors import DataError, ModelRejected
from tfx_loop.data.prediction_log.record import (
    MAX_EVENT_TIME_MS,
    Array,
    check_event_time,
    check_request_id,
)
from tfx_loop.deployment.model_server.logging_gateway import LoggingGateway, PredictCall, Servable
from tfx_loop.deployment.model_server.versions import Versions, VersionStatus

REQUEST_ID_HEADER = "x-request-id"
EVENT_TIME_HEADER = "x-event-time-ms"
# A client's own word for which requests are one and the same; without it, id and inputs say so.
REQUEST_KEY_HEADER = "x-loop-request-key"
# The token of the push that holds the base path: whoever cannot write there cannot send it.
GOLDEN_HEADER = "x-loop-golden"
IDENTITY_HEADERS = (REQUEST_ID_HEADER, EVENT_TIME_HEADER, REQUEST_KEY_HEADER, GOLDEN_HEADER)
# On the status: which version is being proven; there, and empty, where none is.
CANDIDATE_HEADER = "x-loop-candidate"
STABLE_LABEL, CANARY_LABEL = "stable", "canary"
VERSION_HEADER = "x-model-version"


@dataclass(frozen=True, kw_only=True)
class RequestIdentity:
    """Which request it is, and when what it asks about happened.

    Attributes:
        request_id: The client's, or a new one.
        event_time_ms: The client's, or now.
        request_key: The client's, or empty.
        is_new: Whether the server made the id, so that no other request has it.
        golden: Whether the pusher asks.
    """

    request_id: str
    event_time_ms: int
    request_key: str = ""
    is_new: bool = False
    golden: bool = False


class ModelService:
    """One served model: identity, routing, prediction, status."""

    def __init__(
        self,
        model_name: str,
        versions: Versions[Servable],
        gateway: LoggingGateway,
        clock_ms: Callable[[], int],
        push_token: Callable[[], str] = str,
    ) -> None:
        """Puts the parts together.

        Args:
            model_name: The only name that is served.
            versions: Which versions there are.
            gateway: What predicts and logs.
            clock_ms: Milliseconds since the epoch, UTC.
            push_token: The token of the push that is under way; empty where there is none.
        """
        self.model_name = model_name
        self._versions = versions
        self._gateway = gateway
        self._clock_ms = clock_ms
        self._push_token = push_token

    def identify(self, headers: Mapping[str, str]) -> RequestIdentity:
        """Returns the identity that a client gave, or a new one.

        Raises:
            DataError: A header has a value that cannot be.
        """
        request_id = headers.get(REQUEST_ID_HEADER)
        event_time = headers.get(EVENT_TIME_HEADER)
        key = headers.get(REQUEST_KEY_HEADER)
        return RequestIdentity(
            request_id=uuid.uuid4().hex if request_id is None else check_request_id(request_id),
            event_time_ms=(
                # A clock that is far off must not make a log that cannot be partitioned.
                min(self._clock_ms(), MAX_EVENT_TIME_MS)
                if event_time is None
                else check_event_time(event_time)
            ),
            request_key="" if key is None else check_request_id(key, REQUEST_KEY_HEADER),
            is_new=request_id is None,
            golden=self._is_golden(headers.get(GOLDEN_HEADER, "")),
        )

    def servable(self, model_name: str, version: int | None) -> Servable:
        """Returns the model to ask.

        Raises:
            ModelRejected: Another model or version is asked for than is served.
        """
        if model_name != self.model_name:
            wanted = (
                f"Latest({model_name})" if version is None else f"Specific({model_name}, {version})"
            )
            raise ModelRejected(f"Servable not found for request: {wanted}")
        return self._versions.get(version)[1]

    @property
    def candidate(self) -> int | None:
        """The version that is being proven and takes no traffic, if there is one."""
        return self._versions.candidate

    def version_of(self, label: str) -> int | None:
        """Returns the version of a label; None for the one that serves.

        Raises:
            DataError: No version has it; in the words of TF Serving.
        """
        if label == STABLE_LABEL:
            return None
        candidate = self.candidate
        if label != CANARY_LABEL or candidate is None:
            raise DataError(f"Unrecognized servable version label: {label[:200]}")
        return candidate

    def predict(
        self,
        servable: Servable,
        signature_name: str,
        inputs: Mapping[str, Array],
        identity: RequestIdentity,
    ) -> dict[str, Array]:
        """Returns the outputs, whose rows are logged; raises as LoggingGateway.predict does."""
        return self._gateway.predict(
            servable,
            PredictCall(
                signature_name=signature_name,
                inputs=inputs,
                request_id=identity.request_id,
                event_time_ms=identity.event_time_ms,
                request_key=_request_key(identity, signature_name, inputs),
                golden=identity.golden,
            ),
        )

    def _is_golden(self, token: str) -> bool:
        # The file is looked at only for those who claim to be the pusher.
        held = self._push_token() if token else ""
        return bool(held) and hmac.compare_digest(held.encode(), token.encode())

    def statuses(self, model_name: str, version: int | None) -> list[VersionStatus]:
        """Returns the state of one version, or of all, newest first.

        Raises:
            ModelRejected: There is no such model or version.
            DataError: No name was given.
        """
        if not model_name:
            raise DataError("Missing model name in request.")
        known = self._versions.statuses() if model_name == self.model_name else []
        if version is not None and model_name == self.model_name:
            return [self._versions.status(version)]
        if version is not None:
            raise ModelRejected(f"Could not find version {version} of model {model_name}")
        if not known:
            raise ModelRejected(f"Could not find any versions of model {model_name}")
        return known


def _request_key(
    identity: RequestIdentity, signature_name: str, inputs: Mapping[str, Array]
) -> str:
    """Returns what a request and its repeats share: the client's key, or else id and inputs.

    Meshes hand one id on to many requests, so an id alone is no identity.
    """
    if identity.request_key or identity.is_new:
        return identity.request_key
    # 96 bits: a billion requests collide with a probability of 6e-12.
    digest = hashlib.blake2b(digest_size=12)
    for part in (identity.request_id, signature_name):
        digest.update(f"{len(part)}:{part}".encode())
    for name in sorted(inputs):
        values = inputs[name]
        digest.update(f"{len(name)}:{name}{values.dtype}{values.shape}".encode())
        if values.dtype.kind == "O":
            for item in values.reshape(-1).tolist():
                content = item if isinstance(item, bytes) else str(item).encode()
                digest.update(b"%d:" % len(content) + content)
        else:
            digest.update(np.ascontiguousarray(values).tobytes())
    return base64.urlsafe_b64encode(digest.digest()).decode()
