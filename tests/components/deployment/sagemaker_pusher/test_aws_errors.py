"""Each error code of each call, by botocore's Stubber: what passes, what does not, what to do."""

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber
from endpoint_desk import clock, sleep
from sagemaker_shapes import service_model

from tfx_loop.core.errors import (
    ConfigError,
    ModelRejected,
    ServerUnavailable,
    ServingError,
)
from tfx_loop.deployment.sagemaker_pusher import client as clients
from tfx_loop.deployment.sagemaker_pusher.client import (
    REMEDIES,
    TEMPORARY,
    Aws,
    AwsRefusal,
    AwsUnavailable,
)
from tfx_loop.deployment.sagemaker_pusher.endpoint import Endpoint

CALLS = {
    "sagemaker": [
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "UpdateEndpoint",
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "DescribeModel",
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "CreateModelPackage",
        "CreateModelPackageGroup",
        "DescribeModelPackage",
        "ListTags",
    ],
    "sagemaker-runtime": ["InvokeEndpoint"],
    "cloudwatch": ["DescribeAlarms", "PutMetricData"],
    "s3": [
        "HeadBucket",
        "HeadObject",
        "GetObject",
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "ListMultipartUploads",
        "ListParts",
    ],
}
# What every call of a service may be answered with: "Common errors" of SageMaker's API reference,
# and what S3 answers that its model does not declare.
COMMON = (
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalFailure",
    "MalformedHttpRequestException",
    "NotAuthorized",
    "OptInRequired",
    "RequestAbortedException",
    "RequestEntityTooLargeException",
    "RequestExpired",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ThrottlingException",
    "UnrecognizedClientException",
    "UnknownOperationException",
    "ValidationError",
)


@pytest.fixture(scope="module")
def made():
    keys = {"aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": "us-east-1"}
    return {name: boto3.client(name, **keys) for name in CALLS}


@pytest.fixture
def stub(made):
    with Stubber(made["sagemaker"]) as stubber:
        yield stubber


@pytest.fixture
def aws(made):
    return Aws("us-east-1", made)


def declared_errors():
    """Service, call and code of every error that its model declares for a call that is made."""
    for service, operations in CALLS.items():
        for operation in operations:
            for shape in service_model(service).operation_model(operation).error_shapes:
                # A query service names the code in the shape's traits.
                yield service, operation, shape.metadata.get("error", {}).get("code", shape.name)


def test_every_declared_error_is_known():
    # A push reads it itself: what is not there is made.
    unknown = {code for *_, code in declared_errors()} - {"NoSuchKey"}
    refused = {*REMEDIES, *clients.VALIDATION, *clients.MALFORMED}
    assert unknown - set(TEMPORARY) - refused == set()


def example(service, operation):
    """Returns the least request that botocore takes."""
    shape = service_model(service).operation_model(operation).input_shape
    return {name: _example(shape.members[name]) for name in shape.required_members}


def _example(shape):
    if shape.type_name == "structure":
        return {name: _example(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [_example(shape.member)]
    plain = {"integer": 1, "float": 1.0, "double": 1.0, "boolean": True, "blob": b"x"}
    return plain.get(shape.type_name, shape.enum[0] if getattr(shape, "enum", None) else "name")


CASES = sorted(
    {
        *declared_errors(),
        *((s, o, code) for s, operations in CALLS.items() for o in operations for code in COMMON),
    }
)


@pytest.mark.parametrize("service", list(CALLS))
def test_each_call_meets_each_error_in_one_line(aws, made, service):
    for _, operation, code in [case for case in CASES if case[0] == service]:
        call = xform_name(operation)
        with Stubber(made[service]) as stubber:
            stubber.add_client_error(call, code, "told\nin two lines")
            with pytest.raises((AwsRefusal, AwsUnavailable)) as error:
                aws.call(service, call, **example(service, operation))
        said = str(error.value)
        assert said.startswith(f"Expected {call} to be carried out, received {code}: "), said
        assert "\n" not in said
        assert said.count(". ") >= 1, "a remedy follows"
        assert (code in TEMPORARY) == isinstance(error.value, AwsUnavailable)


@pytest.mark.parametrize("code", sorted(TEMPORARY))
def test_error_that_passes_is_one_of_a_service_that_is_away(aws, stub, code):
    stub.add_client_error("describe_endpoint", code, "later")
    with pytest.raises(AwsUnavailable, match=f"received {code}: later. Run again") as error:
        aws.call("sagemaker", "describe_endpoint", EndpointName="taxi")
    assert isinstance(error.value, ServerUnavailable)


@pytest.mark.parametrize("code", sorted({*REMEDIES, *clients.VALIDATION, "SomethingNew"}))
def test_error_that_stays_says_what_to_do(aws, stub, code):
    stub.add_client_error("update_endpoint", code, "no\nsecond line")
    with pytest.raises(AwsRefusal) as error:
        aws.call("sagemaker", "update_endpoint", EndpointName="a", EndpointConfigName="b")
    assert (error.value.code, error.value.operation) == (code, "update_endpoint")
    assert REMEDIES.get(code, "Correct what it names.") in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_that_a_container_repeats_stand_in_no_message(aws, made):
    with Stubber(made["sagemaker-runtime"]) as stubber:
        stubber.add_client_error(
            "invoke_endpoint",
            "ModelError",
            'Received client error (400) with message "secret row"',
            http_status_code=424,
            modeled_fields={"OriginalStatusCode": 400, "OriginalMessage": "secret row"},
        )
        with pytest.raises(AwsRefusal, match="the container answered 400") as error:
            aws.call("sagemaker-runtime", "invoke_endpoint", EndpointName="a", Body=b"secret row")
    assert "secret row" not in str(error.value)


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (NoCredentialsError(), ConfigError, "credentials that boto3 finds"),
        (EndpointConnectionError(endpoint_url="http://x"), ServerUnavailable, "Check the network"),
    ],
)
def test_client_that_reaches_nothing(raised, kind, said):
    class Broken:
        def describe_endpoint(self, **_):
            raise raised

    with pytest.raises(kind, match=said):
        Aws("us-east-1", {"sagemaker": Broken()}).call("sagemaker", "describe_endpoint")


