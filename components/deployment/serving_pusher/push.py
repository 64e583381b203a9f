"""The push of a new version to a running server, which never takes the service down.

    preflight ─▶ stage ─▶ candidate ─▶ golden requests ─▶ numbered ─▶ serves ─▶ stable
        │          │          │               │               │
        └──────────┴──────────┴───────────────┴───────────────┴─▶ withdraw, serve the old

Our server loads a candidate beside the version that serves and gives it no traffic: what is not
proven answers nobody, whatever becomes of the push. A server that knows no candidates (TF Serving)
sees the number first, and is asked the golden requests then.

The base path is a file system that the server watches (a disk, NFS, a mounted volume): a version
becomes visible by one rename, so no reader ever sees half a model. A bucket has no such rename.
"""

import dataclasses
import logging
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tfx_loop.contracts.deployment_record import (
    CANDIDATE_PREFIX,
    PUSH_LOCK,
    Deployment,
    DeploymentRecord,
    DeploymentState,
    SharedRecord,
    model_digest,
    read_record,
)
from tfx_loop.contracts.variant_note import FLOAT, TFLITE, VARIANT_NOTE, VariantNote, read_note
from tfx_loop.core import storage
from tfx_loop.core.conditional_files import FolderFiles
from tfx_loop.core.errors import ConfigError, ModelRejected, ServerUnavailable, WriteConflict
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.deployment.model_server.client import VersionState
from tfx_loop.models.formats import SERVED_TFLITE_NAME, is_saved_model, tflite_file

# A fifth of the second after which servers look for versions by default.
POLL_SECONDS = 0.2
_FAILED_STATES = ("END", "UNLOADING")


class StatusClient(Protocol):
    """The part of a model server that a push needs."""

    def status(self) -> Sequence[VersionState]:
        """Returns the state of each version; raises ServerUnavailable."""

    def loads_candidates(self) -> bool:
        """Says whether it loads `.candidate-N` beside what serves, without traffic."""


@dataclass(frozen=True, kw_only=True)
class ServerPushOrder:
    """What is pushed, and where.

    Attributes:
        model_name: Name that the server serves it under.
        model_dir: Folder of the SavedModel or the TFLite model, on this machine.
        base_path: Folder of numbered versions that the server watches.
        model_uri: The Model artifact.
        reference_profile_uri: The ReferenceProfile artifact; empty if there is none.
        variant: Which optimisation of the model it is; empty for what the folder says, or else
            `float` for a SavedModel and `tflite` for a TFLite model.
        examples_input: Under which name a TFLite model is to take serialized tf.Examples, as the
            version before does; empty where it takes columns alone.
        run_id: Pipeline run that pushes; a run that is resumed continues its own push.
        load_timeout_seconds: How long the version may take to become available.
        lock_wait_seconds: How long another push to the base path is waited for.
        token: What only this push knows and writes into its lock.
    """

    model_name: str
    model_dir: Path
    base_path: str
    model_uri: str
    reference_profile_uri: str
    run_id: str
    load_timeout_seconds: float
    variant: str = ""
    examples_input: str = ""
    lock_wait_seconds: float = 600.0
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if storage.is_remote(self.base_path):
            raise ConfigError(
                f"base_path must be a folder of a file system, got {self.base_path!r}: a bucket "
                "has no rename, so a server could see half a version. Mount it as a volume."
            )
        if not is_saved_model(self.model_dir) and tflite_file(self.model_dir) is None:
            raise ConfigError(
                f"Expected a SavedModel or a TFLite model in {self.model_dir}, found no "
                "saved_model.pb and no model.tflite. Let the Trainer write one to "
                "fn_args.serving_model_dir."
            )

    @property
    def variant_name(self) -> str:
        """Which optimisation it is, for the record and the version folder."""
        default = FLOAT if is_saved_model(self.model_dir) else TFLITE
        return self.variant or read_note(self.model_dir, default).variant

    @property
    def holder(self) -> str:
        """Who pushes, for another push that waits."""
        run = f"run {self.run_id}" if self.run_id else "a run without a name"
        return f"{run} (process {os.getpid()} on {socket.gethostname()})"


