"""Waits of a push for a model server."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tfx_loop.core.errors import ModelRejected, ServerUnavailable
from tfx_loop.deployment.model_server.client import VersionState

# A fifth of the second after which servers look for versions by default.
POLL_SECONDS = 0.2
_FAILED_STATES = ("END", "UNLOADING")


class StatusClient(Protocol):
    """The part of a model server that a push needs."""

    def status(self) -> Sequence[VersionState]:
        """Returns the state of each version; raises ServerUnavailable."""

    def loads_candidates(self) -> bool:
        """Says whether it loads `.candidate-N` beside what serves, without traffic."""

    def routes_by_record(self) -> bool:
        """Says whether its traffic goes by `deployment.json`, and not by the highest number."""


def wait_until_available(
    server: StatusClient,
    version: int,
    timeout_seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    *,
    routed: bool,
) -> None:
    """Waits for the server to load a version, and with `routed` to give it the traffic.

    Raises:
        ModelRejected: It failed to load, or did not load in time.
        ServerUnavailable: The server did not answer at the end of that time.
    """
    last = f"the server never named version {version}"
    unavailable: ServerUnavailable | None = None
    deadline = clock() + timeout_seconds
    while True:
        try:
            states = {status.version: status for status in server.status()}
            unavailable = None
        except ServerUnavailable as error:
            states, unavailable = {}, error
        status = states.get(version)
        if status is not None:
            if status.state == "AVAILABLE" and not (routed and status.candidate):
                return
            last = f"state {status.state} {status.error}".strip()
            # END without an error is a version that another one replaced; the wait goes on.
            if status.state in _FAILED_STATES and status.error:
                break
        if clock() >= deadline:
            break
        sleep(POLL_SECONDS)
    if unavailable is not None:
        raise unavailable
    raise ModelRejected(
        f"Expected version {version} to become AVAILABLE within {timeout_seconds:g} s, "
        f"received: {last}. The version was withdrawn; the one before serves on."
    )
