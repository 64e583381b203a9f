"""What is refused before any call: limits, policies, regions, images and names."""

import re

import pytest
from sagemaker_loopback import IMAGE, ROLE
from sagemaker_shapes import faults, service_model

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher import endpoint_client, hosting, names, registry, traffic
from tfx_loop.deployment.sagemaker_pusher.hosting import (
    HostedVersion,
    config_request,
    experiment_request,
    model_request,
    own_tags,
)
from tfx_loop.deployment.sagemaker_pusher.names import Image, image_of, resource_name
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings

GIVEN = {
    "base_path": "s3://models/taxi",
    "endpoint": "taxi",
    "region": "us-east-1",
    "role_arn": ROLE,
    "image": IMAGE,
    "instance_type": "ml.m5.large",
}
SERVERLESS = {"instance_type": "", "serverless_memory_mb": 2048}


def settings(**changes):
    return SageMakerPusherSettings(**{**GIVEN, **changes})


def limits(shape):
    found = service_model().shape_for(shape).metadata
    return found.get("min"), found.get("max")


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"canary_percent": 51}, "0 to 50 percent, received 51"),
        ({"linear_percent": 9}, "10 to 50 percent, received 9"),
        ({"linear_percent": 51}, "10 to 50 percent, received 51"),
        ({"wait_seconds": 3601}, "wait_seconds of 0 to 3600 seconds, received 3601"),
        ({"termination_wait_seconds": 3601}, "0 to 3600 seconds, received 3601"),
        ({"wait_seconds": -1}, "received -1"),
        ({"maximum_seconds": 599}, "600 to 28800 seconds, received 599"),
        ({"maximum_seconds": 28801}, "received 28801"),
        (
            {"canary_percent": 10, "wait_seconds": 400, "maximum_seconds": 800},
            "above the waits of 800 s",
        ),
        ({"linear_percent": 10, "wait_seconds": 3600}, "waits of less than 28800 s"),
        ({"canary_percent": 10, "linear_percent": 10}, "one policy"),
        ({"rollback_alarms": tuple(map(str, range(11)))}, "at most 10 rollback_alarms"),
        ({"rollback_alarms": ("a", "a")}, "each of rollback_alarms once"),
        ({"rollback_alarms": (" ",)}, "names of alarms"),
        ({"rollback_alarms": ("a" * 256,)}, "names of alarms"),
        ({"image": IMAGE.replace("us-east-1", "eu-west-1")}, "an image in us-east-1"),
        ({"image": ""}, "the image of a container"),
        ({"region": "Frankfurt"}, "such as 'eu-west-1'"),
        ({"role_arn": "inference"}, "such as 'arn:aws:iam"),
        ({"endpoint": "taxi_trips"}, "letters, digits and inner hyphens"),
        ({"endpoint": "t" * 64}, "at most 63"),
        ({"variant_name": "Shadow"}, "another variant_name"),
        ({"variant_name": "Candidate"}, "another variant_name"),
        ({"base_path": "/srv/taxi"}, "s3://BUCKET/PREFIX"),
        ({"base_path": "gs://models/taxi"}, "s3://BUCKET/PREFIX"),
        ({"serverless_memory_mb": 2048}, "either instance_type or serverless_memory_mb"),
        ({"instance_type": ""}, "either instance_type or serverless_memory_mb"),
        ({"instance_type": "m5.large"}, "such as 'ml.c5.large'"),
        ({"instance_count": 0}, "at least 1"),
        ({**SERVERLESS, "serverless_memory_mb": 512}, "1024 to 6144"),
        ({**SERVERLESS, "serverless_concurrency": 201}, "1 to 200"),
        ({**SERVERLESS, "capture_uri": "s3://a/b"}, "no capture_uri for a serverless"),
        ({**SERVERLESS, "canary_percent": 10}, "neither guardrails nor shadow_seconds"),
        ({**SERVERLESS, "shadow_seconds": 10}, "neither guardrails nor shadow_seconds"),
        ({"capture_percent": 0}, "1 to 100"),
        ({"capture_uri": "/srv/capture"}, "s3://BUCKET/PREFIX"),
        ({"environment": {"A": "x" * 1025}}, "texts up to 1024"),
        ({"tags": {str(n): "" for n in range(48)}}, "at most 47 tags"),
        ({"tags": {"aws:team": "a"}}, "none of them begun with 'aws:'"),
        ({"tags": {"tfx-loop:model": "a"}}, "none of them begun"),
        ({"tags": {"team": "a<b"}}, "letters, digits, spaces"),
        ({"golden_rows": 0}, "at least 1"),
        ({"min_agreement": 1.1}, "min_agreement of 0 to 1"),
        ({"shadow_seconds": -1}, "at least 0"),
        ({"model_package_group": "my_group"}, "letters, digits and inner hyphens"),
        ({"approval_wait_seconds": 1}, "model_package_group beside"),
        ({"min_agreement": 0.9}, "shadow_seconds beside min_agreement 0.9"),
        ({"model_name": "code"}, "other than 'code'"),
        ({"model_name": "taxi/late"}, "letters, digits, '_', '.' and '-'"),
        ({"base_path": "s3://models//taxi"}, "s3://BUCKET/PREFIX"),
        ({"environment": {hosting.DEFAULT_MODEL: "x"}}, "Set model_name"),
        ({"rollback_alarms": "latency"}, r"Write \('latency',\)"),
        ({**SERVERLESS, "serverless_memory_mb": 2050}, "in steps of 1024"),
    ],
)
def test_setting_that_cannot_work_is_refused_when_it_is_written(changes, received):
    with pytest.raises(ConfigError, match=received):
        settings(**changes)


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"canary_percent": "10"}, "in canary_percent of SageMakerPusherSettings"),
        ({"canary_percent": 1.5}, "received 1.5"),
        ({"instance_count": True}, "received True"),
        ({"tags": ["team"]}, "in tags"),
        ({"tags": {"team": 1}}, "in tags of SageMakerPusherSettings, team, received 1"),
        ({"environment": 3}, "in environment"),
        ({"rollback_alarms": (1,)}, "in rollback_alarms"),
        ({"base_path": None}, "in base_path"),
        ({"prove_first": "maybe"}, "in prove_first"),
        ({"min_agreement": "most"}, "in min_agreement"),
        ({"golden_features": {"a": "b"}}, "in golden_features"),
    ],
)
def test_value_of_another_type_is_a_sentence_however_it_is_given(changes, received):
    for write in (SageMakerPusherSettings.of, lambda given: SageMakerPusherSettings(**given)):
        with pytest.raises(ConfigError, match=received):
            write({**GIVEN, **changes})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((0, traffic.MAX_WAIT_SECONDS), "WaitIntervalInSeconds"),
        ((0, traffic.MAX_WAIT_SECONDS), "TerminationWaitInSeconds"),
        (
            (traffic.LEAST_TIMEOUT_SECONDS, traffic.MAX_TIMEOUT_SECONDS),
            "MaximumExecutionTimeoutInSeconds",
        ),
        ((1, traffic.MAX_ALARMS), "AlarmList"),
        ((1, traffic.MAX_ALARM_NAME), "AlarmName"),
        ((0, names.MAX_NAME), "EndpointConfigName"),
        ((0, names.MAX_NAME), "ModelName"),
        ((0, hosting.MAX_TAGS), "TagList"),
        ((0, hosting.MAX_CAPTURE_URI), "DestinationS3Uri"),
        (hosting.SERVERLESS_MEMORY_MB, "ServerlessMemorySizeInMB"),
        (hosting.SERVERLESS_CONCURRENCY, "ServerlessMaxConcurrency"),
        ((1, registry.MAX_ENTRIES), "CustomerMetadataMap"),
        ((1, registry.MAX_KEY), "CustomerMetadataKey"),
        ((1, registry.MAX_VALUE), "CustomerMetadataValue"),
    ],
)
def test_limits_are_those_of_the_service_model(ours, theirs):
    assert limits(theirs) == ours