def push(
    order: ServerPushOrder,
    server: StatusClient,
    check: Callable[[int], None],
    now_ms: Callable[[], int],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Deployment:
    """Returns the version that is now stable.

    Args:
        order: What is pushed, and where.
        server: The server that watches `order.base_path`.
        check: Asks the version given its golden requests; raises LoopError when an answer is
            missing or wrong.
        now_ms: The time, milliseconds UTC; it may jump, and is only written down.
        clock: Seconds that only grow, for every wait.
        sleep: Waits, in seconds.

    Raises:
        ServerUnavailable: The server does not answer; nothing was changed, or all was withdrawn.
        ModelRejected: The server does not serve the version; it was withdrawn.
        WriteConflict: Another push took over, because this one stood still for too long.
    """
    base = Path(order.base_path)
    # Refused before anything is written: the base path of another model, a server that is away.
    read_record(order.base_path, order.model_name)
    server.status()
    base.mkdir(parents=True, exist_ok=True)
    files = FolderFiles(base)
    terms = LockTerms(name=PUSH_LOCK, holder=order.holder, token=order.token)
    with ExpiringLock(files, terms, clock, sleep).held(order.lock_wait_seconds) as lock:
        record = SharedRecord(files, order.base_path, order.model_name)
        return _Push(order, base, lock, record, server, clock, sleep).run(check, now_ms)


@dataclass(frozen=True)
class _Push:
    """A push that has the base path for itself."""

    order: ServerPushOrder
    base: Path
    lock: ExpiringLock
    record: SharedRecord
    server: StatusClient
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self, check: Callable[[int], None], now_ms: Callable[[], int]) -> Deployment:
        order = self.order
        digest = model_digest(order.model_dir)
        started = _own_entry(self.record.content, order.run_id, digest)
        self._withdraw_interrupted(kept=started)
        if started is not None and started.state is DeploymentState.STABLE:
            return started
        stable = self.record.content.stable
        deployment = started or Deployment(
            # Above any folder too: one that somebody copied there by hand must not be written over.
            version=max(self.record.content.next_version, _highest_folder(self.base) + 1),
            model_digest=digest,
            model_uri=order.model_uri,
            reference_profile_uri=order.reference_profile_uri,
            variant=order.variant_name,
            run_id=order.run_id,
            pushed_at_ms=now_ms(),
            replaced=stable.version if stable else None,
            state=DeploymentState.PUSHING,
        )
        self._note(deployment)
        try:
            self._prove(deployment, check)
        except WriteConflict:
            # Another push took over, and with it what is to become of this version.
            raise
        except Exception as error:
            # Whatever it was: a version that was not proven does not stay.
            self._fail(deployment, str(error) or type(error).__name__)
            raise
        deployment = dataclasses.replace(deployment, state=DeploymentState.STABLE)
        self._note(deployment)
        logging.info(
            "push model=%s version=%d replaced=%s",
            order.model_name,
            deployment.version,
            deployment.replaced,
        )
        return deployment

    def _prove(self, deployment: Deployment, check: Callable[[int], None]) -> None:
        version = deployment.version
        target = self.base / str(version)
        candidate = self.base / f"{CANDIDATE_PREFIX}{version}"
        # A push that is continued may have come as far as its number.
        apart = not target.exists() and self.server.loads_candidates()
        _publish(self.order, candidate if apart else target, deployment)
        self._wait(version, routed=not apart)
        check(version)
        if apart:
            self.lock.check()
            os.rename(candidate, target)
            storage.sync(self.base)
            self._wait(version, routed=True)

    def _wait(self, version: int, *, routed: bool) -> None:
        _wait_until_available(
            self.server, version, self.order, self.clock, self.sleep, routed=routed
        )

    def _note(self, deployment: Deployment) -> None:
        self.lock.check()
        self.record.write(self.record.content.with_version(deployment))

    def _fail(self, deployment: Deployment, reason: str) -> None:
        self.lock.check()
        _withdraw(self.base, deployment.version)
        failed = dataclasses.replace(deployment, state=DeploymentState.FAILED, reason=reason)
        self._note(failed)

    def _withdraw_interrupted(self, kept: Deployment | None) -> None:
        """Withdraws what killed pushes left half-way, except the one to continue.

        No push of another process is under way: this one holds the lock.
        """
        for version in self.record.content.versions:
            if version.state is DeploymentState.PUSHING and version != kept:
                self._fail(version, "interrupted")


def _own_entry(record: DeploymentRecord, run_id: str, digest: str) -> Deployment | None:
    """Returns what an earlier attempt of the same run left, if it is still good."""
    return next(
        (
            v
            for v in record.versions
            if run_id
            and v.run_id == run_id
            and v.model_digest == digest
            and v.state in (DeploymentState.STABLE, DeploymentState.PUSHING)
        ),
        None,
    )


def _publish(order: ServerPushOrder, target: Path, deployment: Deployment) -> None:
    """Makes a version visible whole: copied beside, its variant noted, synced, renamed."""
    if target.exists():
        return
    base = target.parent
    staged = base / f".staging-{deployment.version}"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        shutil.copytree(order.model_dir, staged)
        file = tflite_file(staged)
        if file is not None:
            os.rename(file, staged / SERVED_TFLITE_NAME)
        note = VariantNote(variant=deployment.variant, examples_input=order.examples_input)
        VARIANT_NOTE.write(note, staged)
        for path in (*staged.rglob("*"), staged):
            storage.sync(path)
        os.rename(staged, target)
        storage.sync(base)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def _withdraw(base: Path, version: int) -> None:
    """Takes a version away whole, so that the server goes back to the one before."""
    removed = base / f".withdrawn-{version}"
    for left in (removed, base / f".staging-{version}"):
        shutil.rmtree(left, ignore_errors=True)
    for shown in (base / str(version), base / f"{CANDIDATE_PREFIX}{version}"):
        if shown.exists():
            os.rename(shown, removed)
            shutil.rmtree(removed)


def _highest_folder(base: Path) -> int:
    return max((int(p.name) for p in base.iterdir() if p.name.isdecimal()), default=0)


def _wait_until_available(
    server: StatusClient,
    version: int,
    order: ServerPushOrder,
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
    deadline = clock() + order.load_timeout_seconds
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
        f"Expected version {version} to become AVAILABLE within {order.load_timeout_seconds:g} s, "
        f"received: {last}. The version was withdrawn; the one before serves on."
    )
