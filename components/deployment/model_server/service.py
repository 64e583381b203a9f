"""What the server does with a request, whether it came over REST or gRPC."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
VERSION_HEADER = "x-model-version"


@dataclass(frozen=True, kw_only=True)
class RequestIdentity:
    """Which request it is, and when what it asks about happened.

    Attributes:
        request_id: The client's, or a new one.
        event_time_ms: The client's, or now.
    """

    request_id: str
    event_time_ms: int


class ModelService:
    """One served model: identity, routing, prediction, status."""

    def __init__(
        self,
        model_name: str,
        versions: Versions[Servable],
        gateway: LoggingGateway,
        clock_ms: Callable[[], int],
    ) -> None:
        """Puts the parts together.

        Args:
            model_name: The only name that is served.
            versions: Which versions there are.
            gateway: What predicts and logs.
            clock_ms: Milliseconds since the epoch, UTC.
        """
        self.model_name = model_name
        self._versions = versions
        self._gateway = gateway
        self._clock_ms = clock_ms

    def identify(self, headers: Mapping[str, str]) -> RequestIdentity:
        """Returns the identity that a client gave, or a new one.

        Raises:
            DataError: A header has a value that cannot be.
        """
        request_id = headers.get(REQUEST_ID_HEADER)
        event_time = headers.get(EVENT_TIME_HEADER)
        return RequestIdentity(
            request_id=uuid.uuid4().hex if request_id is None else check_request_id(request_id),
            event_time_ms=(
                # A clock that is far off must not make a log that cannot be partitioned.
                min(self._clock_ms(), MAX_EVENT_TIME_MS)
                if event_time is None
                else check_event_time(event_time)
            ),
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
            ),
        )

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
