"""Details that SageMaker's captures lack, from the model and from the deployment record."""

from dataclasses import replace
from pathlib import Path

from tfx_loop.contracts.capture_source import ServedVersion
from tfx_loop.contracts.deployment_record import Deployment, DeploymentRecord, DeploymentState
from tfx_loop.deployment.serving_pusher.promotion import PROMOTE_EVENT, ROLL_BACK_EVENT
from tfx_loop.models.formats import SERVING_FOLDER
from tfx_loop.models.saved_model.column_names import signature_columns
from tfx_loop.pipelines.config import Settings

_NEVER_SERVED = (DeploymentState.PUSHING, DeploymentState.CANARY, DeploymentState.FAILED)


def with_captures_named(
    settings: Settings, record: DeploymentRecord, champion: Deployment
) -> Settings:
    """Returns settings whose captures have names and versions; others as they are.

    Args:
        settings: Whose `serving.capture` may leave them out.
        record: Which versions were pushed when.
        champion: Whose signature names columns that have no names, such as those of CSV.

    Raises:
        ModelError: The champion's SavedModel cannot be read.
    """
    source = settings.serving.capture
    if source is None:
        return settings
    folder = Path(champion.model_uri, SERVING_FOLDER)
    if not source.feature_names and folder.is_dir():
        source = replace(source, feature_names=signature_columns(folder).inputs)
    if not source.output_names:
        source = replace(source, output_names=(settings.model.score,))
    if not source.versions:
        source = replace(source, versions=served_versions(record))
    return replace(settings, serving=replace(settings.serving, capture=source))


def served_versions(record: DeploymentRecord) -> tuple[ServedVersion, ...]:
    """Returns which version served from when on: promotions, and what roll-backs returned to.

    Versions of records without a history count from their push on. While a canary runs both
    answer; its rows count for the version that is stable.
    """
    promoted = [event for event in record.history if event.action == PROMOTE_EVENT]
    served = [ServedVersion(version=one.version, since_ms=one.at_ms) for one in promoted]
    told = {event.version for event in promoted}
    served += [
        ServedVersion(version=one.version, since_ms=one.pushed_at_ms)
        for one in record.versions
        if one.version not in told and one.state not in _NEVER_SERVED
    ]
    replaced = {one.version: one.replaced for one in record.versions}
    for event in record.history:
        before = replaced.get(event.version)
        if event.action == ROLL_BACK_EVENT and before is not None and event.version in told:
            served.append(ServedVersion(version=before, since_ms=event.at_ms))
    return tuple(sorted(served, key=lambda one: one.since_ms))
