"""The policy of docs/sagemaker.md beside the calls that a push with everything makes."""

import fnmatch
import functools
import json
import random
import re
import shutil
from pathlib import Path

import boto3
import pytest
from endpoint_desk import EndpointDesk, Traffic
from sagemaker_loopback import ACCOUNT, REGION, ROLE, arn, sagemaker_loopback

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
# A model whose name AWS takes for no resource: `NAME` of the policy is what it becomes.
NAME, MODEL = "allowed", "Of_hours"
PART = 5 * 1024 * 1024


def policy():
    text = PAGE.read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    return json.loads(block)


def resources(action, asked):
    """Returns the resources that AWS asks for: "Actions, resources, and condition keys"."""
    if action.startswith("s3:"):
        key = f"/{asked['Key']}" if asked.get("Key") else ""
        return [f"arn:aws:s3:::{asked['Bucket']}{key}"]
    if action == "cloudwatch:DescribeAlarms":
        return [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{asked['AlarmNames'][0]}"]
    if action == "cloudwatch:PutMetricData":
        return ["*"]
    named = {
        "ModelName": "model",
        "EndpointConfigName": "endpoint-config",
        "EndpointName": "endpoint",
        "ModelPackageGroupName": "model-package-group",
    }
    told = [asked[name] for name in ("ResourceArn", "ModelPackageName") if name in asked]
    return told + [arn(kind, asked[name]) for name, kind in named.items() if name in asked]


def implied(action, asked, found):
    """Yields the actions that AWS asks for within a call, with their resources."""
    if asked.get("Tags"):
        # Of what is made: what it is made of is there.
        made = action.removeprefix("sagemaker:Create").lower()
        own = [one for one in found if one.split(":")[5].split("/")[0].replace("-", "") == made]
        yield from (("sagemaker:AddTags", one) for one in own)
    if "ExecutionRoleArn" in asked:
        yield "iam:PassRole", asked["ExecutionRoleArn"]


def permits(action, resource, yours):
    """Says whether the policy of the page permits a call, once its placeholders are filled in."""

    def filled(pattern):
        for name, value in yours.items():
            pattern = re.sub(rf"\b{name}\b", value, pattern)
        return pattern

    return any(
        action in listed(statement["Action"])
        and any(fnmatch.fnmatchcase(resource, filled(one)) for one in listed(statement["Resource"]))
        for statement in policy()["Statement"]
    )


def listed(value):
    return value if isinstance(value, list) else [value]


def allowed():
    return {action for s in policy()["Statement"] for action in listed(s["Action"])}


@pytest.fixture
def calls():
    """Action and resource of every call that boto3 makes in this process."""
    boto3.setup_default_session()
    made = set()

    def note(params, model, **_):
        service = model.service_model.service_name
        prefix = {"sagemaker-runtime": "sagemaker"}.get(service, service)
        name = S3_ACTIONS[model.name] if service == "s3" else model.name
        action = f"{prefix}:{name}"
        found = resources(action, params)
        assert found, f"no resource of {action} with {sorted(params)}"
        made.update((action, one) for one in found)
        made.update(implied(action, params, found))

    yield made, note
    boto3.DEFAULT_SESSION = None


def test_policy_allows_what_is_called_and_no_more(calls, tmp_path, monkeypatch):
    made, note = calls
    monkeypatch.setattr(archive_upload.upload, "__defaults__", (PART,))
    with sagemaker_loopback("allowed") as service:
        service.put_alarm("errors")
        # From here on: what came before were calls of the test.
        boto3.DEFAULT_SESSION.events.register("before-parameter-build", note)
        desk = EndpointDesk(service, "allowed", NAME, tmp_path)
        desk.settings = functools.partial(desk.settings, model_name=MODEL)
        large = desk.model("large")
        (large / "assets.bin").write_bytes(random.Random(0).randbytes(PART + 1000))
        with pytest.raises(ModelRejected):
            desk.push("m1", wrong=True)
        # What two killed pushes left: one is gone on with, one is paid for until it is aborted.
        archive = write_archive(large, MODEL, tmp_path / "model.tar.gz")
        place = archive_upload.place_of(archive, "allowed", "allowed")
        for _ in range(2):
            service.s3.create_multipart_upload(
                Bucket="allowed", Key=place.key, ChecksumAlgorithm="SHA256"
            )
        with pytest.raises(NotApproved):
            desk.push("large", model_package_group="group")
        package = service.groups["group"][0]["ModelPackageArn"]
        service.call(
            "UpdateModelPackage", {"ModelPackageArn": package, "ModelApprovalStatus": "Approved"}
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
    assert {action for action, _ in made} == allowed()
    # As the page says what they are.
    yours = {
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
        "BUCKET": "allowed",
        "PREFIX": NAME,
        "ENDPOINT": NAME,
        "NAME": "Of-hours",
        "ROLE": ROLE,
    }
    assert [call for call in sorted(made) if not permits(*call, yours)] == []
    # Another endpoint and bucket of the account are none of its business.
    others = [
        ("sagemaker:UpdateEndpoint", arn("endpoint", "payments")),
        ("sagemaker:DeleteEndpointConfig", arn("endpoint-config", "payments-1")),
        ("s3:PutObject", "arn:aws:s3:::payments/a"),
        ("s3:PutObject", "arn:aws:s3:::allowed/another/a"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/admin"),
    ]
    assert [call for call in others if permits(*call, yours)] == []


def test_policy_names_resources():
    for statement in policy()["Statement"]:
        resources = listed(statement["Resource"])
        # It knows no resources: AWS' list of CloudWatch's actions.
        if statement["Action"] == "cloudwatch:PutMetricData":
            assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "tfx-loop"}}
            continue
        assert "*" not in resources, statement["Sid"]
        assert not any("*" in action for action in listed(statement["Action"])), statement["Sid"]
