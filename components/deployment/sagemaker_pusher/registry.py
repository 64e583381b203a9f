"""The model registry: a version as a model package, and whether somebody approved it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import ModelRejected
from tfx_loop.deployment.sagemaker_pusher.client import (
    SAGEMAKER,
    Aws,
    AwsRefusal,
    already_exists,
    is_absent,
)
from tfx_loop.deployment.sagemaker_pusher.hosting import CSV_TYPE, JSON_TYPE

APPROVED, REJECTED, PENDING = "Approved", "Rejected", "PendingManualApproval"
# botocore's service model: CustomerMetadataMap, Key and Value.
MAX_ENTRIES, MAX_KEY, MAX_VALUE = 50, 128, 256
SHA256 = "archive_sha256"
# A person approves: seconds do not matter, and calls to SageMaker are limited (endpoint.py).
_POLL_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Package:
    """A model package.

    Attributes:
        arn: Its address.
        approval: Approved, Rejected or PendingManualApproval.
    """

    arn: str
    approval: str


def register(
    aws: Aws, group: str, container: Mapping[str, Any], metadata: Mapping[str, str]
) -> Package:
    """Returns the package of an archive in a group, which is made if there is none.

    Args:
        aws: Carries out the calls.
        group: The group's name; it is made if it is not there.
        container: The container of CreateModel.
        metadata: Metrics and lineage; with `archive_sha256`, by which it is found again.
    """
    _ensure_group(aws, group)
    if (known := _find(aws, group, metadata[SHA256])) is not None:
        return known
    made = aws.call(
        SAGEMAKER,
        "create_model_package",
        ModelPackageGroupName=group,
        ModelPackageDescription=f"{metadata.get('model_name', '')} by tfx-loop".strip(),
        InferenceSpecification={
            "Containers": [dict(container)],
            "SupportedContentTypes": [JSON_TYPE, CSV_TYPE],
            "SupportedResponseMIMETypes": [JSON_TYPE],
        },
        ModelApprovalStatus=PENDING,
        CustomerMetadataProperties=dict(metadata),
    )
    return Package(arn=str(made["ModelPackageArn"]), approval=PENDING)


def wait_for_approval(
    aws: Aws,
    package: Package,
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> bool:
    """Says whether a package is approved, within some time.

    Raises:
        ModelRejected: Somebody rejected it.
    """
    deadline = clock() + seconds
    while True:
        told = aws.call(SAGEMAKER, "describe_model_package", ModelPackageName=package.arn)
        approval = str(told.get("ModelApprovalStatus", PENDING))
        if approval == REJECTED:
            raise ModelRejected(
                f"Expected the model package {package.arn} to be approved, received {approval}: "
                f"{told.get('ApprovalDescription') or 'no reason given'}."
            )
        if approval == APPROVED or clock() >= deadline:
            return approval == APPROVED
        sleep(min(_POLL_SECONDS, max(deadline - clock(), 0.0)))


def package_metadata(
    sha256: str, lineage: Mapping[str, str], metrics: Mapping[str, float]
) -> dict[str, str]:
    """Returns what a package carries: lineage, and metrics as `metric.NAME`, 50 entries at most.

    Args:
        sha256: Of the archive.
        lineage: Such as the Model artifact, the run and the code's revision; empty values are left
            out.
        metrics: Of the evaluation, over all rows.
    """
    told = {name: value for name, value in lineage.items() if value}
    told |= {f"metric.{name}": f"{value:.6g}" for name, value in sorted(metrics.items())}
    cut = {name[:MAX_KEY]: value[:MAX_VALUE] for name, value in told.items()}
    # Lineage stands before metrics, so that what is cut is a metric.
    return {SHA256: sha256, **dict(list(cut.items())[: MAX_ENTRIES - 1])}


def _ensure_group(aws: Aws, group: str) -> None:
    try:
        aws.call(SAGEMAKER, "describe_model_package_group", ModelPackageGroupName=group)
        return
    except AwsRefusal as error:
        if not is_absent(error):
            raise
    try:
        aws.call(SAGEMAKER, "create_model_package_group", ModelPackageGroupName=group)
    except AwsRefusal as error:
        if not already_exists(error):
            raise


def _find(aws: Aws, group: str, sha256: str) -> Package | None:
    """Returns the newest package of an archive; the listing does not tell metadata."""
    listed = aws.pages(
        SAGEMAKER,
        "list_model_packages",
        "ModelPackageSummaryList",
        ModelPackageGroupName=group,
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    for summary in listed:
        arn = str(summary["ModelPackageArn"])
        told = aws.call(SAGEMAKER, "describe_model_package", ModelPackageName=arn)
        if told.get("CustomerMetadataProperties", {}).get(SHA256) == sha256:
            return Package(arn=arn, approval=str(told.get("ModelApprovalStatus", PENDING)))
    return None
