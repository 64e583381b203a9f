"""The policy of docs/sagemaker.md beside the calls that a push with everything makes."""

import json
import random
import re
import shutil
from pathlib import Path

import boto3
import pytest
from endpoint_desk import EndpointDesk, Traffic
from sagemaker_loopback import REGION, sagemaker_loopback

from tfx_loop.core.errors import ModelRejected
from tfx_loop.deployment.sagemaker_pusher import archive_upload
from tfx_loop.deployment.sagemaker_pusher.archive import write_archive
from tfx_loop.deployment.sagemaker_pusher.push_order import NotApproved
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[4]
PAGE = CHECKOUT / "docs/sagemaker.md"
REPORTS = CHECKOUT / "tests/components/contracts/recorded"
# S3's actions are not called as its operations are: "Actions defined by Amazon S3".
S3_ACTIONS = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadObject": "GetObject",
    "GetObject": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
}
# Asked by AWS within other calls: CreateModel hands on the role, all that is made is tagged.
IMPLIED = {"iam:PassRole", "sagemaker:AddTags"}
PART = 5 * 1024 * 1024


def policy():
    text = PAGE.read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    return json.loads(block)


def listed(value):
    return value if isinstance(value, list) else [value]


def allowed():
    return {action for s in policy()["Statement"] for action in listed(s["Action"])}


@pytest.fixture
def calls():
    """The actions of every call that boto3 makes in this process."""
    boto3.setup_default_session()
    made = set()

    def note(model, **_):
        service = model.service_model.service_name
        prefix = {"sagemaker-runtime": "sagemaker"}.get(service, service)
        name = S3_ACTIONS[model.name] if service == "s3" else model.name
        made.add(f"{prefix}:{name}")

    yield made, note
    boto3.DEFAULT_SESSION = None


def test_policy_allows_what_is_called_and_no_more(calls, tmp_path, monkeypatch):
    made, note = calls
    monkeypatch.setattr(archive_upload.upload, "__defaults__", (PART,))
    with sagemaker_loopback("allowed") as service:
        service.put_alarm("errors")
        # From here on: what came before were calls of the test.
        boto3.DEFAULT_SESSION.events.register("before-call", note)
        desk = EndpointDesk(service, "allowed", "allowed", tmp_path)
        large = desk.model("large")
        (large / "assets.bin").write_bytes(random.Random(0).randbytes(PART + 1000))
        with pytest.raises(ModelRejected):
            desk.push("m1", wrong=True)
        # What two killed pushes left: one is gone on with, one is paid for until it is aborted.
        archive = write_archive(large, "allowed", tmp_path / "model.tar.gz")
        place = archive_upload.place_of(archive, "allowed", "allowed")
        for _ in range(2):
            service.s3.create_multipart_upload(
                Bucket="allowed", Key=place.key, ChecksumAlgorithm="SHA256"
            )
        with pytest.raises(NotApproved):
            desk.push("large", model_package_group="group")
        arn = service.groups["group"][0]["ModelPackageArn"]
        service.call(
            "UpdateModelPackage", {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"}
        )
        desk.push("large", model_package_group="group")
        with Traffic(desk):
            changes = {"prove_first": True, "shadow_seconds": 60, "rollback_alarms": ("errors",)}
            desk.push("m2", **changes)
        desk.push("m3")
        desk.rollout().roll_back(2, "wrong")
        assert main(["status", desk.base]) == 0
        report = tmp_path / "report"
        report.mkdir()
        shutil.copy(REPORTS / "drift_report.json", report)
        assert main(["metrics", str(report), "--region", REGION]) == 0
    assert made == allowed() - IMPLIED
    assert allowed() >= IMPLIED


def test_policy_names_resources():
    for statement in policy()["Statement"]:
        resources = listed(statement["Resource"])
        # It knows no resources: AWS' list of CloudWatch's actions.
        if statement["Action"] == "cloudwatch:PutMetricData":
            assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "tfx-loop"}}
            continue
        assert "*" not in resources, statement["Sid"]
        assert not any("*" in action for action in listed(statement["Action"])), statement["Sid"]
