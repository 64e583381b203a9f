"""What `loop status` tells of an endpoint: AWS by botocore's Stubber, records on a disk."""

import dataclasses
import json
from datetime import datetime, timezone

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
)
from tfx_loop.core import storage
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.deployment.sagemaker_pusher import client as client_module
from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.live_state import live_endpoint
from tfx_loop.deployment.sagemaker_pusher.release import EndpointRelease, write_release
from tfx_loop.pipelines.cli import conventions
from tfx_loop.pipelines.cli import live_endpoint as command
from tfx_loop.pipelines.cli.main import main

NAME = "late"
WHEN = datetime(2026, 1, 1, tzinfo=timezone.utc)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/late"


def deployment(version, state):
    return Deployment(
        version=version,
        model_digest="sha256:0",
        model_uri="",
        reference_profile_uri="",
        variant="float",
        run_id=f"run-{version}",
        pushed_at_ms=version,
        replaced=None,
        state=state,
    )


@pytest.fixture(scope="module")
def sagemaker():
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("sagemaker", region_name="us-east-1", **keys)


@pytest.fixture
def place(tmp_path):
    """Two versions, of which the second is stable: folder and record."""
    record = DeploymentRecord(
        NAME,
        versions=(
            deployment(1, DeploymentState.RETIRED),
            deployment(2, DeploymentState.STABLE),
        ),
        endpoint=f"us-east-1/{NAME}",
    )
    files = conditional_files(str(tmp_path))
    for version in (1, 2):
        release = EndpointRelease(
            version=version,
            endpoint=NAME,
            region="us-east-1",
            archive_uri="",
            archive_sha256="",
            model={"ModelName": f"late-{version}-abc"},
            config={"EndpointConfigName": f"late-{version}-abc"},
            previous_config="",
            configs=(),
        )
        write_release(files, release)
    text = storage.json_text(DEPLOYMENT_RECORD.content(record))
    (tmp_path / DEPLOYMENT_RECORD.name).write_bytes(text)
    return str(tmp_path), record


def described(status="InService", config="late-2-abc", weights=(("AllTraffic", 1.0),), **more):
    return {
        "EndpointName": NAME,
        "EndpointArn": ARN,
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "CreationTime": WHEN,
        "LastModifiedTime": WHEN,
        "ProductionVariants": [{"VariantName": n, "CurrentWeight": w} for n, w in weights],
        **more,
    }


def config(**models):
    return {
        "EndpointConfigName": "any",
        "EndpointConfigArn": ARN,
        "CreationTime": WHEN,
        "ProductionVariants": [{"VariantName": n, "ModelName": m} for n, m in models.items()],
    }


def asked(sagemaker, place, endpoint, models):
    base, record = place
    with Stubber(sagemaker) as stub:
        stub.add_response("describe_endpoint", endpoint)
        stub.add_response("describe_endpoint_config", models)
        return live_endpoint(record, base, Aws("us-east-1", {"sagemaker": sagemaker}))


def test_endpoint_that_serves_what_the_record_says_agrees(sagemaker, place):
    found = asked(sagemaker, place, described(), config(AllTraffic="late-2-abc"))
    (variant,) = found.variants
    assert (variant.version, variant.traffic, found.disagreement) == (2, 1.0, "")


def test_variant_without_traffic_is_shown_and_no_disagreement(sagemaker, place):
    weights = (("AllTraffic", 3.0), ("Candidate", 0.0))
    models = config(AllTraffic="late-2-abc", Candidate="late-1-abc")
    found = asked(sagemaker, place, described(weights=weights), models)
    assert [(v.version, v.traffic) for v in found.variants] == [(2, 1.0), (1, 0.0)]
    assert found.disagreement == ""


def test_traffic_is_shared_by_weights(sagemaker, place):
    weights = (("Blue", 3.0), ("Green", 1.0))
    models = config(Blue="late-2-abc", Green="late-1-abc")
    found = asked(sagemaker, place, described(weights=weights), models)
    assert [v.traffic for v in found.variants] == [0.75, 0.25]
    assert "version 1, 2, the record says that version 2 serves" in found.disagreement