def test_largest_body_is_that_of_the_service_model():
    body = service_model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape
    assert body.members["Body"].metadata["max"] == endpoint_client.MAX_BODY_BYTES


def test_shares_are_those_of_the_documentation():
    members = service_model().shape_for("TrafficRoutingConfig").members
    assert "less than or equal to 50%" in members["CanarySize"].documentation
    assert "10-50%" in members["LinearStepSize"].documentation


def test_steps_of_serverless_memory_are_those_of_the_documentation():
    members = service_model().shape_for("ProductionVariantServerlessConfig").members
    told = {int(n) for n in re.findall(r"(\d+) MB", members["MemorySizeInMB"].documentation)}
    least, most = hosting.SERVERLESS_MEMORY_MB
    assert told == set(range(least, most + 1, hosting.SERVERLESS_STEP_MB))
    for memory in sorted(told):
        assert settings(**{**SERVERLESS, "serverless_memory_mb": memory}).serverless


VERSION = HostedVersion(
    name="taxi-1-0123456789ab",
    archive_uri="s3://models/taxi/models/0123/model.tar.gz",
    served_name="taxi",
    tags=own_tags("taxi/trips", 1, "0123"),
)
TRAFFICS = [
    {},
    {"canary_percent": 50, "wait_seconds": 3600, "rollback_alarms": ("a", "b")},
    {"linear_percent": 10, "wait_seconds": 60, "termination_wait_seconds": 3600},
    {"rollback_alarms": ("a",), "maximum_seconds": 600},
]


