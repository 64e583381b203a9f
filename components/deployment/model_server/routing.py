"""Routing of a model's versions: which take traffic, under which labels.

A base path with a deployment record is routed by it: one small file, replaced whole, moves the
traffic and every label at once. Versions that no record knows serve by their numbers, as everywhere
in TF Serving.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tfx_loop.contracts.deployment_record import DeploymentRecord, DeploymentState
from tfx_loop.deployment.model_server.model_config import VersionPolicy
from tfx_loop.deployment.server_access.followed_record import followed_record

STABLE_LABEL, CANARY_LABEL = "stable", "canary"


@dataclass(frozen=True, kw_only=True)
class Routing:
    """Which versions take traffic, beyond what their numbers say.

    Attributes:
        held: Versions that serve nobody who does not name them.
        last_resort: Versions that serve only where no other loads.
        loaded: Those of the held that are kept loaded.
        labels: Versions by the name that clients may ask for; they are kept loaded.
        configured_labels: Further names, for versions that are loaded anyway.
        canary: The held version that gets a share of the traffic.
        canary_share: That share.
        policy: Which of the versions that may take traffic are loaded.
    """

    held: frozenset[int] = frozenset()
    last_resort: frozenset[int] = frozenset()
    loaded: frozenset[int] = frozenset()
    labels: Mapping[str, int] = field(default_factory=dict)
    configured_labels: Mapping[str, int] = field(default_factory=dict)
    canary: int | None = None
    canary_share: float = 0.0
    policy: VersionPolicy = field(default_factory=VersionPolicy)


def routing_of(record: DeploymentRecord) -> Routing:
    """Returns how a deployment record routes."""
    canary = record.canary
    return Routing(
        held=record.in_state(
            DeploymentState.PUSHING,
            DeploymentState.CANARY,
            DeploymentState.FAILED,
            DeploymentState.ROLLED_BACK,
        ),
        last_resort=record.in_state(DeploymentState.RETIRED),
        # One that is being pushed has its number already: it was proven and is about to serve.
        loaded=record.in_state(DeploymentState.PUSHING, DeploymentState.CANARY),
        labels=dict(record.labels),
        canary=canary.version if canary else None,
        canary_share=record.canary_share if canary else 0.0,
    )


def routing_reader(base_path: str, model_name: str) -> Callable[[], Routing]:
    """Returns what reads the routing of a base path; a damaged record changes nothing."""
    return followed_record(base_path, model_name, routing_of, Routing())
