"""Live state of an endpoint, as AWS tells it, beside the deployment record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.contracts.deployment_record import DeploymentRecord
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.errors import ServingError
from tfx_loop.deployment.sagemaker_pusher.client import SAGEMAKER, Aws, AwsRefusal, is_absent
from tfx_loop.deployment.sagemaker_pusher.endpoint import IN_SERVICE, EndpointState, state_of
from tfx_loop.deployment.sagemaker_pusher.release import read_release

ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class LiveVariant:
    """One variant of an endpoint.

    Attributes:
        name: The variant's.
        version: Which version its model is; None for a model that no push of the record made.
        model: The model's name in SageMaker.
        traffic: Its share of the requests that clients get answered by, 0 to 1.
        shadow: Whether it answers copies of requests, which clients do not see.
    """

    name: str
    version: int | None
    model: str
    traffic: float
    shadow: bool = False


@dataclass(frozen=True, kw_only=True)
class LiveEndpoint:
    """What AWS says of an endpoint.

    Attributes:
        status: Such as InService; `absent` where there is no such endpoint.
        config: Its endpoint config; empty where it is absent.
        failure: Why the last update failed; empty if it did not.
        variants: Those that serve, shadows last.
        update: What an update under way moves to, and how far it is; empty at rest.
        disagreement: What the record says otherwise; empty where they agree, and while an update
            is under way.
    """

    status: str
    config: str = ""
    failure: str = ""
    variants: tuple[LiveVariant, ...] = ()
    update: str = ""
    disagreement: str = ""


def live_endpoint(record: DeploymentRecord, base_path: str, aws: Aws) -> LiveEndpoint:
    """Returns what AWS says of the endpoint of a record; it asks, and changes nothing.

    Args:
        record: Of a base path that an endpoint serves.
        base_path: Where the record is.
        aws: AWS in the endpoint's region.

    Raises:
        LoopError: AWS does not answer, or refuses; the message says what to do.
    """
    name = record.endpoint.partition("/")[2]
    told = _described(aws, "describe_endpoint", EndpointName=name)
    serves = f"the record says that version {record.stable_version} serves"
    if told is None:
        gone = f"endpoint {name} is not there, {serves}" if record.stable else ""
        return LiveEndpoint(status=ABSENT, disagreement=gone)
    state = state_of(told)
    # A config may be deleted while an endpoint uses it.
    config = _described(aws, "describe_endpoint_config", EndpointConfigName=state.config) or {}
    variants = _variants(told, config, _versions(record, base_path))
    return LiveEndpoint(
        status=state.status,
        config=state.config,
        failure=state.failure,
        variants=variants,
        update=_update(told),
        disagreement=_disagreement(record, state, variants, serves),
    )


def _described(aws: Aws, operation: str, **request: str) -> dict[str, Any] | None:
    try:
        return aws.call(SAGEMAKER, operation, **request)
    except AwsRefusal as error:
        if is_absent(error):
            return None
        raise


def _versions(record: DeploymentRecord, base_path: str) -> dict[str, int]:
    """Returns the version of each model that was pushed, by its name in SageMaker."""
    files = conditional_files(base_path)
    releases = [read_release(files, version.version) for version in record.versions]
    return {str(one.model["ModelName"]): one.version for one in releases if one is not None}


def _variants(
    told: Mapping[str, Any], config: Mapping[str, Any], versions: Mapping[str, int]
) -> tuple[LiveVariant, ...]:
    found = []
    for member, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True)):
        models = {v["VariantName"]: str(v.get("ModelName", "")) for v in config.get(member, ())}
        held = list(told.get(member, ()))
        # A variant without a weight, as a serverless one, is alone.
        weights = [float(variant.get("CurrentWeight", 1.0)) for variant in held]
        for variant, weight in zip(held, weights, strict=True):
            name = str(variant["VariantName"])
            model = models.get(name, "")
            found.append(
                LiveVariant(
                    name=name,
                    version=versions.get(model),
                    model=model,
                    traffic=0.0 if shadow else weight / (sum(weights) or 1.0),
                    shadow=shadow,
                )
            )
    return tuple(found)


def _update(told: Mapping[str, Any]) -> str:
    """Returns what an update moves to, by the summary that AWS gives while one is under way."""
    pending = told.get("PendingDeploymentSummary")
    if not pending:
        return ""
    stages = {
        str(status.get("Status", ""))
        for variant in pending.get("ProductionVariants", ())
        for status in variant.get("VariantStatus", ())
    }
    stage = f" ({', '.join(sorted(stages - {''}))})" if stages - {""} else ""
    return f"{pending['EndpointConfigName']}{stage}"


def _disagreement(
    record: DeploymentRecord,
    state: EndpointState,
    variants: tuple[LiveVariant, ...],
    serves: str,
) -> str:
    # While an update moves traffic both may answer, and the record is written at its end.
    if state.moves:
        return ""
    if state.status != IN_SERVICE:
        return f"the endpoint is {state.status}, {serves}" if record.stable else ""
    answering = {variant.version for variant in variants if variant.traffic > 0}
    if answering == {record.stable_version}:
        return ""
    if None in answering:
        models = sorted({v.model or "unknown" for v in variants if v.version is None and v.traffic})
        return f"clients are answered by {', '.join(models)}, which no push made; {serves}"
    named = ", ".join(str(version) for version in sorted(filter(None, answering))) or "none"
    says = serves if record.stable else "the record says that none serves"
    return f"clients are answered by version {named}, {says}: a push or a roll-back was cut off"


def region_of(record: DeploymentRecord) -> str:
    """Returns the region of a record's endpoint; raises ServingError where it names none."""
    region, slash, _ = record.endpoint.partition("/")
    if not slash:
        raise ServingError(
            f"Expected REGION/NAME as the record's endpoint, received {record.endpoint!r}."
        )
    return region
