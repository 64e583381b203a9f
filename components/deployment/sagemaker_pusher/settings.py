"""Settings of SageMakerPusher."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings
from tfx_loop.deployment.sagemaker_pusher.hosting import HostingSettings
from tfx_loop.deployment.sagemaker_pusher.names import NAME_PATTERN, check_served_name
from tfx_loop.deployment.sagemaker_pusher.traffic import TrafficSettings
from tfx_loop.models.guard.settings import GuardSettings

# Without empty parts: S3 takes them for folders, and file systems do not.
_BASE = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/]+)*/?")


@dataclass(frozen=True, kw_only=True)
class SageMakerPusherSettings(HostingSettings, TrafficSettings, GuardSettings, NodeSettings):
    """Where a model is pushed, how its traffic moves, and what it must show.

    Attributes:
        base_path: `s3://BUCKET/PREFIX` of the archives and of `deployment.json`; one for each
            endpoint.
        model_name: Name that the model is served under, in the archive and in the record; empty
            takes the endpoint's.
        prove_first: Whether a version is asked the golden rows before it takes traffic: beside the
            one that serves, as a variant of weight 0. It takes two more updates; a serverless
            endpoint has one variant, and is asked at the end alone.
        shadow_seconds: How long a version answers a copy of the traffic as a shadow variant before
            it takes any; its captured answers are compared with those of the version that serves.
            0 leaves it out.
        min_agreement: Share of the shadowed rows, 0 to 1, on which both must decide alike.
        golden_rows: How many rows are asked and compared.
        redact: Features whose values golden rows do not have: texts are `other`, numbers 0.
        signature_name: The signature that is asked; empty takes the first that the Examples fit, as
            ServingPusher does. Clients of AWS' image name it in the body.
        golden_features: By input of that signature the features that it takes, where they are not
            called after it.
        max_latency_ms: How long the answer to the golden rows may take, in milliseconds.
        endpoint_timeout_seconds: How long an update may take beyond its own waits.
        lock_timeout_seconds: How long another push to the endpoint is waited for.
        model_package_group: Group of the model registry in which the version is registered,
            PendingManualApproval; it is deployed once it is Approved. Empty registers nothing.
        approval_wait_seconds: How long the approval is waited for; after it the run goes on and the
            version counts as not pushed. Run the node again once it is approved.
        code_revision: What the code was that trained the model, such as a commit; kept in the
            lineage.
    """

    base_path: str = ""
    model_name: str = ""
    prove_first: bool = True
    shadow_seconds: int = 0
    min_agreement: float = 0.0
    golden_rows: int = 8
    redact: tuple[str, ...] = ()
    signature_name: str = ""
    golden_features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # As ServingPusher; an endpoint adds some ten milliseconds of its own.
    max_latency_ms: int = 5_000
    # Instances start in some five to ten minutes. Chosen, not measured.
    endpoint_timeout_seconds: int = 3_600
    lock_timeout_seconds: int = 600
    model_package_group: str = ""
    approval_wait_seconds: int = 0
    code_revision: str = ""

    def __post_init__(self) -> None:
        if not _BASE.fullmatch(self.base_path):
            raise ConfigError(
                f"Expected base_path such as s3://BUCKET/PREFIX, received {self.base_path!r}."
            )
        if not self.model_name:
            object.__setattr__(self, "model_name", self.endpoint)
        if not self.capture_uri and not self.serverless:
            object.__setattr__(self, "capture_uri", f"{self.base_path.rstrip('/')}/capture")
        self.check_hosting()
        self.check_traffic()
        check_served_name(self.model_name)
        self._check_serverless()
        self._check_proof()

    def _check_serverless(self) -> None:
        if self.serverless and (self.deployment_config() or self.shadow_seconds):
            raise ConfigError(
                "Expected neither guardrails nor shadow_seconds for a serverless endpoint, which "
                "SageMaker moves at once, received one of them. Use instances, or leave out "
                "canary_percent, linear_percent, waits, rollback_alarms and shadow_seconds."
            )

    def _check_proof(self) -> None:
        if self.golden_rows < 1 or self.max_latency_ms < 1:
            raise ConfigError(
                "Expected golden_rows and max_latency_ms of at least 1, received "
                f"{self.golden_rows} and {self.max_latency_ms}."
            )
        waits = (self.shadow_seconds, self.endpoint_timeout_seconds, self.lock_timeout_seconds)
        if min(*waits, self.approval_wait_seconds) < 0 or not 0.0 <= self.min_agreement <= 1.0:
            raise ConfigError(
                "Expected shadow_seconds, timeouts and approval_wait_seconds of at least 0 and "
                f"min_agreement of 0 to 1, received {[*waits, self.approval_wait_seconds]} and "
                f"{self.min_agreement:g}."
            )
        if self.min_agreement and not self.shadow_seconds:
            raise ConfigError(
                f"Expected shadow_seconds beside min_agreement {self.min_agreement:g}, received "
                "none: without a shadow nothing is compared."
            )
        group = self.model_package_group
        if group and not NAME_PATTERN.fullmatch(group):
            raise ConfigError(
                "Expected model_package_group of at most 63 letters, digits and inner hyphens, "
                f"received {group!r}."
            )
        if self.approval_wait_seconds and not group:
            raise ConfigError("Expected model_package_group beside approval_wait_seconds.")
