"""The push of a version to an endpoint, which answers with the old or the new version throughout.

    preflight ─▶ archive ─▶ model ─▶ proof ─▶ shadow ─▶ config ─▶ update ─▶ golden rows ─▶ stable
                                      │         │                   │           │
                                      └─────────┴───────────────────┴───────────┴─▶ config before

The endpoint is the only thing that clients see, and it changes by UpdateEndpoint alone, which keeps
the old instances until the new ones take over. The base path in S3 holds `deployment.json` and its
lock, and for each version what was made for it (`release.py`), written before it is made: a push
that is killed is continued by its own run, and taken back by any other.

`trial.py` tries a version beside the one that serves, `taking_back.py` is the way back.
"""

import dataclasses
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from tfx_loop.contracts.deployment_record import (
    PUSH_LOCK,
    Deployment,
    DeploymentState,
    SharedRecord,
    model_digest,
    read_record,
)
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.errors import ModelRejected, WriteConflict
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.deployment.sagemaker_pusher import registry
from tfx_loop.deployment.sagemaker_pusher.archive import ModelArchive, write_archive
from tfx_loop.deployment.sagemaker_pusher.archive_upload import place_of, upload
from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint import Endpoint
from tfx_loop.deployment.sagemaker_pusher.names import bucket_and_key
from tfx_loop.deployment.sagemaker_pusher.new_release import (
    new_entry,
    new_release,
    own_entry,
    usable_state,
)
from tfx_loop.deployment.sagemaker_pusher.preflight import check_record, preflight
from tfx_loop.deployment.sagemaker_pusher.push_order import (
    EndpointPushOrder,
    NotApproved,
    Proofs,
)
from tfx_loop.deployment.sagemaker_pusher.push_work import PushWork
from tfx_loop.deployment.sagemaker_pusher.release import EndpointRelease, read_release
from tfx_loop.deployment.sagemaker_pusher.taking_back import (
    delete_old_configs,
    fail,
    take_back_interrupted,
)
from tfx_loop.deployment.sagemaker_pusher.trial import try_out
from tfx_loop.deployment.serving_pusher.promotion import as_stable
from tfx_loop.deployment.serving_pusher.push_order import holder_of

_LOG = logging.getLogger(__name__)


