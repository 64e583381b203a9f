"""The push of a version to an endpoint, which answers with the old or the new version throughout.

    preflight ─▶ archive ─▶ model ─▶ proof ─▶ shadow ─▶ config ─▶ update ─▶ golden rows ─▶ stable
                                      │         │                   │           │
                                      └─────────┴───────────────────┴───────────┴─▶ config before

The endpoint is the only thing that clients see, and it changes by UpdateEndpoint alone, which keeps
the old instances until the new ones take over. The base path in S3 holds `deployment.json` and its
lock, and for each version what was made for it (`release.py`), written before it is made: a push
that is killed is continued by its own run, and taken back by any other.

A proof or a shadow runs under a config of its own, and the endpoint returns to the config before:
an alarm that takes the last update back then leads to that one, and guardrails find the variants
that they want to stay the same.
"""

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.contracts.deployment_record import (
    PUSH_LOCK,
    Deployment,
    DeploymentRecord,
    DeploymentState,
    SharedRecord,
    model_digest,
)
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.conditional_files import ConditionalFiles
from tfx_loop.core.errors import ConfigError, ModelRejected, ServingError, WriteConflict, first_line
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.deployment.sagemaker_pusher import registry
from tfx_loop.deployment.sagemaker_pusher.archive import ModelArchive, write_archive
from tfx_loop.deployment.sagemaker_pusher.archive_upload import place_of, upload
from tfx_loop.deployment.sagemaker_pusher.client import CLOUDWATCH, S3, Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint import (
    FAILED,
    IN_SERVICE,
    Endpoint,
    EndpointState,
)
from tfx_loop.deployment.sagemaker_pusher.hosting import (
    HostedVersion,
    config_request,
    experiment_request,
    kept_tags,
    model_request,
    own_tags,
    region_fits,
)
from tfx_loop.deployment.sagemaker_pusher.names import (
    PROOF,
    SHADOW,
    bucket_and_key,
    resource_name,
)
from tfx_loop.deployment.sagemaker_pusher.release import (
    EndpointRelease,
    read_release,
    write_release,
)
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings
from tfx_loop.deployment.serving_pusher.promotion import as_stable, failed
from tfx_loop.deployment.serving_pusher.push_order import holder_of

