"""The model registry: a version is registered with its metrics, and deployed on approval."""

import pytest
from endpoint_desk import EndpointDesk
from sagemaker_loopback import sagemaker_loopback

from tfx_loop.core.errors import ModelRejected
from tfx_loop.deployment.sagemaker_pusher.push_order import NotApproved
from tfx_loop.deployment.sagemaker_pusher.registry import MAX_ENTRIES, package_metadata

pytestmark = pytest.mark.slow
GROUP = {"model_package_group": "flights"}


@pytest.fixture(scope="module")
def service():
    with sagemaker_loopback("registry") as loopback:
        yield loopback


def decide(service, package, status):
    arn = service.groups["flights"][package - 1]["ModelPackageArn"]
    service.call("UpdateModelPackage", {"ModelPackageArn": arn, "ModelApprovalStatus": status})


def test_version_is_deployed_once_it_is_approved(service, tmp_path):
    desk = EndpointDesk(service, "registry", "approved", tmp_path)
    with pytest.raises(NotApproved, match="received PendingManualApproval"):
        desk.push("m1", metrics={"auc": 0.71}, code_revision="1a2b", **GROUP)
    assert desk.record.versions == ()
    assert "approved" not in service.endpoints
    (package,) = service.groups["flights"]
    told = package["CustomerMetadataProperties"]
    assert (told["metric.auc"], told["model_uri"], told["run_id"], told["code_revision"]) == (
        "0.71",
        "/artifacts/m1",
        "run-m1",
        "1a2b",
    )
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    decide(service, 1, "Approved")
    assert desk.push("m1", **GROUP).version == 1
    assert desk.serves("m1")
    # It was found again by its archive, and not registered twice.
    assert len(service.groups["flights"]) == 1
    with pytest.raises(NotApproved):
        desk.push("m2", **GROUP)
    decide(service, 2, "Rejected")
    with pytest.raises(ModelRejected, match="received Rejected"):
        desk.push("m2", **GROUP)
    assert desk.serves("m1")
    assert desk.states == {1: "stable"}


def test_metadata_has_room_for_what_it_may_hold():
    metrics = {f"m{number}": float(number) for number in range(100)}
    told = package_metadata("0" * 64, {"model_uri": "x" * 900, "run_id": ""}, metrics)
    assert len(told) == MAX_ENTRIES
    assert len(told["model_uri"]) == 256
    assert "run_id" not in told
