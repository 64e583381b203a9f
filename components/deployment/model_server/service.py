"""One served model as both interfaces ask it, over REST or gRPC."""

import hmac
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tfx_loop.core.errors import DataError, ModelRejected
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.data.prediction_log.record import (
    MAX_EVENT_TIME_MS,
    Array,
    check_event_time,
    check_request_id,
    routing_position,
)
from tfx_loop.deployment.model_server.examples_api import Method, check_signature
from tfx_loop.deployment.model_server.logging_gateway import LoggingGateway, PredictCall, Servable
from tfx_loop.deployment.model_server.model_config import ModelConfig
from tfx_loop.deployment.model_server.request_keys import inputs_digest
from tfx_loop.deployment.model_server.routing import Routing
from tfx_loop.deployment.model_server.serving_metrics import ServingMetrics
from tfx_loop.deployment.model_server.version_status import VersionStatus
from tfx_loop.deployment.model_server.versions import Versions
from tfx_loop.deployment.server_access.headers import (
    EVENT_TIME_HEADER,
    GOLDEN_HEADER,
    REQUEST_ID_HEADER,
    REQUEST_KEY_HEADER,
    TRACEPARENT_HEADER,
)
from tfx_loop.deployment.server_access.trace_context import trace_id_of

_LOG = logging.getLogger(__name__)


# Ids need to differ, and no more: 64 random bits for this process, and a number for each request.
_PROCESS_ID = secrets.token_hex(8)
_NUMBERS = itertools.count()


def _new_id() -> str:
    return f"{_PROCESS_ID}{next(_NUMBERS):016x}"


@dataclass(frozen=True, kw_only=True)
class RequestIdentity:
    """Which request it is, and when what it asks about happened.

    Attributes:
        request_id: The client's, or a new one.
        event_time_ms: The client's, or now.
        request_key: The client's, or empty.
        is_new: Whether the server made the id, so that no other request has it.
        golden: Whether the pusher asks.
        trace_id: The trace that it belongs to; empty for none.
    """

    request_id: str
    event_time_ms: int
    request_key: str = ""
    is_new: bool = False
    golden: bool = False
    trace_id: str = ""

    def part(self, name: str) -> "RequestIdentity":
        """Returns the identity of one of several questions that one request asks.

        They share an id, so a key of its own tells each from the others and not from its repeats.
        """
        key = inputs_digest((self.request_key or self.request_id, name), {})
        return replace(self, request_key=key)


