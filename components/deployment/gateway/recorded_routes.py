"""Labels and canary as the deployment record beside the versions has them."""

from collections.abc import Callable

from tfx_loop.contracts.deployment_record import DeploymentRecord
from tfx_loop.deployment.gateway.routes import CANARY, Route, RoutingTable
from tfx_loop.deployment.server_access.followed_record import followed_record

_STABLE = "stable"


def table_of(record: DeploymentRecord) -> RoutingTable:
    """Returns how a deployment record routes.

    The stable version is named to the upstream only where others are loaded beside it: a record
    that follows a plain push lags behind the folder, and the version that it names may be gone.
    """
    labels, canary = dict(record.labels), record.canary
    if record.stable_version is not None and (record.routes or canary is not None):
        labels[_STABLE] = record.stable_version
    if canary is None:
        return RoutingTable(model=record.model_name, labels=labels)
    return RoutingTable(
        model=record.model_name,
        labels={**labels, CANARY: canary.version},
        canary=Route(name=CANARY, changed=True, version=canary.version),
        canary_share=record.canary_share,
    )


def record_reader(base_path: str, model_name: str) -> Callable[[], RoutingTable]:
    """Returns what reads the routes of a base path; a damaged record changes nothing."""
    return followed_record(base_path, model_name, table_of, RoutingTable(model=model_name))
