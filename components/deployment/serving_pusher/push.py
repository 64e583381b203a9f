"""The push of a new version to a running server, which never takes the service down.

    preflight ─▶ stage ─▶ candidate ─▶ golden requests ─▶ numbered ─▶ stable ─▶ serves
        │          │          │               │               │          │
        └──────────┴──────────┴───────────────┴───────────────┴──────────┴─▶ withdraw

Our server loads a candidate beside the version that serves and gives it no traffic: what is not
proven answers nobody, whatever becomes of the push. It gives the traffic to the version that
`deployment.json` calls stable: the record is what moves it, so it never says otherwise. TF Serving
is told what to serve (`pinned_server.py`); without that it serves the highest number, is asked the
golden requests then, and the record follows.

The base path is a file system that the server watches (a disk, NFS, a mounted volume): a version
becomes visible by one rename, so no reader ever sees half a model. In a bucket, which has no
rename, what makes it a model comes last (`base_bucket.py`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from tfx_loop.contracts.deployment_record import (
    PUSH_LOCK,
    Deployment,
    DeploymentRecord,
    DeploymentState,
    SharedRecord,
    model_digest,
)
from tfx_loop.core.errors import (
    ConfigError,
    ModelRejected,
    ServerUnavailable,
    ServingError,
    WriteConflict,
)
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.deployment.serving_pusher.promotion import as_canary, as_stable, failed, rolled_back
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder
from tfx_loop.deployment.serving_pusher.server_wait import StatusClient, wait_until_available
from tfx_loop.deployment.serving_pusher.version_base import (
    VersionBase,
    kept_no_longer,
    open_base,
)

# Between two checks of a version on probation: what a person would take for at once.
_PROBATION_POLL_SECONDS = 1.0


def push(
    order: ServerPushOrder,
    server: StatusClient,
    check: Callable[[int], None],
    now_ms: Callable[[], int],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    before_traffic: Callable[[int], None] = lambda _: None,
    follow: Callable[[DeploymentRecord], None] = lambda _: None,
) -> Deployment:
    """Returns the version that is now stable, or a canary.

    Args:
        order: What is pushed, and where.
        server: The server that watches `order.base_path`.
        check: Asks the version given its golden requests; raises LoopError when an answer is
            missing or wrong.
        now_ms: The time, milliseconds UTC; it may jump, and is only written down.
        clock: Seconds that only grow, for every wait.
        sleep: Waits, in seconds.
        before_traffic: Compares a version that is proven with the one that serves, once; raises
            LoopError where it falls short.
        follow: Has a server that cannot read the record serve what it says, and returns when it
            does.

    Raises:
        ConfigError: A canary is asked for of a server that cannot divide its traffic, or the base
            path is an endpoint's.
        ServerUnavailable: The server does not answer; nothing was changed, or all was withdrawn.
        ModelRejected: The server does not serve the version; it was withdrawn.
        WriteConflict: Another push took over, because this one stood still for too long.
    """
    base = open_base(order.base_path)
    # Refused before anything is written: the base path of another model, a server that is away.
    _record(base, order)
    server.status()
    if order.canary_share and not server.routes_by_record():
        raise ConfigError(
            "Expected a server that divides its traffic for canary_share, received one that gives "
            "all of it to the highest number. Use loop-model-server, or set canary_share to 0."
        )
    base.prepare()
    terms = LockTerms(name=PUSH_LOCK, holder=order.holder, token=order.token)
    with ExpiringLock(base.files, terms, clock, sleep).held(order.lock_wait_seconds) as lock:
        # Read again under the lock: between the check above and here another push may have
        # finished.
        record = _record(base, order)
        follows = server.routes_by_record()
        push_ = _Push(
            order, base, lock, record, server, follows, check, follow, now_ms, clock, sleep
        )
        return push_.run(before_traffic)


def _record(base: VersionBase, order: ServerPushOrder) -> SharedRecord:
    """Returns the record of a base path; raises ConfigError where an endpoint serves it."""
    record = SharedRecord(base.files, order.base_path, order.model_name)
    if record.content.endpoint:
        raise ConfigError(
            f"Expected a base path that a model server serves, received {order.base_path}, whose "
            f"versions SageMaker's endpoint {record.content.endpoint} serves. Give the server a "
            "base path of its own, or push with SageMakerPusher."
        )
    return record


@dataclass(frozen=True)
class _Push:
    """A push that has the base path for itself."""

    order: ServerPushOrder
    base: VersionBase
    lock: ExpiringLock
    record: SharedRecord
    server: StatusClient
    # Whether the server's traffic goes by the record.
    follows: bool
    check: Callable[[int], None]
    follow: Callable[[DeploymentRecord], None]
    now_ms: Callable[[], int]
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self, before_traffic: Callable[[int], None]) -> Deployment:
        order = self.order
        digest = model_digest(order.model_dir)
        started = _own_entry(self.record.content, order.run_id, digest)
        self._withdraw_interrupted(kept=started)
        if started is not None and started.state is not DeploymentState.PUSHING:
            return started
        stable = self.record.content.stable
        deployment = started or Deployment(
            # Above any folder too: one that somebody copied there by hand must not be written over.
            version=max(self.record.content.next_version, self.base.highest() + 1, order.at_least),
            model_digest=digest,
            model_uri=order.model_uri,
            reference_profile_uri=order.reference_profile_uri,
            variant=order.variant_name,
            run_id=order.run_id,
            pushed_at_ms=self.now_ms(),
            replaced=stable.version if stable else None,
            state=DeploymentState.PUSHING,
        )
        record = replace(self.record.content, routes=self.follows, pinned_at=self.order.pinned_at)
        # Before anything is copied: a push that is killed from here on is found by its entry and
        # withdrawn.
        self._write(record.with_version(deployment))
        try:
            if self.server.loads_candidates():
                self._prove_and_route(deployment, before_traffic)
            else:
                self._route_and_prove(deployment)
        except WriteConflict:
            # Another push took over, and with it what is to become of this version.
            raise
        except Exception as error:
            # Whatever it was: a version that was not proven does not stay.
            self._fail(deployment, str(error) or type(error).__name__)
            raise
        deployment = self.record.content.version(deployment.version)
        logging.info(
            "push model=%s version=%d state=%s replaced=%s",
            order.model_name,
            deployment.version,
            deployment.state.value,
            deployment.replaced,
        )
        if deployment.state is DeploymentState.STABLE:
            self._watch(deployment)
        self._clean_up()
        return deployment

    def _prove_and_route(
        self, deployment: Deployment, before_traffic: Callable[[int], None]
    ) -> None:
        """Brings a version into service where it can be proven before it takes traffic."""
        version, record = deployment.version, self.record
        # A push that is continued may have come as far as its number.
        numbered = self.base.is_numbered(version)
        # A server that is told what to serve passes over numbers that it was not told.
        hidden = not numbered and not self.order.pinned_at
        self.base.publish(self.order, deployment, candidate=hidden)
        self.follow(record.content)
        self._wait(version, routed=False)
        self.check(version)
        before_traffic(version)
        self.lock.check()
        self.base.give_number(version)
        share = self.order.canary_share
        # There is nobody to share with before the first version serves.
        if share and record.content.stable is not None:
            self._write(as_canary(record.content, deployment, share, self.now_ms()))
            self._wait(version, routed=False)
        else:
            stable = as_stable(record.content, deployment, self.now_ms())
            self.follow(stable)
            self._write(stable)
            self._wait(version, routed=True)

    def _route_and_prove(self, deployment: Deployment) -> None:
        """Brings a version into service on a server that serves the highest number."""
        self.base.publish(self.order, deployment, candidate=False)
        self._wait(deployment.version, routed=True)
        self.check(deployment.version)
        self._write(as_stable(self.record.content, deployment, self.now_ms()))

    def _watch(self, deployment: Deployment) -> None:
        """Asks a version that serves its golden requests on, and takes it back when it fails."""
        deadline = self.clock() + self.order.probation_seconds
        while deployment.replaced is not None and self.clock() < deadline:
            self.sleep(_PROBATION_POLL_SECONDS)
            try:
                self.check(deployment.version)
            except ServerUnavailable:
                # A server that is restarted says nothing of its model.
                continue
            except ModelRejected as error:
                back = rolled_back(
                    self.record.content,
                    deployment.replaced,
                    f"on probation: {error}",
                    self.now_ms(),
                )
                self.follow(back)
                self._write(back)
                if not self.follows:
                    self.base.withdraw(deployment.version)
                raise

    def _wait(self, version: int, *, routed: bool) -> None:
        seconds = self.order.load_timeout_seconds
        wait_until_available(self.server, version, seconds, self.clock, self.sleep, routed=routed)

    def _write(self, record: DeploymentRecord) -> None:
        self.lock.check()
        self.record.write(record)

    def _fail(self, deployment: Deployment, reason: str) -> None:
        self.lock.check()
        record = failed(self.record.content, deployment, reason)
        try:
            self.follow(record)
        except ServingError as error:
            # It is away, or refuses: what is recorded and withdrawn does not wait for it.
            logging.warning("push model=%s server=not_told %s", self.order.model_name, error)
        if self.follows:
            # First the traffic, then the folder that answers it.
            self._write(record)
            self.base.withdraw(deployment.version)
        else:
            self.base.withdraw(deployment.version)
            self._write(record)

    def _clean_up(self) -> None:
        for version in kept_no_longer(self.record.content, self.order.keep_versions):
            self.lock.check()
            self.base.withdraw(version)

    def _withdraw_interrupted(self, kept: Deployment | None) -> None:
        """Withdraws what killed pushes left half-way, except the one to continue.

        No push of another process is under way: this one holds the lock.
        """
        for version in self.record.content.versions:
            if version.state is DeploymentState.PUSHING and version != kept:
                self._fail(version, "interrupted")
            elif version.state is DeploymentState.FAILED:
                # Killed between the record and the folder.
                self.base.withdraw(version.version)


def _own_entry(record: DeploymentRecord, run_id: str, digest: str) -> Deployment | None:
    """Returns what an earlier attempt of the same run left, if it is still good."""
    return next(
        (
            v
            for v in record.versions
            if run_id
            and v.run_id == run_id
            and v.model_digest == digest
            and v.state in (DeploymentState.STABLE, DeploymentState.CANARY, DeploymentState.PUSHING)
        ),
        None,
    )
