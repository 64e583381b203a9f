"""Promotion, roll-back and labels of versions that were pushed, by a person or a program.

Each is one change of `deployment.json` under the lock of the base path. Where the server reads the
record that is all; where it serves the highest number, the folders above are hidden first; where an
endpoint of SageMaker serves, it is updated first, and the record follows.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    PUSH_LOCK,
    DeploymentRecord,
    SharedRecord,
    find_record,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.deployment.sagemaker_pusher.endpoint_versions import EndpointVersions
from tfx_loop.deployment.serving_pusher import promotion
from tfx_loop.deployment.serving_pusher.pinned_server import pin
from tfx_loop.deployment.serving_pusher.push_order import holder_of
from tfx_loop.deployment.serving_pusher.version_base import open_base


class ServableVersions(Protocol):
    """The versions of a base path, one of which is to serve again."""

    def require(self, version: int) -> None:
        """Checks that a version can serve; raises ConfigError."""

    def show_up_to(self, version: int) -> None:
        """Lets a version serve, for a server that does not read the record."""


def read_deployments(base_path: str) -> DeploymentRecord:
    """Returns the record of a base path.

    Raises:
        DataError: Nothing was pushed there, or the record is damaged.
    """
    record = find_record(base_path)
    if record is None:
        raise DataError(
            f"Expected {DEPLOYMENT_RECORD.name} in {base_path}, found none. Name the base path of "
            "a model that ServingPusher or SageMakerPusher pushed."
        )
    return record


@dataclass(frozen=True, kw_only=True)
class LiveRollout:
    """What may be done to the versions of one base path.

    Attributes:
        base_path: The folder of numbered versions.
        by: Who does it, for others that wait for the lock.
        lock_wait_seconds: How long a push or another change is waited for.
        now_ms: Milliseconds UTC; it may jump, and is only written down.
        clock: Seconds that only grow.
        sleep: Waits, in seconds.
    """

    base_path: str
    by: str = "loop"
    # A push loads a version and may put it on probation: so long does it keep the lock as a rule.
    lock_wait_seconds: float = 600.0
    now_ms: Callable[[], int] = field(default=lambda: time.time_ns() // 1_000_000)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def promote(self, version: int | None = None) -> DeploymentRecord:
        """Gives a canary all traffic; raises as `promotion.promoted` and for a lost lock."""
        return self._change(lambda record: promotion.promoted(record, version, self.now_ms()))

    def roll_back(self, to: int, reason: str) -> DeploymentRecord:
        """Goes back to an earlier version; raises as `promotion.rolled_back`."""
        return self._serve_again(
            to, lambda record: promotion.rolled_back(record, to, reason, self.now_ms())
        )

    def reinstate(self, to: int, reason: str) -> DeploymentRecord:
        """Lets a version serve that served before; raises as `promotion.reinstated`."""
        return self._serve_again(
            to, lambda record: promotion.reinstated(record, to, reason, self.now_ms())
        )

    def _serve_again(
        self, to: int, changed_record: Callable[[DeploymentRecord], DeploymentRecord]
    ) -> DeploymentRecord:
        def change(record: DeploymentRecord) -> DeploymentRecord:
            changed = changed_record(record)
            base = self._versions(record)
            if record.routes:
                base.require(to)
            else:
                base.show_up_to(to)
            return changed

        return self._change(change)

    def label(self, name: str, version: int | None) -> DeploymentRecord:
        """Gives a version a label, or takes the label away; raises as `promotion.labelled`."""

        def change(record: DeploymentRecord) -> DeploymentRecord:
            if record.endpoint:
                raise ConfigError(
                    f"Expected a model server for the label {name!r}, received the endpoint "
                    f"{record.endpoint}: SageMaker's clients cannot ask for one."
                )
            return promotion.labelled(record, name, version, self.now_ms())

        return self._change(change)

    def _versions(self, record: DeploymentRecord) -> ServableVersions:
        if record.endpoint:
            return EndpointVersions(base_path=self.base_path, clock=self.clock, sleep=self.sleep)
        return open_base(self.base_path)

    def _change(self, change: Callable[[DeploymentRecord], DeploymentRecord]) -> DeploymentRecord:
        known = read_deployments(self.base_path)
        files = open_base(self.base_path).files
        terms = LockTerms(name=PUSH_LOCK, holder=holder_of(self.by), token=uuid.uuid4().hex)
        with ExpiringLock(files, terms, self.clock, self.sleep).held(
            self.lock_wait_seconds
        ) as lock:
            shared = SharedRecord(files, self.base_path, known.model_name)
            changed = change(shared.content)
            if changed != shared.content:
                lock.check()
                if changed.pinned_at:
                    pin(changed.pinned_at, changed, self.base_path)
                shared.write(changed)
            return shared.content