class ModelService:
    """One served model: identity, routing, prediction, status. `ServedModels` holds them all."""

    def __init__(
        self,
        config: ModelConfig,
        versions: Versions[Servable],
        gateway: LoggingGateway,
        clock_ms: Callable[[], int],
        push_token: Callable[[], str] = str,
        redaction: Redaction = OPEN,
        folders: Mapping[str, str] | None = None,
        check_method_names: bool = False,
        metrics: ServingMetrics | None = None,
    ) -> None:
        """Puts the parts together.

        Args:
            config: Name, folder, versions and labels; may be replaced while it serves.
            versions: Which versions there are.
            gateway: What predicts and logs.
            clock_ms: Milliseconds since the epoch, UTC.
            push_token: The token of the push that is under way; empty where there is none.
            redaction: Inputs of which error replies quote nothing.
            folders: Where versions come from and where answers are logged, by flag.
            metrics: Where runs of the model are counted.
            check_method_names: Whether Classify and Regress take only signatures made for them.
        """
        self.folders = dict(folders or {})
        self.redaction = redaction
        self.config = config
        self._versions = versions
        self._gateway = gateway
        self._clock_ms = clock_ms
        self._metrics = metrics or ServingMetrics()
        self._check_method_names = check_method_names
        self._push_token = push_token

    @property
    def model_name(self) -> str:
        """What clients call the model."""
        return self.config.name

    def poll(self) -> None:
        """Looks at the versions' folders, and loads what is to be loaded."""
        self._versions.poll()

    def serving_version(self) -> int | None:
        """Returns the version that answers requests which name none."""
        return self._versions.serving_version()

    def labels(self) -> dict[str, int]:
        """Returns the versions that answer, by label."""
        return self._versions.labels()

    def config_routing(self, recorded: Routing) -> Routing:
        """Returns the routing of a deployment record, with what the configuration says."""
        return replace(recorded, policy=self.config.policy, configured_labels=self.config.labels)

    def identify(self, headers: Mapping[str, str]) -> RequestIdentity:
        """Returns the identity that a client gave, or a new one.

        Raises:
            DataError: A header has a value that cannot be.
        """
        request_id = headers.get(REQUEST_ID_HEADER)
        event_time = headers.get(EVENT_TIME_HEADER)
        key = headers.get(REQUEST_KEY_HEADER)
        return RequestIdentity(
            request_id=_new_id() if request_id is None else check_request_id(request_id),
            event_time_ms=(
                # A clock that is far off must not make a log that cannot be partitioned.
                min(self._clock_ms(), MAX_EVENT_TIME_MS)
                if event_time is None
                else check_event_time(event_time)
            ),
            request_key="" if key is None else check_request_id(key, REQUEST_KEY_HEADER),
            is_new=request_id is None,
            golden=self._is_golden(headers.get(GOLDEN_HEADER, "")),
            trace_id=trace_id_of(headers.get(TRACEPARENT_HEADER, "")),
        )

    def servable(
        self,
        version: int | None,
        label: str | None = None,
        identity: RequestIdentity | None = None,
    ) -> Servable:
        """Returns the model to ask: of a version, of a label, or the one that serves.

        Args:
            version: The version that was asked for.
            label: Or its label.
            identity: Which request it is; the canary gets its share of those that name neither.

        Raises:
            ModelRejected: No such version is loaded.
            DataError: No version has the label.
        """
        if label is not None:
            return self._versions.labelled(label)[1]
        if version is not None or identity is None:
            return self._versions.get(version)[1]
        # A hash of the key, so that a repeat is answered by the same version.
        key = identity.request_key or identity.request_id
        return self._versions.routed(routing_position(key))[1]

    @property
    def beside(self) -> frozenset[int]:
        """The versions that are loaded beside the one that serves."""
        return self._versions.beside

    async def predict(
        self,
        servable: Servable,
        signature_name: str,
        inputs: Mapping[str, Array],
        identity: RequestIdentity,
        api: str = "Predict",
    ) -> dict[str, Array]:
        """Returns the outputs, whose rows are logged; raises as LoggingGateway.predict does."""
        started = time.perf_counter()
        outputs = await self._gateway.predict(
            servable,
            PredictCall(
                signature_name=signature_name,
                inputs=inputs,
                request_id=identity.request_id,
                event_time_ms=identity.event_time_ms,
                request_key=identity.request_key,
                is_new=identity.is_new,
                golden=identity.golden,
                trace_id=identity.trace_id,
            ),
        )
        self._metrics.ran(
            self.model_name,
            api=api,
            # What TF Serving calls its session of a SavedModel in this metric.
            runtime="TF1",
            seconds=time.perf_counter() - started,
            rows=max((len(values) for values in inputs.values() if values.ndim), default=1),
        )
        return outputs

    def check_method(self, servable: Servable, method: Method, signature_name: str) -> None:
        """Checks that a signature can be asked by an API for tf.Examples.

        Raises:
            DataError: There is none of that name, or it cannot; in the words of TF Serving.
        """
        definition = servable.signature_defs.get(signature_name)
        if definition is None or signature_name not in servable.signatures:
            raise DataError(f"No signature was found with the name: {signature_name[:200]}")
        check_signature(method, definition, check_method_name=self._check_method_names)

    def _is_golden(self, token: str) -> bool:
        # The file is looked at only for those who claim to be the pusher.
        try:
            held = self._push_token() if token else ""
        except OSError as error:
            # The pusher is another user, who shares it with nobody: the rows count as traffic.
            _LOG.warning("golden state=not_marked error=%s", error)
            held = ""
        # In constant time: how far a token matches must not show in how long the answer takes.
        return bool(held) and hmac.compare_digest(held.encode(), token.encode())

    def statuses(self, version: int | None, label: str | None = None) -> list[VersionStatus]:
        """Returns the state of one version, by number or label, or of all, newest first.

        Raises:
            ModelRejected: There is no such version.
            DataError: No version has the label.
        """
        if label is not None:
            version = self._versions.labelled(label)[0]
        if version is not None:
            return [self._versions.status(version)]
        known = self._versions.statuses()
        if not known:
            raise ModelRejected(f"Could not find any versions of model {self.model_name}")
        return known


@dataclass(frozen=True)
class PredictionTarget:
    """The version that a request asks, and which request it is."""

    service: ModelService
    servable: Servable
    identity: RequestIdentity

    @property
    def name(self) -> str:
        """The model's."""
        return self.service.model_name

    @property
    def version(self) -> int:
        """The version that answers."""
        return self.servable.version


def wanted_servable(model_name: str, version: int | None) -> str:
    """Returns what TF Serving's messages call a model, or a version of it."""
    return f"Latest({model_name})" if version is None else f"Specific({model_name}, {version})"
