"""The way back of a push that failed or was killed, and the configs that nothing uses any more."""

import logging

from tfx_loop.contracts.deployment_record import Deployment, DeploymentState
from tfx_loop.contracts.push_steps import PushStep
from tfx_loop.core.errors import ServingError, first_line
from tfx_loop.deployment.sagemaker_pusher.endpoint import FAILED, IN_SERVICE
from tfx_loop.deployment.sagemaker_pusher.push_work import PushWork
from tfx_loop.deployment.sagemaker_pusher.release import EndpointRelease, read_release
from tfx_loop.deployment.serving_pusher.promotion import failed

_LOG = logging.getLogger(__name__)


def fail(work: PushWork, deployment: Deployment, reason: str) -> None:
    """Returns the endpoint to the config before, then records the failure."""
    try:
        work.lock.check()
        _take_back(work, deployment, proven_wrong=True)
        _write_failed(work, deployment, reason)
    except (ServingError, OSError) as error:
        # What AWS does not take back now, or S3 not note, is taken back by the next push.
        _LOG.warning("endpoint=%s back=no %s", work.endpoint.name, first_line(error))


def take_back_interrupted(work: PushWork, kept: Deployment | None) -> None:
    """Takes back what killed pushes left, except the one to continue."""
    for version in work.record.content.versions:
        if version.state is DeploymentState.PUSHING and version != kept:
            _take_back(work, version, proven_wrong=False)
            _write_failed(work, version, "interrupted")


def delete_old_configs(work: PushWork, release: EndpointRelease) -> None:
    """Deletes the configs before the last one; the one in use and the last are kept."""
    kept = {release.config_name, release.previous_config}
    for version in work.record.content.versions:
        held = read_release(work.files, version.version)
        for name in held.configs if held is not None else ():
            if held is None or name in kept:
                continue
            work.lock.check()
            if work.endpoint.delete_config(name):
                work.step(PushStep.DELETE_CONFIG, held, name)
            held = held.without_config(name)
            work.note(held)


def _take_back(work: PushWork, deployment: Deployment, *, proven_wrong: bool) -> None:
    """Returns the endpoint to what it served before a version, if that was changed.

    Args:
        work: The push that has the endpoint.
        deployment: The version.
        proven_wrong: Whether it failed, where nothing served before it: then no answer is
            better than its own. One that was interrupted answers until the next one does.
    """
    release = read_release(work.files, deployment.version)
    state = work.endpoint.settled(work.seconds)
    if release is None or state is None:
        return
    if not release.previous_config:
        mine = state.config in release.configs
        # A failed endpoint can only be deleted; its name is then free for the next push.
        if mine and (state.status == FAILED or (proven_wrong and state.status == IN_SERVICE)):
            work.endpoint.delete(work.seconds)
            work.step(PushStep.DELETE_ENDPOINT, release, "its first version failed")
        return
    if state.status == IN_SERVICE and state.config in release.configs:
        work.move(release, release.previous_config)


def _write_failed(work: PushWork, deployment: Deployment, reason: str) -> None:
    record = failed(work.record.content, deployment, reason)
    step = PushStep.PUSH_FAILED.value
    work.write(record.with_event(step, deployment.version, reason, work.now_ms()))
