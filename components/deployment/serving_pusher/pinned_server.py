"""TensorFlow Serving that is told which versions to serve, by its HandleReloadConfigRequest.

    NAME             specific: the stable version, and labelled ones before it; labels
    NAME-candidate   specific: the version that is proven

It gives requests that name no version to a model's highest one. So a version is proven under a name
that nobody asks for, from the same base path, and gets the traffic when it is named instead of the
one before; of two versions TF Serving loads the new one before it lets the old one go. The
configuration that is sent replaces the server's whole own one: it serves this model alone.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tfx_loop.contracts.deployment_record import DeploymentRecord, DeploymentState
from tfx_loop.core.errors import ModelRejected, ServerUnavailable, ServingError, first_line
from tfx_loop.deployment.model_server.client import ModelClient, VersionState
from tfx_loop.deployment.server_access.credentials import ANONYMOUS, Credentials

_LOG = logging.getLogger(__name__)
_CANDIDATE = "{}-candidate"
_STABLE_LABEL = "stable"
_AVAILABLE = "AVAILABLE"
# Short beside the seconds of a load; a status costs the server next to nothing.
_POLL_SECONDS = 0.2
# TF Serving answers a reload only when it has taken the configuration, which waits for loads.
_CALL_SECONDS = 60.0


class PinnedServer(ModelClient):
    """A client that asks a candidate under its own name, and pins what a record says."""

    def __init__(
        self,
        base_url: str,
        model_name: str,
        pinned_at: str,
        base_path: str,
        credentials: Credentials = ANONYMOUS,
    ) -> None:
        """Connects with the first request.

        Args:
            base_url: The server's REST address.
            model_name: The name that it serves the model under.
            pinned_at: Its gRPC address, `HOST:PORT`.
            base_path: Of the versions, as the server knows it.
            credentials: What is shown to the REST server.
        """
        super().__init__(base_url, model_name, credentials=credentials)
        self._proven = ModelClient(base_url, _CANDIDATE.format(model_name), credentials=credentials)
        self._pinned_at, self._base_path = pinned_at, base_path
        self._candidate: int | None = None

    def status(self, timeout: float | None = None) -> list[VersionState]:
        """Returns the versions of both names; raises ServerUnavailable."""
        seconds = timeout or _CALL_SECONDS
        with _channel(self._pinned_at) as channel:
            beside = _states(channel, _CANDIDATE.format(self.model_name), seconds)
            served = _states(channel, self.model_name, seconds)
        known = {version: _state(version, told, True) for version, told in beside.items()}
        known |= {
            version: _state(version, told, False)
            for version, told in served.items()
            # A version may be known under both names while traffic moves: what takes traffic
            # counts.
            if told[0] == _AVAILABLE or version not in known
        }
        return sorted(known.values(), key=lambda state: -state.version)

    def loads_candidates(self) -> bool:
        """Says that a version is proven before it takes traffic."""
        return True

    def routes_by_record(self) -> bool:
        """Says that what the record calls stable is what gets the traffic."""
        return True

    def predict(self, *given: Any, version: int | None = None, **asked: Any) -> Any:
        """Asks as ModelClient does, a candidate under its own name."""
        if version is not None and version == self._candidate:
            return self._proven.predict(*given, version=version, **asked)
        return super().predict(*given, version=version, **asked)

    def follow(self, record: DeploymentRecord) -> None:
        """Has the server serve what a record says; raises as `pin`."""
        pin(self._pinned_at, record, self._base_path)
        self._candidate = _candidate_of(record)


def pin(
    pinned_at: str,
    record: DeploymentRecord,
    base_path: str,
    *,
    timeout_seconds: float = 120.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Has a server serve what a record says, and returns when it does.

    Args:
        pinned_at: The server's gRPC address.
        record: What is stable, and what is being proven.
        base_path: Of the versions.
        timeout_seconds: How long a version that is to take traffic may load.
        clock: Seconds that only grow.
        sleep: Waits, in seconds.

    Raises:
        ServerUnavailable: The server does not answer.
        ServingError: It refuses the configuration.
        ModelRejected: The version does not load in time; what served before serves on.
    """
    name, stable = record.model_name, record.stable_version
    labels = {} if stable is None else {_STABLE_LABEL: stable}
    # Requests without a version get the highest one: a label above the stable version would take
    # its traffic.
    labels |= {label: v for label, v in record.labels.items() if stable and v < stable}
    wanted = set(labels.values())
    with _channel(pinned_at) as channel:
        loaded = {
            version
            for version, (state, _) in _states(channel, name, _CALL_SECONDS).items()
            if state == _AVAILABLE
        }
        if loaded and not wanted <= loaded:
            # A label may stand for a loaded version alone: first it is loaded, then named.
            kept = {label: v if v in loaded else max(loaded) for label, v in labels.items()}
            _reload(channel, record, base_path, wanted | loaded, kept)
            _await(channel, name, wanted, clock, sleep, timeout_seconds)
            loaded |= wanted
        _reload(channel, record, base_path, wanted, labels if wanted <= loaded else {})
        if not wanted <= loaded:
            _await(channel, name, wanted, clock, sleep, timeout_seconds)
            _reload(channel, record, base_path, wanted, labels)