def push(
    order: EndpointPushOrder,
    aws: Aws,
    proofs: Proofs,
    now_ms: Callable[[], int],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Deployment:
    """Returns the version that the endpoint serves now.

    Args:
        order: What is pushed.
        aws: Carries out the calls.
        proofs: What it must show.
        now_ms: The time, milliseconds UTC; it may jump, and is only written down.
        clock: Seconds that only grow, for every wait.
        sleep: Waits, in seconds.

    Raises:
        ConfigError: A bucket, an alarm, a name or the base path does not fit; nothing was changed.
        NotApproved: The registry waits for somebody.
        ModelRejected: The endpoint does not serve the version; it serves the one before.
        ServerUnavailable: AWS does not answer, or takes longer than it may; run again.
        ServingError: AWS refused a call; the endpoint serves the version before.
        WriteConflict: Another push took over, because this one stood still for too long.
    """
    settings = order.settings
    files = conditional_files(settings.base_path)
    # Before the lock: an endpoint that cannot be served must not keep another push waiting.
    preflight(aws, settings)
    check_record(read_record(settings.base_path, settings.model_name), settings)
    terms = LockTerms(
        name=PUSH_LOCK, holder=holder_of(order.run_id or "a run without a name"), token=order.token
    )
    lock = ExpiringLock(files, terms, clock, sleep)
    with lock.held(float(settings.lock_timeout_seconds)) as held:
        record = SharedRecord(files, settings.base_path, settings.model_name)
        # Once more under the lock: another push may have written since.
        check_record(record.content, settings)
        work = PushWork(
            order=order,
            aws=aws,
            endpoint=Endpoint(aws=aws, name=settings.endpoint, clock=clock, sleep=sleep),
            files=files,
            lock=held,
            record=record,
            now_ms=now_ms,
        )
        return _push(work, proofs)


def _push(work: PushWork, proofs: Proofs) -> Deployment:
    order = work.order
    digest = model_digest(order.model_dir)
    own = own_entry(work.record.content, order.run_id, digest)
    take_back_interrupted(work, kept=own)
    if own is not None and own.state is DeploymentState.STABLE:
        return own
    # Names that an interrupted push wrote down are used again, so that nothing is made twice.
    known = read_release(work.files, own.version) if own is not None else None
    before = usable_state(work) if known is None else None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.tar.gz"
        archive = write_archive(order.model_dir, work.settings.model_name, path)
        deployment = own or new_entry(work, digest)
        release = known or new_release(work, deployment, archive, before)
        package = _approved(work, archive, release)
        release = dataclasses.replace(release, package_arn=package)
        _announce(work, deployment, new=own is None, package=package)
        try:
            _make(work, archive, release)
            release = try_out(work, proofs, deployment, release)
            _serve(work, proofs, deployment, release)
        except WriteConflict:
            # Another push took over, and with it what is to become of this version.
            raise
        except Exception as error:
            fail(work, deployment, str(error) or type(error).__name__)
            raise
    deployment = work.record.content.version(deployment.version)
    _LOG.info(
        "push endpoint=%s version=%d config=%s replaced=%s",
        work.endpoint.name,
        deployment.version,
        release.config_name,
        deployment.replaced,
    )
    delete_old_configs(work, release)
    return deployment


def _announce(work: PushWork, deployment: Deployment, *, new: bool, package: str) -> None:
    """Writes that a version is being pushed, before anything is made for it alone."""
    record = work.record.content.with_version(deployment)
    if new and package:
        step = PushStep.REGISTER.value
        record = record.with_event(step, deployment.version, package, work.now_ms())
    work.write(record)


def _approved(work: PushWork, archive: ModelArchive, release: EndpointRelease) -> str:
    """Returns the address of the approved package; empty without a registry."""
    settings = work.settings
    if not settings.model_package_group:
        return ""
    # A package tells where its archive is, and is judged by what lies there.
    _upload(work, archive)
    lineage = {
        "model_name": settings.model_name,
        "model_uri": work.order.model_uri,
        "model_digest": model_digest(work.order.model_dir),
        "run_id": work.order.run_id,
        "reference_profile_uri": work.order.reference_profile_uri,
        "code_revision": settings.code_revision,
        "variant": work.order.variant,
    }
    package = registry.register(
        work.aws,
        settings.model_package_group,
        release.model["PrimaryContainer"],
        registry.package_metadata(archive.sha256, lineage, work.order.metrics),
    )
    seconds = float(settings.approval_wait_seconds)
    clock, sleep = work.endpoint.clock, work.endpoint.sleep
    if not registry.wait_for_approval(work.aws, package, seconds, clock, sleep):
        raise NotApproved(
            f"Expected the model package {package.arn} to be approved, received "
            f"{registry.PENDING}. Approve it, then run the node again."
        )
    return package.arn


def _upload(work: PushWork, archive: ModelArchive) -> bool:
    bucket, prefix = bucket_and_key(work.settings.base_path)
    return upload(work.aws, archive, place_of(archive, bucket, prefix))


def _make(work: PushWork, archive: ModelArchive, release: EndpointRelease) -> None:
    """Makes what no client sees: the archive in S3, and the model."""
    if _upload(work, archive):
        work.step(PushStep.UPLOAD_ARCHIVE, release, release.archive_uri)
    work.note(release)
    if work.endpoint.ensure_model(release.model):
        work.step(PushStep.CREATE_MODEL, release, str(release.model["ModelName"]))


def _serve(
    work: PushWork, proofs: Proofs, deployment: Deployment, release: EndpointRelease
) -> None:
    """Lets the endpoint serve a version, asks it, and records it as stable."""
    name = release.config_name
    if work.endpoint.ensure_config(release.config):
        work.step(PushStep.CREATE_CONFIG, release, name)
    if release.previous_config:
        work.move(release, name, work.settings.deployment_config())
    else:
        work.lock.check()
        tags = list(release.config["Tags"])
        work.endpoint.create(name, tags, work.seconds)
        work.step(PushStep.CREATE_ENDPOINT, release, name)
    state = work.endpoint.state()
    # Serverless endpoints capture nothing at all; on others a loop without captures would be blind.
    if not work.settings.serverless and (state is None or not state.captures):
        raise ModelRejected(
            f"Expected endpoint {work.endpoint.name} to capture its requests, received one "
            "that does not. See its DataCaptureConfig."
        )
    proofs.serving(deployment.version)
    work.step(PushStep.GOLDEN_ROWS, release, "answered as in the pipeline")
    stable = as_stable(work.record.content, deployment, work.now_ms())
    work.write(stable)
