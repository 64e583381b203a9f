"""The release of a new version of an endpoint, and its entry in the record."""

from tfx_loop.contracts.deployment_record import (
    Deployment,
    DeploymentRecord,
    DeploymentState,
)
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.archive import ModelArchive
from tfx_loop.deployment.sagemaker_pusher.archive_upload import place_of
from tfx_loop.deployment.sagemaker_pusher.endpoint import EndpointState
from tfx_loop.deployment.sagemaker_pusher.hosting import (
    MAX_TAGS,
    HostedVersion,
    config_request,
    kept_tags,
    model_request,
    own_tags,
)
from tfx_loop.deployment.sagemaker_pusher.names import bucket_and_key, resource_name
from tfx_loop.deployment.sagemaker_pusher.push_work import PushWork
from tfx_loop.deployment.sagemaker_pusher.release import EndpointRelease


def own_entry(record: DeploymentRecord, run_id: str, digest: str) -> Deployment | None:
    """Returns what an earlier attempt of the same run left, if it is still good."""
    good = (DeploymentState.STABLE, DeploymentState.PUSHING)
    return next(
        (
            version
            for version in record.versions
            # Runs without a name cannot be told apart, so nothing of theirs is continued.
            if run_id
            and version.run_id == run_id
            and version.model_digest == digest
            and version.state in good
        ),
        None,
    )


def usable_state(work: PushWork) -> EndpointState | None:
    """Returns the endpoint's state at rest; None for one that is to be made."""
    if work.endpoint.state() is None:
        return None
    state = work.endpoint.rest(work.seconds)
    config = work.endpoint.config(state.config)
    if config is None:
        raise ConfigError(
            f"Expected endpoint config {state.config}, which endpoint {work.endpoint.name} "
            "uses, found none: somebody deleted it, and SageMaker updates the endpoint no "
            "more. Delete the endpoint, or give another name."
        )
    names = [str(variant["VariantName"]) for variant in config["ProductionVariants"]]
    if names != [work.settings.variant_name]:
        raise ConfigError(
            f"Expected the production variant {work.settings.variant_name!r} alone in endpoint "
            f"{work.endpoint.name}, found {names}: guardrails want names to stay. Set "
            "variant_name, or push to an endpoint of its own."
        )
    return state


def new_entry(work: PushWork, digest: str) -> Deployment:
    """Returns the entry of a version that is about to be pushed."""
    stable = work.record.content.stable
    return Deployment(
        version=work.record.content.next_version,
        model_digest=digest,
        model_uri=work.order.model_uri,
        reference_profile_uri=work.order.reference_profile_uri,
        variant=work.order.variant,
        run_id=work.order.run_id,
        pushed_at_ms=work.now_ms(),
        replaced=stable.version if stable else None,
        state=DeploymentState.PUSHING,
    )


def new_release(
    work: PushWork, deployment: Deployment, archive: ModelArchive, before: EndpointState | None
) -> EndpointRelease:
    """Returns what is made for a version."""
    settings = work.settings
    tags = dict(settings.tags)
    if before is not None and (config := work.endpoint.config(before.config)) is not None:
        held = work.endpoint.tags_of(str(config["EndpointConfigArn"]))
        # Tags belong to a config: an operator's, as for costs, would be lost with each push.
        tags = {**kept_tags(held), **tags}
    tags |= own_tags(settings.model_name, deployment.version, archive.sha256)
    if len(tags) > MAX_TAGS:
        raise ConfigError(
            f"Expected at most {MAX_TAGS} tags, with those kept of the endpoint's config, "
            f"received {len(tags)}. Set fewer tags, or remove some of the config's."
        )
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