_LOG = logging.getLogger(__name__)
ALARM_OK = "OK"


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
        ConfigError: A bucket, an alarm or a name does not fit; nothing was changed.
        NotApproved: The registry waits for somebody.
        ModelRejected: The endpoint does not serve the version; it serves the one before.
        ServerUnavailable: AWS does not answer, or takes longer than it may; run again.
        ServingError: AWS refused a call; the endpoint serves the version before.
        WriteConflict: Another push took over, because this one stood still for too long.
    """
    settings = order.settings
    files = conditional_files(settings.base_path)
    preflight(aws, settings)
    SharedRecord(files, settings.base_path, settings.model_name)
    terms = LockTerms(
        name=PUSH_LOCK, holder=holder_of(order.run_id or "a run without a name"), token=order.token
    )
    lock = ExpiringLock(files, terms, clock, sleep)
    with lock.held(float(settings.lock_timeout_seconds)) as held:
        record = SharedRecord(files, settings.base_path, settings.model_name)
        endpoint = Endpoint(aws=aws, name=settings.endpoint, clock=clock, sleep=sleep)
        run = _Push(order, aws, proofs, files, held, record, endpoint, now_ms)
        return run.run()


def preflight(aws: Aws, settings: SageMakerPusherSettings) -> None:
    """Checks what has to be there, by calls that change nothing.

    Raises:
        ConfigError: The bucket is in another region, or an alarm is not there, or not OK.
    """
    bucket, _ = bucket_and_key(settings.base_path)
    told = aws.call(S3, "head_bucket", Bucket=bucket)
    if region := told.get("BucketRegion"):
        region_fits(settings, str(region), settings.base_path)
    if not settings.rollback_alarms:
        return
    names = list(settings.rollback_alarms)
    kinds = ["MetricAlarm", "CompositeAlarm"]
    found = aws.call(CLOUDWATCH, "describe_alarms", AlarmNames=names, AlarmTypes=kinds)
    alarms = [*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ())]
    states = {str(alarm["AlarmName"]): str(alarm["StateValue"]) for alarm in alarms}
    wrong = [f"{n}: {states.get(n, 'none')}" for n in names if states.get(n) != ALARM_OK]
    if wrong:
        raise ConfigError(
            f"Expected rollback_alarms that are there and {ALARM_OK}, found {', '.join(wrong)}. "
            "One that is in ALARM would take each update back, and one without data watches "
            "nothing."
        )


@dataclass(frozen=True)
class _Push:
    """A push that has the endpoint for itself."""

    order: EndpointPushOrder
    aws: Aws
    proofs: Proofs
    files: ConditionalFiles
    lock: ExpiringLock
    record: SharedRecord
    endpoint: Endpoint
    now_ms: Callable[[], int]

    @property
    def settings(self) -> SageMakerPusherSettings:
        return self.order.settings

    @property
    def seconds(self) -> float:
        """How long an update may take."""
        return float(self.settings.waits_seconds + self.settings.endpoint_timeout_seconds)

    def run(self) -> Deployment:
        order = self.order
        digest = model_digest(order.model_dir)
        own = own_entry(self.record.content, order.run_id, digest)
        self._take_back_interrupted(kept=own)
        if own is not None and own.state is DeploymentState.STABLE:
            return own
        known = read_release(self.files, own.version) if own is not None else None
        before = self._usable_state() if known is None else None
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.tar.gz"
            archive = write_archive(order.model_dir, self.settings.model_name, path)
            deployment = own or self._entry(digest)
            release = known or self._release(deployment, archive, before)
            package = self._approved(archive, release)
            release = dataclasses.replace(release, package_arn=package)
            self._write(self.record.content.with_version(deployment))
            try:
                self._make(archive, release)
                release = self._prove(deployment, release)
                self._serve(deployment, release)
            except WriteConflict:
                # Another push took over, and with it what is to become of this version.
                raise
            except Exception as error:
                self._fail(deployment, str(error) or type(error).__name__)
                raise
        deployment = self.record.content.version(deployment.version)
        _LOG.info(
            "push endpoint=%s version=%d config=%s replaced=%s",
            self.endpoint.name,
            deployment.version,
            release.config_name,
            deployment.replaced,
        )
        self._clean_up(release)
        return deployment

    def _usable_state(self) -> EndpointState | None:
        """Returns the endpoint's state at rest; None for one that is to be made."""
        if self.endpoint.state() is None:
            return None
        state = self.endpoint.rest(self.seconds)
        config = self.endpoint.config(state.config)
        if config is None:
            raise ConfigError(
                f"Expected endpoint config {state.config}, which endpoint {self.endpoint.name} "
                "uses, found none: somebody deleted it, and SageMaker updates the endpoint no "
                "more. Delete the endpoint, or give another name."
            )
        names = [str(variant["VariantName"]) for variant in config["ProductionVariants"]]
        if names != [self.settings.variant_name]:
            raise ConfigError(
                f"Expected the production variant {self.settings.variant_name!r} alone in endpoint "
                f"{self.endpoint.name}, found {names}: guardrails want names to stay. Set "
                "variant_name, or push to an endpoint of its own."
            )
        return state

    def _entry(self, digest: str) -> Deployment:
        stable = self.record.content.stable
        return Deployment(
            version=self.record.content.next_version,
            model_digest=digest,
            model_uri=self.order.model_uri,
            reference_profile_uri=self.order.reference_profile_uri,
            variant=self.order.variant,
            run_id=self.order.run_id,
            pushed_at_ms=self.now_ms(),
            replaced=stable.version if stable else None,
            state=DeploymentState.PUSHING,
        )

    def _release(
        self, deployment: Deployment, archive: ModelArchive, before: EndpointState | None
    ) -> EndpointRelease:
        """Returns what is made for a version."""
        settings = self.settings
        tags = dict(settings.tags)
        if before is not None and (config := self.endpoint.config(before.config)) is not None:
            held = self.endpoint.tags_of(str(config["EndpointConfigArn"]))
            tags = {**kept_tags(held), **tags}
        tags |= own_tags(settings.model_name, deployment.version, archive.sha256)
        bucket, prefix = bucket_and_key(settings.base_path)
        place = place_of(archive, bucket, prefix)
        version = HostedVersion(
            name=resource_name(settings.model_name, deployment.version, archive.sha256),
            archive_uri=place.uri,
            served_name=archive.name,
            tags=tags,
        )
        return EndpointRelease(
            version=deployment.version,
            endpoint=settings.endpoint,
            region=settings.region,
            archive_uri=place.uri,
            archive_sha256=archive.sha256,
            model=model_request(settings, version),
            config=config_request(settings, version),
            previous_config=before.config if before is not None else "",
            configs=(version.name,),
        )

    def _approved(self, archive: ModelArchive, release: EndpointRelease) -> str:
        """Returns the address of the approved package; empty without a registry."""
        settings = self.settings
        if not settings.model_package_group:
            return ""
        # A package tells where its archive is, and is judged by what lies there.
        self._upload(archive)
        lineage = {
            "model_name": settings.model_name,
            "model_uri": self.order.model_uri,
            "model_digest": model_digest(self.order.model_dir),
            "run_id": self.order.run_id,
            "reference_profile_uri": self.order.reference_profile_uri,
            "code_revision": settings.code_revision,
            "variant": self.order.variant,
        }
        package = registry.register(
            self.aws,
            settings.model_package_group,
            release.model["PrimaryContainer"],
            registry.package_metadata(archive.sha256, lineage, self.order.metrics),
        )
        seconds = float(settings.approval_wait_seconds)
        clock, sleep = self.endpoint.clock, self.endpoint.sleep
        if not registry.wait_for_approval(self.aws, package, seconds, clock, sleep):
            raise NotApproved(
                f"Expected the model package {package.arn} to be approved, received "
                f"{registry.PENDING}. Approve it, then run the node again."
            )
        return package.arn

    def _upload(self, archive: ModelArchive) -> bool:
        bucket, prefix = bucket_and_key(self.settings.base_path)
        return upload(self.aws, archive, place_of(archive, bucket, prefix))

    def _make(self, archive: ModelArchive, release: EndpointRelease) -> None:
        """Makes what no client sees: the archive in S3, and the model."""
        if self._upload(archive):
            self._event("upload_archive", release, release.archive_uri)
        self._note(release)
        if self.endpoint.ensure_model(release.model):
            self._event("create_model", release, str(release.model["ModelName"]))

    def _prove(self, deployment: Deployment, release: EndpointRelease) -> EndpointRelease:
        """Tries a version where it answers no client, and returns to the config before."""
        version, stable = deployment.version, self.record.content.stable
        # A push that is continued may have come as far as its last update.
        state = self.endpoint.settled(self.seconds)
        if not release.previous_config or state is None or state.config == release.config_name:
            return release
        if self.settings.prove_first and not self.settings.serverless:
            release = self._try(release, PROOF, lambda: self.proofs.candidate(version))
        if self.settings.shadow_seconds:
            champion = stable.version if stable is not None else 0
            release = self._try(release, SHADOW, lambda: self.proofs.shadow(champion, version))
        return release

    def _try(
        self, release: EndpointRelease, end: str, proof: Callable[[], None]
    ) -> EndpointRelease:
        serving = self.endpoint.config(release.previous_config)
        if serving is None:
            raise ConfigError(
                f"Expected endpoint config {release.previous_config}, found none: somebody deleted "
                "it. Delete the endpoint, or give another name."
            )
        name = resource_name(self.settings.model_name, release.version, release.archive_sha256, end)
        version = HostedVersion(
            name=str(release.model["ModelName"]),
            archive_uri=release.archive_uri,
            served_name=self.settings.model_name,
            tags={tag["Key"]: tag["Value"] for tag in release.config["Tags"]},
        )
        variants = serving["ProductionVariants"]
        request = experiment_request(self.settings, name, variants, version, shadow=end == SHADOW)
        release = release.with_config(name)
        self._note(release)
        if self.endpoint.ensure_config(request):
            self._event("create_endpoint_config", release, name)
        self._move(release, name)
        proof()
        self._event("proof", release, f"as {end.strip('-')} variant")
        self._move(release, release.previous_config)
        if self.endpoint.delete_config(name):
            self._event("delete_endpoint_config", release, name)
        release = release.without_config(name)
        self._note(release)
        return release

    def _serve(self, deployment: Deployment, release: EndpointRelease) -> None:
        """Lets the endpoint serve a version, asks it, and records it as stable."""
        name = release.config_name
        if self.endpoint.ensure_config(release.config):
            self._event("create_endpoint_config", release, name)
        if release.previous_config:
            self._move(release, name, self.settings.deployment_config())
        else:
            self.lock.check()
            tags = list(release.config["Tags"])
            self.endpoint.create(name, tags, self.seconds)
            self._event("create_endpoint", release, name)
        state = self.endpoint.state()
        if not self.settings.serverless and (state is None or not state.captures):
            raise ModelRejected(
                f"Expected endpoint {self.endpoint.name} to capture its requests, received one "
                "that does not. See its DataCaptureConfig."
            )
        self.proofs.serving(deployment.version)
        self._event("golden_rows", release, "answered as in the pipeline")
        stable = as_stable(self.record.content, deployment, self.now_ms())
        self._write(stable)

    def _move(
        self, release: EndpointRelease, config: str, deployment: Mapping[str, Any] | None = None
    ) -> None:
        self.lock.check()
        before = self.endpoint.state()
        self.endpoint.move(config, self.seconds, deployment)
        if before is None or before.config != config:
            self._event("update_endpoint", release, config)

    def _fail(self, deployment: Deployment, reason: str) -> None:
        """Returns the endpoint to the config before, then records the failure."""
        self.lock.check()
        try:
            self._take_back(deployment, proven_wrong=True)
        except ServingError as error:
            # What AWS does not take back now is taken back by the next push.
            _LOG.warning("endpoint=%s back=no %s", self.endpoint.name, first_line(error))
            return
        self._write(failed(self.record.content, deployment, reason))

    def _take_back_interrupted(self, kept: Deployment | None) -> None:
        """Takes back what killed pushes left, except the one to continue."""
        for version in self.record.content.versions:
            if version.state is DeploymentState.PUSHING and version != kept:
                self._take_back(version, proven_wrong=False)
                self._write(failed(self.record.content, version, "interrupted"))

    def _take_back(self, deployment: Deployment, *, proven_wrong: bool) -> None:
        """Returns the endpoint to what it served before a version, if that was changed.

        Args:
            deployment: The version.
            proven_wrong: Whether it failed, where nothing served before it: then no answer is
                better than its own. One that was interrupted answers until the next one does.
        """
        release = read_release(self.files, deployment.version)
        state = self.endpoint.settled(self.seconds)
        if release is None or state is None:
            return
        if not release.previous_config:
            mine = state.config in release.configs
            if mine and (state.status == FAILED or (proven_wrong and state.status == IN_SERVICE)):
                self.endpoint.delete(self.seconds)
                self._event("delete_endpoint", release, "its first version failed")
            return
        if state.status == IN_SERVICE and state.config in release.configs:
            self._move(release, release.previous_config)

    def _clean_up(self, release: EndpointRelease) -> None:
        """Deletes the configs before the last one; the one in use and the last are kept."""
        kept = {release.config_name, release.previous_config}
        for version in self.record.content.versions:
            held = read_release(self.files, version.version)
            for name in held.configs if held is not None else ():
                if held is None or name in kept:
                    continue
                self.lock.check()
                if self.endpoint.delete_config(name):
                    self._event("delete_endpoint_config", held, name)
                held = held.without_config(name)
                self._note(held)

    def _note(self, release: EndpointRelease) -> None:
        self.lock.check()
        write_release(self.files, release)

    def _event(self, action: str, release: EndpointRelease, detail: str) -> None:
        """Records a step; each becomes an execution in ML Metadata."""
        record = self.record.content
        self._write(record.with_event(action, release.version, detail, self.now_ms()))

    def _write(self, record: DeploymentRecord) -> None:
        self.lock.check()
        settings = self.settings
        named = dataclasses.replace(record, endpoint=f"{settings.region}/{settings.endpoint}")
        self.record.write(named)


def own_entry(record: DeploymentRecord, run_id: str, digest: str) -> Deployment | None:
    """Returns what an earlier attempt of the same run left, if it is still good."""
    good = (DeploymentState.STABLE, DeploymentState.PUSHING)
    return next(
        (
            version
            for version in record.versions
            if run_id
            and version.run_id == run_id
            and version.model_digest == digest
            and version.state in good
        ),
        None,
    )
