"""Routes of requests: labels, and a canary's share by the same hash as the model server's."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.record import routing_position

_MODEL = re.compile(
    r"/v1/models/(?P<name>[^/:?]+)"
    r"(?:/versions/(?P<version>\d{1,19})|/labels/(?P<label>[^/:?]+))?"
    r"(?P<rest>(?::(?P<method>[a-z]+)|/metadata)?(?:\?.*)?)",
    re.IGNORECASE,
)
_PREDICTIONS = ("predict", "classify", "regress")
_ADMIN = ("reload", "promote")
CANARY = "canary"
# Where this label is known, requests that name nothing go to its version: TF Serving would answer
# them with its newest one, which is the canary.
_STABLE_LABEL = "stable"


@dataclass(frozen=True)
class RestTarget:
    """What a path of TF Serving's REST API asks for.

    Attributes:
        model: Name of the model; empty for a path of another kind.
        version: None where it names none.
        label: Empty where it names none.
        rest: What follows: method or `/metadata`, and the query.
        predicts: Whether the answer is predictions.
        administers: Whether it changes the server for all.
    """

    model: str = ""
    version: int | None = None
    label: str = ""
    rest: str = ""
    predicts: bool = False
    administers: bool = False

    def path(self, version: int | None, label: str) -> str:
        """Returns the path that asks for a version or label, or with neither for what serves."""
        asked = f"/versions/{version}" if version is not None else ""
        asked = asked or (f"/labels/{label}" if label else "")
        return f"/v1/models/{self.model}{asked}{self.rest}"


def target_of(path: str) -> RestTarget:
    """Returns what a path asks for."""
    match = _MODEL.fullmatch(path)
    if match is None:
        return RestTarget()
    method = (match["method"] or "").lower()
    return RestTarget(
        model=match["name"],
        version=None if match["version"] is None else int(match["version"]),
        label=match["label"] or "",
        rest=match["rest"],
        predicts=method in _PREDICTIONS,
        administers=method in _ADMIN,
    )


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where one request goes.

    Attributes:
        name: `canary`, or empty.
        upstream: Index of the upstream.
        changed: Whether version and label are not what the client wrote.
        version: What is asked for there; None for what serves.
        label: The same by name; empty for none.
    """

    name: str = ""
    upstream: int = 0
    changed: bool = False
    version: int | None = None
    label: str = ""


_UNCHANGED = Route()


@dataclass(frozen=True, kw_only=True)
class RoutingTable:
    """Labels and a canary of a model.

    Attributes:
        model: The model that it is about; empty for every one.
        labels: Versions by the label that clients ask for; others are the upstream's own.
        canary: Where the canary's share goes; None for no canary.
        canary_share: Share of the requests that name no version, from 0 to 1.
    """

    model: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)
    canary: Route | None = None
    canary_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.canary_share <= 1.0:
            raise ConfigError(f"Expected a share from 0 to 1, received {self.canary_share:g}.")

    def draws(self) -> bool:
        """Says whether any request is sent elsewhere than the client wrote."""
        return bool(self.labels) or self.canary is not None

    def route(
        self, model: str, version: int | None, label: str, key: Callable[[], str], draws: bool
    ) -> Route:
        """Returns where a request goes.

        Args:
            model: The model that it asks for.
            version: The version; None for none.
            label: The label; empty for none.
            key: Returns what a request and its repeats share.
            draws: Whether it is one that a canary gets a share of.
        """
        if version is not None or (self.model and model != self.model):
            return _UNCHANGED
        canary = self.canary
        if label:
            if label in self.labels:
                return Route(changed=True, version=self.labels[label])
            # A second upstream serves the canary as its newest version, and knows no label of it.
            if label == CANARY and canary is not None and canary.upstream:
                return canary
            return _UNCHANGED
        if not draws:
            return _UNCHANGED
        if canary is not None and routing_position(key()) < self.canary_share:
            return canary
        if _STABLE_LABEL in self.labels:
            return Route(changed=True, version=self.labels[_STABLE_LABEL])
        return _UNCHANGED