def _candidate_of(record: DeploymentRecord) -> int | None:
    return max(record.in_state(DeploymentState.PUSHING), default=None)


def _reload(
    channel: Any,
    record: DeploymentRecord,
    base_path: str,
    versions: set[int],
    labels: dict[str, int],
) -> None:
    """Sends a configuration; one whose labels are refused is sent without them."""
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    request = model_management_pb2.ReloadConfigRequest()
    models = request.config.model_config_list.config
    candidate = _candidate_of(record)
    named: list[tuple[str, Sequence[int]]] = [(record.model_name, sorted(versions))]
    named += [(_CANDIDATE.format(record.model_name), [candidate])] if candidate else []
    for name, numbers in named:
        if numbers:
            model = models.add(name=name, base_path=base_path, model_platform="tensorflow")
            model.model_version_policy.specific.versions.extend(numbers)
    if versions:
        models[0].version_labels.update(labels)
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    try:
        with _told_as_ours():
            status = stub.HandleReloadConfigRequest(request, timeout=_CALL_SECONDS).status
            if status.error_code:
                raise ServingError(f"Expected a configuration to be taken: {status.error_message}")
    except ServerUnavailable:
        raise
    except ServingError as error:
        if not labels:
            raise
        _LOG.warning("pin model=%s labels=refused %s", record.model_name, first_line(error))
        _reload(channel, record, base_path, versions, {})


def _await(
    channel: Any,
    name: str,
    wanted: set[int],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_seconds: float,
) -> None:
    deadline = clock() + timeout_seconds
    while True:
        states = _states(channel, name, _CALL_SECONDS)
        missing = {v: states.get(v, ("unknown", "")) for v in sorted(wanted)}
        missing = {v: told for v, told in missing.items() if told[0] != _AVAILABLE}
        if not missing:
            return
        # A version with an error has been given up by the server: nothing is left to wait for.
        if clock() >= deadline or any(error for _, error in missing.values()):
            raise ModelRejected(
                f"Expected versions {sorted(missing)} of {name!r} to become AVAILABLE within "
                f"{timeout_seconds:g} s, received: {missing}."
            )
        sleep(_POLL_SECONDS)


def _states(channel: Any, name: str, seconds: float) -> dict[int, tuple[str, str]]:
    """Returns state and error of the versions of a name; none where the server has no such name."""
    import grpc
    from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    names = get_model_status_pb2.ModelVersionStatus.State
    try:
        with _told_as_ours(besides=grpc.StatusCode.NOT_FOUND):
            found = stub.GetModelStatus(request, timeout=seconds).model_version_status
    except grpc.RpcError:
        return {}
    return {s.version: (names.Name(s.state), s.status.error_message) for s in found}


def _state(version: int, told: tuple[str, str], candidate: bool) -> VersionState:
    return VersionState(version=version, state=told[0], error=told[1], candidate=candidate)


@contextmanager
def _channel(address: str) -> Iterator[Any]:
    import grpc

    with grpc.insecure_channel(address) as channel:
        yield channel


@contextmanager
def _told_as_ours(besides: Any = None) -> Iterator[None]:
    """Raises gRPC's errors as ours, but for one code."""
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        code = error.code()
        if code == besides:
            raise
        away = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        kind = ServerUnavailable if away else ServingError
        raise kind(f"Expected TF Serving to answer, received {code.name}: {error.details()}") from (
            error
        )
