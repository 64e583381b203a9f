"""A push that has its endpoint for itself: what it holds, and what it writes down.

Every write is made under the lock: a push that another one took over from learns of it before it
changes anything.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.contracts.deployment_record import DeploymentRecord, SharedRecord
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.core.conditional_files import ConditionalFiles
from tfx_loop.core.expiring_lock import ExpiringLock
from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint import Endpoint
from tfx_loop.deployment.sagemaker_pusher.push_order import EndpointPushOrder
from tfx_loop.deployment.sagemaker_pusher.release import EndpointRelease, write_release
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings


@dataclass(frozen=True, kw_only=True)
class PushWork:
    """A push under way.

    Attributes:
        order: What is pushed.
        aws: Carries out the calls.
        endpoint: Where it is pushed to.
        files: Those of the base path.
        lock: Of the base path, held.
        record: The deployment record.
        now_ms: The time, milliseconds UTC.
    """

    order: EndpointPushOrder
    aws: Aws
    endpoint: Endpoint
    files: ConditionalFiles
    lock: ExpiringLock
    record: SharedRecord
    now_ms: Callable[[], int]

    @property
    def settings(self) -> SageMakerPusherSettings:
        """Where to, and on what terms."""
        return self.order.settings

    @property
    def seconds(self) -> float:
        """How long an update may take."""
        return float(self.settings.waits_seconds + self.settings.endpoint_timeout_seconds)

    def move(
        self, release: EndpointRelease, config: str, deployment: Mapping[str, Any] | None = None
    ) -> None:
        """Updates the endpoint to a config, and waits until it serves it; raises as `Endpoint`."""
        self.lock.check()
        before = self.endpoint.state()
        self.endpoint.move(config, self.seconds, deployment)
        if before is None or before.config != config:
            self.step(PushStep.UPDATE_ENDPOINT, release, config)

    def note(self, release: EndpointRelease) -> None:
        """Writes what was made for a version."""
        self.lock.check()
        write_release(self.files, release)

    def step(self, step: PushStep, release: EndpointRelease, detail: str) -> None:
        """Writes a step into the record; each becomes an execution in ML Metadata."""
        record = self.record.content
        self.write(record.with_event(step.value, release.version, detail, self.now_ms()))

    def write(self, record: DeploymentRecord) -> None:
        """Replaces the record."""
        self.lock.check()
        settings = self.settings
        named = dataclasses.replace(record, endpoint=f"{settings.region}/{settings.endpoint}")
        self.record.write(named)
