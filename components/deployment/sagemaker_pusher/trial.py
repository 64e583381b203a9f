"""A version that is tried where it answers no client: as a variant beside the one that serves.

A proof or a shadow runs under a config of its own, and the endpoint returns to the config before:
an alarm that takes the last update back then leads to that one, and guardrails find the variants
that they want to stay the same.
"""

from collections.abc import Callable

from tfx_loop.contracts.deployment_record import Deployment
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.hosting import HostedVersion, experiment_request
from tfx_loop.deployment.sagemaker_pusher.names import PROOF, SHADOW, resource_name
from tfx_loop.deployment.sagemaker_pusher.push_order import Proofs
from tfx_loop.deployment.sagemaker_pusher.push_work import PushWork
from tfx_loop.deployment.sagemaker_pusher.release import EndpointRelease


def try_out(
    work: PushWork, proofs: Proofs, deployment: Deployment, release: EndpointRelease
) -> EndpointRelease:
    """Tries a version in the ways that the settings ask for, and returns to the config before.

    Returns:
        The release, with the configs that are left of it.

    Raises:
        LoopError: As the proofs and `Endpoint.move`; the endpoint is then under the trial's config.
    """
    version, stable = deployment.version, work.record.content.stable
    # A push that is continued may have come as far as its last update.
    state = work.endpoint.settled(work.seconds)
    if not release.previous_config or state is None or state.config == release.config_name:
        return release
    settings = work.settings
    # A serverless endpoint takes a single variant: there is none to try beside it.
    if settings.prove_first and not settings.serverless:
        release = _try(work, release, PROOF, lambda: proofs.candidate(version))
    if settings.shadow_seconds:
        champion = stable.version if stable is not None else 0
        release = _try(work, release, SHADOW, lambda: proofs.shadow(champion, version))
    return release


def _try(
    work: PushWork, release: EndpointRelease, end: str, proof: Callable[[], None]
) -> EndpointRelease:
    serving = work.endpoint.config(release.previous_config)
    if serving is None:
        raise ConfigError(
            f"Expected endpoint config {release.previous_config}, found none: somebody deleted "
            "it. Delete the endpoint, or give another name."
        )
    settings = work.settings
    name = resource_name(settings.model_name, release.version, release.archive_sha256, end)
    version = HostedVersion(
        name=str(release.model["ModelName"]),
        archive_uri=release.archive_uri,
        served_name=settings.model_name,
        tags={tag["Key"]: tag["Value"] for tag in release.config["Tags"]},
    )
    variants = serving["ProductionVariants"]
    request = experiment_request(settings, name, variants, version, shadow=end == SHADOW)
    # Written down before it is made: a push that is killed leaves no config that nobody knows of.
    release = release.with_config(name)
    work.note(release)
    if work.endpoint.ensure_config(request):
        work.step(PushStep.CREATE_CONFIG, release, name)
    work.move(release, name)
    proof()
    work.step(PushStep.PROOF, release, f"as {end.strip('-')} variant")
    work.move(release, release.previous_config)
    if work.endpoint.delete_config(name):
        work.step(PushStep.DELETE_CONFIG, release, name)
    release = release.without_config(name)
    work.note(release)
    return release