def test_member_of_a_wrong_type_is_a_setting(aws):
    with pytest.raises(ConfigError, match="Expected update_endpoint to be sent"):
        aws.call("sagemaker", "update_endpoint", EndpointName=1, EndpointConfigName="b")


ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/taxi"


def described(status, config="taxi-1", modified=1.0, **more):
    return {
        "EndpointName": "taxi",
        "EndpointArn": ARN,
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "CreationTime": 1.0,
        "LastModifiedTime": modified,
        **more,
    }


@pytest.fixture
def endpoint(aws):
    return Endpoint(aws=aws, name="taxi", clock=clock, sleep=sleep)


@pytest.mark.parametrize("status", ["OutOfService", "Deleting", "Failed", "UpdateRollbackFailed"])
def test_endpoint_that_does_not_serve_is_told_by_its_status(endpoint, stub, status):
    stub.add_response("describe_endpoint", described(status, FailureReason="No capacity."))
    with pytest.raises(ServingError, match=f"InService, received {status}: No capacity"):
        endpoint.rest(60)


@pytest.mark.slow
def test_every_status_is_known():
    known = {"InService", "OutOfService", "Deleting", "Failed", "UpdateRollbackFailed"}
    moving = {"Creating", "Updating", "SystemUpdating", "RollingBack"}
    assert known | moving == set(service_model().shape_for("EndpointStatus").enum)


def test_throttled_question_is_asked_again(endpoint, stub):
    stub.add_response("describe_endpoint", described("Updating"))
    stub.add_client_error("describe_endpoint", "ThrottlingException", "slow down")
    stub.add_response("describe_endpoint", described("InService"))
    assert endpoint.rest(600).status == "InService"


def test_update_that_changes_nothing_and_says_nothing_is_a_failure(endpoint, stub):
    stub.add_response("describe_endpoint", described("InService"))
    stub.add_response("update_endpoint", {"EndpointArn": ARN})
    for _ in range(12):
        stub.add_response("describe_endpoint", described("InService"))
    with pytest.raises(ModelRejected, match=r"serve config taxi-2, received taxi-1.*no reason"):
        endpoint.move("taxi-2", 600)


def test_update_that_begins_late_is_waited_for(endpoint, stub):
    stub.add_response("describe_endpoint", described("InService"))
    stub.add_response("update_endpoint", {"EndpointArn": ARN})
    stub.add_response("describe_endpoint", described("InService"))
    stub.add_response("describe_endpoint", described("Updating"))
    stub.add_response("describe_endpoint", described("InService", "taxi-2", 2.0))
    assert endpoint.move("taxi-2", 600).config == "taxi-2"


def test_update_that_lasts_too_long_goes_on_by_itself(endpoint, stub):
    for _ in range(20):
        stub.add_response("describe_endpoint", described("Updating"))
    with pytest.raises(ServerUnavailable, match="SageMaker goes on by itself"):
        endpoint.rest(100)


def test_config_in_use_is_never_deleted(endpoint, stub):
    stub.add_response("describe_endpoint", described("InService"))
    assert not endpoint.delete_config("taxi-1")
    stub.add_response("describe_endpoint", described("Updating"))
    assert not endpoint.delete_config("taxi-2")


def test_config_that_is_gone_already_is_no_error(endpoint, stub):
    stub.add_response("describe_endpoint", described("InService"))
    said = "Could not find endpoint configuration"
    stub.add_client_error("delete_endpoint_config", "ValidationException", said)
    assert not endpoint.delete_config("taxi-0")


def test_quota_that_is_used_up_says_so(endpoint, stub):
    stub.add_response("describe_endpoint", described("InService"))
    stub.add_client_error("update_endpoint", "ResourceLimitExceeded", "2 instances of ml.m5")
    with pytest.raises(AwsRefusal, match="Service Quotas"):
        endpoint.move("taxi-2", 600)