@pytest.mark.parametrize("changes", [{}, SERVERLESS, {"capture_kms_key": "alias/capture"}])
def test_requests_are_valid_by_the_service_model(changes):
    made = settings(**changes)
    assert faults("CreateModel", model_request(made, VERSION)) == []
    request = config_request(made, VERSION)
    assert faults("CreateEndpointConfig", request) == []
    if made.serverless:
        return
    serving = request["ProductionVariants"]
    for shadow in (False, True):
        tried = experiment_request(made, "taxi-1-proof", serving, VERSION, shadow=shadow)
        assert faults("CreateEndpointConfig", tried) == []
        assert tried["DataCaptureConfig"] == request["DataCaptureConfig"]


@pytest.mark.parametrize("changes", TRAFFICS)
def test_deployment_is_valid_by_the_service_model(changes):
    deployment = settings(**changes).deployment_config()
    request = {"EndpointName": "taxi", "EndpointConfigName": "taxi-1"}
    if deployment:
        request["DeploymentConfig"] = deployment
    assert faults("UpdateEndpoint", request) == []
    assert bool(deployment) == bool(changes)


def test_every_config_captures_both_sides_of_json():
    for changes in ({}, {"capture_percent": 5}):
        capture = config_request(settings(**changes), VERSION)["DataCaptureConfig"]
        assert capture["EnableCapture"] is True
        assert capture["CaptureContentTypeHeader"]["JsonContentTypes"] == ["application/json"]
        modes = [option["CaptureMode"] for option in capture["CaptureOptions"]]
        assert modes == ["Input", "Output"]
        assert capture["DestinationS3Uri"] == "s3://models/taxi/capture"


def test_model_has_no_network():
    assert model_request(settings(), VERSION)["EnableNetworkIsolation"] is True


def test_shadow_stands_beside_exactly_one_variant():
    serving = config_request(settings(), VERSION)["ProductionVariants"]
    request = experiment_request(settings(), "x", serving, VERSION, shadow=True)
    assert len(request["ProductionVariants"]) == len(request["ShadowProductionVariants"]) == 1
    # As many requests as production gets.
    assert request["ShadowProductionVariants"][0]["InitialVariantWeight"] == 1.0


def test_candidate_gets_no_traffic_of_its_own():
    serving = config_request(settings(), VERSION)["ProductionVariants"]
    request = experiment_request(settings(), "x", serving, VERSION, shadow=False)
    weights = {v["VariantName"]: v["InitialVariantWeight"] for v in request["ProductionVariants"]}
    assert weights == {"AllTraffic": 1.0, "Candidate": 0.0}


@pytest.mark.parametrize("model", ["taxi", "taxi/trips_2", "-", "ß" * 90, "t" * 90, "a--"])
@pytest.mark.parametrize("end", ["", "-proof", "-shadow"])
@pytest.mark.parametrize("version", [1, 10**12])
def test_names_fit_whatever_the_model_is_called(model, end, version):
    name = resource_name(model, version, "0123456789abcdef" * 4, end)
    assert names.NAME_PATTERN.fullmatch(name)
    assert name.endswith(f"-{version}-0123456789ab{end}")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (IMAGE, Image(region="us-east-1", tensorflow=(2, 20))),
        (
            "763104351884.dkr.ecr.cn-north-1.amazonaws.com.cn/tensorflow-inference:2.19.1-gpu-py312",
            Image(region="cn-north-1", tensorflow=(2, 19)),
        ),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ours/server:2.16",
            Image(region="eu-west-1"),
        ),
        (
            f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference@sha256:{'0' * 64}",
            Image(region="eu-west-1"),
        ),
        ("registry.example.com/server:1", Image()),
    ],
)
def test_image_tells_region_and_tensorflow(address, said):
    assert image_of(address) == said
