"""The loopback SageMaker refuses, rolls back and captures as the service's documents say."""

import json
import tarfile

import boto3
import pytest
from botocore.exceptions import ClientError
from sagemaker_container import LayoutError, answer_of, served_model, tfs_body
from sagemaker_loopback import IMAGE, ROLE, sagemaker_loopback

CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://loopback/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}
BODY = b'{"instances": [[1.0]]}'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service():
    with sagemaker_loopback("loopback") as loopback:
        yield loopback


@pytest.fixture
def client(service):
    return boto3.client("sagemaker")


def put_config(service, client, tmp_path, name, *, member="m/1", shadow="", capture=CAPTURE):
    """Uploads a model whose file holds its name, and makes a model and a config of that name."""
    (tmp_path / "saved_model.pb").write_text(name)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "saved_model.pb", f"{member}/saved_model.pb")
    key = f"{name}/model.tar.gz"
    service.s3.upload_file(str(tmp_path / "model.tar.gz"), "loopback", key)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://loopback/{key}"}
    client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    more = {"ShadowProductionVariants": [variant(shadow, "Shadow")]} if shadow else {}
    client.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[variant(name)],
        DataCaptureConfig=capture,
        **more,
    )


def variant(model, name="AllTraffic"):
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }


def canary(alarm):
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
        "WaitIntervalInSeconds": 600,
    }
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }


def answered(endpoint, content_type="application/json", **more):
    runtime = boto3.client("sagemaker-runtime")
    return runtime.invoke_endpoint(
        EndpointName=endpoint, Body=BODY, ContentType=content_type, **more
    )


def number(endpoint):
    return json.loads(answered(endpoint)["Body"].read())["predictions"][0][0]


def test_update_goes_back_when_an_alarm_goes_off_and_forth_when_none_does(
    service, client, tmp_path
):
    for name in ("a1", "a2"):
        put_config(service, client, tmp_path, name)
    service.put_alarm("errors")
    client.create_endpoint(EndpointName="a", EndpointConfigName="a1")
    assert service.settle("a") == "InService"
    client.update_endpoint(
        EndpointName="a", EndpointConfigName="a2", DeploymentConfig=canary("errors")
    )
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        client.update_endpoint(EndpointName="a", EndpointConfigName="a1")
    service.put_alarm("errors", "ALARM")
    assert service.settle("a") == "InService"
    told = client.describe_endpoint(EndpointName="a")
    assert told["EndpointConfigName"] == "a1"
    assert "Alarm errors" in told["FailureReason"]
    assert number("a") == pytest.approx(answer_of(b"a1"))
    service.put_alarm("errors", "OK")
    client.update_endpoint(
        EndpointName="a", EndpointConfigName="a2", DeploymentConfig=canary("errors")
    )
    seen = set()
    while service.endpoints["a"].status == "Updating":
        seen.add(number("a"))
    assert seen == {answer_of(b"a1"), answer_of(b"a2")}
    assert client.describe_endpoint(EndpointName="a")["EndpointConfigName"] == "a2"


def test_capture_is_laid_out_as_the_service_does(service, client, tmp_path):
    put_config(service, client, tmp_path, "b2")
    put_config(service, client, tmp_path, "b1", shadow="b2")
    client.create_endpoint(EndpointName="b", EndpointConfigName="b1")
    service.settle("b")
    answered("b", InferenceId="trip-7")
    listed = service.s3.list_objects_v2(Bucket="loopback", Prefix="capture/b/")["Contents"]
    keys = [held["Key"].split("/") for held in listed]
    assert {key[2] for key in keys} == {"AllTraffic", "Shadow"}
    assert all(len(key) == 8 and key[-1].endswith(".jsonl") for key in keys)
    key = next(held["Key"] for held in listed if "AllTraffic" in held["Key"])
    line = json.loads(service.s3.get_object(Bucket="loopback", Key=key)["Body"].read())
    assert line["eventMetadata"]["inferenceId"] == "trip-7"
    assert line["eventVersion"] == "0"
    given = line["captureData"]["endpointInput"]
    assert (given["encoding"], given["mode"]) == ("JSON", "INPUT")
    assert json.loads(given["data"]) == json.loads(BODY)
    assert given["observedContentType"] == "application/json"


def test_content_type_that_is_not_listed_is_captured_as_base64(service, client, tmp_path):
    put_config(service, client, tmp_path, "c1", capture={**CAPTURE, "CaptureContentTypeHeader": {}})
    client.create_endpoint(EndpointName="c", EndpointConfigName="c1")
    service.settle("c")
    answered("c")
    (held,) = service.s3.list_objects_v2(Bucket="loopback", Prefix="capture/c/")["Contents"]
    line = json.loads(service.s3.get_object(Bucket="loopback", Key=held["Key"])["Body"].read())
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"


def test_flat_archive_fails_its_ping_and_the_old_config_serves_on(service, client, tmp_path):
    put_config(service, client, tmp_path, "d1")
    put_config(service, client, tmp_path, "d2", member="m")
    client.create_endpoint(EndpointName="d", EndpointConfigName="d1")
    service.settle("d")
    client.update_endpoint(EndpointName="d", EndpointConfigName="d2")
    service.settle("d")
    told = client.describe_endpoint(EndpointName="d")
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "d1")
    assert "did not pass the ping health check" in told["FailureReason"]


def test_charset_in_the_content_type_is_a_model_error(service, client, tmp_path):
    put_config(service, client, tmp_path, "e1")
    client.create_endpoint(EndpointName="e", EndpointConfigName="e1")
    service.settle("e")
    with pytest.raises(ClientError) as error:
        answered("e", "application/json; charset=utf-8")
    assert error.value.response["Error"]["Code"] == "ModelError"
    assert error.value.response["OriginalStatusCode"] == 415


def test_endpoint_whose_config_was_deleted_cannot_be_updated(service, client, tmp_path):
    for name in ("f1", "f2"):
        put_config(service, client, tmp_path, name)
    client.create_endpoint(EndpointName="f", EndpointConfigName="f1")
    service.settle("f")
    client.delete_endpoint_config(EndpointConfigName="f1")
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        client.update_endpoint(EndpointName="f", EndpointConfigName="f2")
    assert service.deleted_in_use == ["f1"]


def test_ranges_are_those_of_the_service_model(service, client, tmp_path):
    put_config(service, client, tmp_path, "g1")
    put_config(service, client, tmp_path, "g2")
    client.create_endpoint(EndpointName="g", EndpointConfigName="g1")
    service.settle("g")
    late = canary("errors")
    late["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] = 3601
    with pytest.raises(ClientError, match="3601 is not in 0 to 3600"):
        client.update_endpoint(EndpointName="g", EndpointConfigName="g2", DeploymentConfig=late)


def test_several_models_without_a_default_that_is_there_do_not_start(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "saved_model.pb").touch()
    with pytest.raises(LayoutError, match="no model 'three'"):
        served_model(tmp_path, {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "three"})


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        (b'{"instances": [1]}', "application/json", {"instances": [1]}),
        (b"[[1, 2]]", "application/json", {"instances": [[1, 2]]}),
        (b"[1, 2]", "application/json", {"instances": [[1, 2]]}),
        (b'{"x": 1}\n{"x": 2}', "application/jsonlines", {"instances": [{"x": 1}, {"x": 2}]}),
        (b"1,2\n3,4", "text/csv", {"instances": [[1.0, 2.0], [3.0, 4.0]]}),
    ],
)
def test_bodies_are_what_the_image_makes_of_them(body, kind, sent):
    assert json.loads(tfs_body(body, kind)) == sent
