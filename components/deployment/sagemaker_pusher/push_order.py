"""The order of a push to an endpoint, and the proofs that its version must pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.core.errors import ServingError
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings


@dataclass(frozen=True, kw_only=True)
class EndpointPushOrder:
    """What is pushed, and by whom.

    Attributes:
        settings: Where to, and on what terms.
        model_dir: Folder of the SavedModel, on this machine.
        model_uri: The Model artifact.
        reference_profile_uri: The ReferenceProfile artifact; empty if there is none.
        variant: Which optimisation of the model it is.
        run_id: Pipeline run that pushes; a run that is resumed continues its own push.
        metrics: Of the evaluation, over all rows; for the registry.
        token: What only this push knows and writes into its lock.
    """

    settings: SageMakerPusherSettings
    model_dir: Path
    model_uri: str
    run_id: str
    token: str
    reference_profile_uri: str = ""
    variant: str = "float"
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Proofs:
    """What a version must show; each raises LoopError where it does not.

    Attributes:
        candidate: Asks the variant beside the one that serves, before any traffic.
        shadow: Watches the shadow variant while it answers a copy of the traffic, for the version
            that serves and the one that is tried.
        serving: Asks the endpoint, once it serves the version.
    """

    candidate: Callable[[int], None]
    shadow: Callable[[int, int], None]
    serving: Callable[[int], None]


class NotApproved(ServingError):
    """The registry has the version, and nobody approved it yet; nothing else was changed."""
