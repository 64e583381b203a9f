"""Checks before a push to an endpoint changes anything."""

from tfx_loop.contracts.deployment_record import DeploymentRecord
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.client import CLOUDWATCH, S3, Aws
from tfx_loop.deployment.sagemaker_pusher.hosting import region_fits
from tfx_loop.deployment.sagemaker_pusher.names import bucket_and_key
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings

ALARM_OK = "OK"


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


def check_record(record: DeploymentRecord, settings: SageMakerPusherSettings) -> None:
    """Checks that a base path is this endpoint's: a roll-back goes by what its record says.

    Raises:
        ConfigError: A model server, or another endpoint, serves its versions.
    """
    mine = f"{settings.region}/{settings.endpoint}"
    if record.endpoint == mine or not record.versions:
        return
    found = f"the endpoint {record.endpoint}" if record.endpoint else "a model server"
    raise ConfigError(
        f"Expected a base_path of endpoint {mine} alone, received {settings.base_path}, whose "
        f"versions are those of {found}. Give the endpoint a base_path of its own."
    )