def test_other_version_than_the_record_says_is_a_disagreement(sagemaker, place):
    found = asked(sagemaker, place, described(config="late-1-abc"), config(AllTraffic="late-1-abc"))
    assert "answered by version 1, the record says that version 2 serves" in found.disagreement


def test_model_of_somebody_else_is_a_disagreement(sagemaker, place):
    found = asked(sagemaker, place, described(), config(AllTraffic="by-hand"))
    assert found.variants[0].version is None
    assert "answered by by-hand, which no push made" in found.disagreement


def test_update_under_way_is_told_and_no_disagreement(sagemaker, place):
    pending = {
        "EndpointConfigName": "late-3-abc",
        "ProductionVariants": [
            {"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking"}]}
        ],
    }
    answer = described("Updating", "late-1-abc", PendingDeploymentSummary=pending)
    found = asked(sagemaker, place, answer, config(AllTraffic="late-1-abc"))
    assert (found.update, found.disagreement) == ("late-3-abc (Baking)", "")


@pytest.mark.parametrize("status", ["Failed", "UpdateRollbackFailed", "OutOfService"])
def test_endpoint_that_does_not_serve_is_a_disagreement(sagemaker, place, status):
    answer = described(status, FailureReason="an\n alarm")
    found = asked(sagemaker, place, answer, config(AllTraffic="late-2-abc"))
    assert found.disagreement.startswith(f"the endpoint is {status}, the record says")
    assert found.failure == "an alarm"


def test_endpoint_that_is_gone_is_a_disagreement(sagemaker, place):
    base, record = place
    with Stubber(sagemaker) as stub:
        stub.add_client_error(
            "describe_endpoint", "ValidationException", 'Could not find endpoint "late".'
        )
        found = live_endpoint(record, base, Aws("us-east-1", {"sagemaker": sagemaker}))
    assert found.status == "absent"
    assert "is not there, the record says that version 2 serves" in found.disagreement


class Stubbed:
    """AWS whose calls raise, or answer by the stub."""

    def __init__(self, error=None, answers=()):
        self.error, self.answers = error, list(answers)

    def describe_endpoint(self, **_):
        if self.error:
            raise self.error
        return self.answers[0]

    def describe_endpoint_config(self, **_):
        return self.answers[1]


@pytest.fixture
def aws_says(monkeypatch):
    """Lets the command ask a stub."""

    def say(stub):
        made = client_module.Aws
        monkeypatch.setattr(
            client_module, "Aws", lambda region, quick: made(region, {"sagemaker": stub})
        )

    return say


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoCredentialsError(), "the credentials that boto3 finds"),
        (EndpointConnectionError(endpoint_url="https://x"), "Check the network and the region"),
    ],
)
def test_aws_that_is_not_to_be_had_is_one_line_of_status(place, aws_says, capsys, error, says):
    aws_says(Stubbed(error))
    assert main(["status", place[0]]) == conventions.SUCCESS
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "AWS" in one]
    assert line.startswith("AWS does not say what the endpoint serves: Expected")
    assert says in line


def test_disagreement_asks_for_attention(place, aws_says, capsys):
    answers = described(config="late-1-abc"), config(AllTraffic="late-1-abc")
    aws_says(Stubbed(answers=answers))
    assert main(["status", place[0]]) == conventions.ATTENTION
    shown = capsys.readouterr().out
    assert "disagrees with the record: clients are answered by version 1" in shown
    aws_says(Stubbed(answers=answers))
    assert main(["status", place[0], "--json"]) == conventions.ATTENTION
    told = json.loads(capsys.readouterr().out)
    assert told["live"]["variants"][0]["version"] == 1
    assert told["stable"] == 2


def test_model_server_asks_no_aws(place, aws_says, capsys):
    aws_says(Stubbed(AssertionError("asked")))
    base, record = place
    served = dataclasses.replace(record, endpoint="")
    assert command.ask_endpoint(served, base) is None
