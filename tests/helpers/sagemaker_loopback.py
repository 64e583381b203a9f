"""A loopback SageMaker: real boto3 speaks to it, S3 and CloudWatch are moto's.

moto lacks UpdateEndpoint and takes much that the service refuses, so that the control plane and the
runtime are here: requests are checked against botocore's service model and by the rules that its
documentation adds; endpoints run containers (`sagemaker_container.py`), move traffic and roll back
(`sagemaker_endpoint.py`), and capture to S3 (`sagemaker_capture.py`).
"""

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore import xform_name
from object_stores import S3, object_store
from sagemaker_container import NumberContainer, OpenContainer
from sagemaker_endpoint import Endpoint, World
from sagemaker_shapes import faults

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/inference"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/tensorflow-inference:2.20-cpu"
# A production variant and its copy: which member names what.
_VARIANTS = ("ProductionVariants", "ShadowProductionVariants")


class Refused(Exception):
    """A request that the service refuses, with its error code."""

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(message)
        self.code = code


class Loopback:
    """The control plane and the runtime of one account and region.

    Attributes:
        calls: Every operation that was asked, oldest first.
        endpoints: By name.
        outcomes: What the next updates end with, such as `UpdateRollbackFailed`.
        next_error: Error codes that the next calls of an operation get, by operation.
        deleted_in_use: Endpoint configs that were deleted while an endpoint used them.
    """

    def __init__(self, open_container: OpenContainer, pace: float) -> None:
        """Needs the addresses of S3 and CloudWatch in the environment."""
        import boto3

        self.calls: list[str] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.groups: dict[str, list[dict[str, Any]]] = {}
        self.next_error: dict[str, list[str]] = {}
        self.deleted_in_use: list[str] = []
        self.outcomes: list[str] = []
        self.s3 = boto3.client("s3")
        self.cloudwatch = boto3.client("cloudwatch")
        self.runtime = boto3.client("sagemaker-runtime")
        self._world = World(
            models=self.models,
            configs=self.configs,
            s3=self.s3,
            alarm_states=self.alarm_states,
            open_container=open_container,
            pace=pace,
            next_outcome=self.outcomes,
        )

    def capture_at(self, time_ms: int) -> None:
        """Sets the time of what is captured from now on, milliseconds UTC."""
        self._world.captured_at = datetime.fromtimestamp(time_ms / 1000, tz=timezone.utc)

    def alarm_states(self, names: list[str]) -> dict[str, str]:
        """Returns the states of alarms by name; those that do not exist are left out."""
        found = self.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}

    def put_alarm(self, name: str, state: str = "OK") -> None:
        """Makes an alarm, or sets the state of one."""
        self.cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

    def put_alarm_in(self, name: str, seconds: float) -> None:
        """Lets an alarm go off once an endpoint has shifted traffic for a while."""

        def go_off() -> None:
            while not any(e.green_share for e in self.endpoints.values()):
                time.sleep(0.005)
            time.sleep(seconds)
            self.put_alarm(name, "ALARM")

        threading.Thread(target=go_off, daemon=True).start()

    def settle(self, endpoint: str) -> str:
        """Waits until an endpoint is at rest; returns its status."""
        found = self.endpoints[endpoint]
        while found.status in ("Creating", "Updating", "RollingBack"):
            time.sleep(0.005)
        return found.status

    def close(self) -> None:
        """Ends every container."""
        for endpoint in self.endpoints.values():
            endpoint.delete()

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer to one operation; raises Refused."""
        self.calls.append(operation)
        if self.next_error.get(operation):
            code = self.next_error[operation].pop()
            if code == "in-progress":
                raise Refused('Cannot update in-progress endpoint "of a test".')
            raise Refused(f"{code} of a test", code)
        handler: Callable[..., dict[str, Any]] | None = getattr(
            self, f"_{xform_name(operation)}", None
        )
        if handler is None:
            raise Refused(f"{operation} is not here", "UnknownOperationException")
        if wrong := faults(operation, request):
            raise Refused(f"{len(wrong)} validation error detected: {'; '.join(wrong)}")
        return handler(request)

    def invoke(
        self, endpoint: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, str]:
        """Returns status, body and variant of an invocation; raises Refused."""
        self.calls.append("InvokeEndpoint")
        if self.next_error.get("InvokeEndpoint"):
            code = self.next_error["InvokeEndpoint"].pop()
            raise Refused(f"{code} of a test", code)
        found = self.endpoints.get(endpoint)
        target = headers.get("X-Amzn-SageMaker-Target-Variant", "")
        answer = found and found.invoke(
            body,
            headers.get("Content-Type", ""),
            target,
            headers.get("X-Amzn-SageMaker-Inference-Id", ""),
            headers.get("X-Amzn-SageMaker-Custom-Attributes", ""),
        )
        if answer is None:
            name = f"variant {target} of endpoint {endpoint}" if target else f"Endpoint {endpoint}"
            raise Refused(f"{name} of account {ACCOUNT} not found.", "ValidationError")
        return answer

    def _create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        name, url = request["ModelName"], request["PrimaryContainer"].get("ModelDataUrl", "")
        self._absent(name in self.models, "model", name)
        bucket, _, key = url.removeprefix("s3://").partition("/")
        listed = self.s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ())
        if not url.endswith(".tar.gz") or key not in [held["Key"] for held in listed]:
            raise Refused(f"Could not find model data at {url}.")
        return self._created(self.models, name, request, "model", "Model")

    def _describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._described(self.models, request["ModelName"], "model", "Model")

    def _delete_model(self, request: dict[str, Any]) -> dict[str, Any]:
        self._described(self.models, request["ModelName"], "model", "Model")
        del self.models[request["ModelName"]]
        return {}

    def _list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Models": _listed(self.models, request, "model", "Model")}

    def _create_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        self._absent(name in self.configs, "endpoint configuration", name)
        variants = [v for group in _VARIANTS for v in request.get(group, ())]
        for variant in variants:
            self._described(self.models, variant["ModelName"], "model", "Model")
            self._check_serverless(variant, request)
        if len({v["VariantName"] for v in variants}) < len(variants):
            raise Refused("Variant names must be unique.")
        counts = [len(request.get(group, ())) for group in _VARIANTS]
        if counts[1] and counts != [1, 1]:
            raise Refused("Shadow mode takes exactly one production and one shadow variant.")
        return self._created(self.configs, name, request, "endpoint-config", "EndpointConfig")

    def _check_serverless(self, variant: dict[str, Any], request: dict[str, Any]) -> None:
        if "ServerlessConfig" not in variant:
            if not variant.get("InstanceType") or not variant.get("InitialInstanceCount"):
                raise Refused("InstanceType and InitialInstanceCount, or ServerlessConfig, needed.")
            return
        if request.get("DataCaptureConfig") or request.get("ShadowProductionVariants"):
            raise Refused("Serverless endpoints take neither data capture nor shadow variants.")
        if self.models[variant["ModelName"]].get("EnableNetworkIsolation"):
            raise Refused("Serverless endpoints take no network isolation.")

    def _describe_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        return self._described(self.configs, name, "endpoint-config", "EndpointConfig")

    def _delete_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        self._described(self.configs, name, "endpoint-config", "EndpointConfig")
        # The service takes it, and the endpoint can be updated no more.
        self.deleted_in_use += [name for e in self.endpoints.values() if e.config == name]
        del self.configs[name]
        return {}

    def _list_endpoint_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        listed = _listed(self.configs, request, "endpoint-config", "EndpointConfig")
        return {"EndpointConfigs": listed}

    def _create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        self._absent(name in self.endpoints, "endpoint", name)
        self._described(self.configs, config, "endpoint-config", "EndpointConfig")
        self._keep_tags("endpoint", name, request)
        self.endpoints[name] = Endpoint(self._world, name, config)
        return {"EndpointArn": arn("endpoint", name)}

    def _update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        endpoint = self._endpoint(name)
        if endpoint.status != "InService":
            where = arn("endpoint", name)
            raise Refused(f'Cannot update in-progress endpoint "{where}".')
        for needed in (endpoint.config, config):
            self._described(self.configs, needed, "endpoint-config", "EndpointConfig")
        if config == endpoint.config:
            raise Refused(f'Cannot update endpoint "{name}" to the configuration it already uses.')
        deployment = request.get("DeploymentConfig")
        if deployment:
            _check_deployment(deployment, self.configs[endpoint.config], self.configs[config])
            alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
            names = [alarm["AlarmName"] for alarm in alarms]
            if missing := sorted(set(names) - set(self.alarm_states(names) if names else ())):
                raise Refused(f"Alarms {missing} do not exist.")
        endpoint.update(config, deployment)
        return {"EndpointArn": arn("endpoint", name)}

    def _update_endpoint_weights_and_capacities(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request["DesiredWeightsAndCapacities"]
        weights = {v["VariantName"]: v["DesiredWeight"] for v in wanted}
        self._endpoint(request["EndpointName"]).reweight(weights)
        return {"EndpointArn": arn("endpoint", request["EndpointName"])}

    def _describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._endpoint(request["EndpointName"])
        fleet = endpoint.blue
        told: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": arn("endpoint", endpoint.name),
            "EndpointConfigName": endpoint.config,
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
        if endpoint.failure:
            told["FailureReason"] = endpoint.failure
        if endpoint.last_deployment:
            told["LastDeploymentConfig"] = endpoint.last_deployment
        if fleet is not None:
            told["ProductionVariants"] = _summaries(fleet.variants)
            if fleet.shadows:
                told["ShadowProductionVariants"] = _summaries(fleet.shadows)
            if fleet.capture_config:
                told["DataCaptureConfig"] = _capture_summary(fleet.capture_config)
        return told

    def _delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        self._endpoint(request["EndpointName"]).delete()
        del self.endpoints[request["EndpointName"]]
        return {}

    def _list_endpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        listed = _listed(self.endpoints, request, "endpoint", "Endpoint")
        for told in listed:
            endpoint = self.endpoints[told["EndpointName"]]
            told |= {"EndpointStatus": endpoint.status, "LastModifiedTime": endpoint.modified}
        return {"Endpoints": listed}

    def _add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        held = self.tags.setdefault(request["ResourceArn"], {})
        held |= {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        return {"Tags": _tag_list(held)}

    def _list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": _tag_list(self.tags.get(request["ResourceArn"], {}))}

    def _create_model_package_group(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        self._absent(name in self.groups, "model package group", name)
        self.groups[name] = []
        return {"ModelPackageGroupArn": arn("model-package-group", name)}

    def _describe_model_package_group(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        if name not in self.groups:
            raise Refused(f"ModelPackageGroup {arn('model-package-group', name)} does not exist.")
        return {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": arn("model-package-group", name),
            "CreationTime": time.time(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }

    def _create_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        group = request["ModelPackageGroupName"]
        self._describe_model_package_group({"ModelPackageGroupName": group})
        version = len(self.groups[group]) + 1
        where = arn("model-package", f"{group}/{version}")
        self.groups[group].append(
            {
                **{k: v for k, v in request.items() if k not in ("ClientToken", "Tags")},
                "ModelPackageVersion": version,
                "ModelPackageArn": where,
                "ModelPackageName": group,
                "CreationTime": time.time(),
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": []},
            }
        )
        return {"ModelPackageArn": where}

    def _describe_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._package(request["ModelPackageName"])

    def _update_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self._package(request["ModelPackageArn"])
        package["ModelApprovalStatus"] = request["ModelApprovalStatus"]
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def _list_model_packages(self, request: dict[str, Any]) -> dict[str, Any]:
        members = (
            "ModelPackageArn",
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        )
        packages = self.groups.get(request["ModelPackageGroupName"], [])
        told = [{k: p[k] for k in members if k in p} for p in reversed(packages)]
        return {"ModelPackageSummaryList": told}

    def _package(self, where: str) -> dict[str, Any]:
        for packages in self.groups.values():
            for package in packages:
                if package["ModelPackageArn"] == where:
                    return package
        raise Refused(f"ModelPackage {where} does not exist.")

    def _endpoint(self, name: str) -> Endpoint:
        if name not in self.endpoints:
            raise Refused(f'Could not find endpoint "{arn("endpoint", name)}".')
        return self.endpoints[name]

    def _absent(self, there: bool, what: str, name: str) -> None:
        if there:
            kind = {"endpoint configuration": "endpoint-config"}.get(what, what)
            raise Refused(f'Cannot create already existing {what} "{arn(kind, name)}".')

    def _created(
        self, held: dict[str, Any], name: str, request: dict[str, Any], kind: str, member: str
    ) -> dict[str, Any]:
        self._keep_tags(kind, name, request)
        held[name] = {**request, "CreationTime": time.time()}
        return {f"{member}Arn": arn(kind, name)}

    def _described(
        self, held: Mapping[str, Any], name: str, kind: str, member: str
    ) -> dict[str, Any]:
        if name not in held:
            what = {"endpoint-config": "endpoint configuration"}.get(kind, kind)
            raise Refused(f'Could not find {what} "{arn(kind, name)}".')
        shown = {key: value for key, value in held[name].items() if key != "Tags"}
        return {**shown, f"{member}Arn": arn(kind, name)}

    def _keep_tags(self, kind: str, name: str, request: dict[str, Any]) -> None:
        self.tags[arn(kind, name)] = {t["Key"]: t["Value"] for t in request.get("Tags", ())}


def arn(kind: str, name: str) -> str:
    """Returns the address of a resource."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def _check_deployment(
    deployment: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Refuses what botocore's documentation of DeploymentConfig says is refused."""
    if {"BlueGreenUpdatePolicy", "RollingUpdatePolicy"} <= set(deployment):
        raise Refused("Only one update policy should be used in the deployment configuration.")
    names = [{v["VariantName"] for v in config["ProductionVariants"]} for config in (old, new)]
    if names[0] != names[1]:
        raise Refused("The new endpoint config must have the variant names of the old one.")
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {})
    bounds = {"CANARY": ("CanarySize", 1, 50), "LINEAR": ("LinearStepSize", 10, 50)}
    if routing.get("Type") in bounds:
        member, least, most = bounds[routing["Type"]]
        if not least <= routing[member]["Value"] <= most:
            raise Refused(f"{member} must be {least} to {most} percent.")
    waits = routing.get("WaitIntervalInSeconds", 0) + policy.get("TerminationWaitInSeconds", 0)
    if policy.get("MaximumExecutionTimeoutInSeconds", waits + 1) <= waits:
        raise Refused("MaximumExecutionTimeoutInSeconds must be larger than the waits.")


def _summaries(variants: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"VariantName": v.name, "CurrentWeight": v.weight} for v in variants.values()]


def _capture_summary(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "EnableCapture": config.get("EnableCapture", False),
        "CaptureStatus": "Started" if config.get("EnableCapture") else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


def _listed(
    held: Mapping[str, Any], request: Mapping[str, Any], kind: str, member: str
) -> list[dict[str, Any]]:
    part = request.get("NameContains", "")
    return [
        {f"{member}Name": name, f"{member}Arn": arn(kind, name), "CreationTime": time.time()}
        for name in reversed(list(held))
        if part in name
    ]


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


class _Handler(BaseHTTPRequestHandler):
    """Speaks the two protocols: JSON 1.1 with a target, and the runtime's paths."""

    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if found := re.fullmatch(r"/endpoints/([^/]+)/invocations", self.path):
                self._invoke(found[1], body)
                return
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            answer = self.loopback.call(operation, json.loads(body or b"{}"))
            kind = ("Content-Type", "application/x-amz-json-1.1")
            self._answer(200, json.dumps(answer).encode(), [kind])
        except Refused as error:
            text = json.dumps({"__type": error.code, "message": str(error)}).encode()
            self._answer(400, text, [("x-amzn-ErrorType", error.code)])

    def _invoke(self, endpoint: str, body: bytes) -> None:
        status, answer, variant = self.loopback.invoke(endpoint, body, self.headers)
        if status == 200:
            head = [("Content-Type", "application/json")]
            head.append(("x-Amzn-Invoked-Production-Variant", variant))
            self._answer(200, answer, head)
            return
        said = {
            "OriginalStatusCode": status,
            "OriginalMessage": answer.decode(),
            "Message": f"Received error ({status}) from primary with message {answer.decode()!r}.",
            "LogStreamArn": f"/aws/sagemaker/Endpoints/{endpoint}",
        }
        self._answer(424, json.dumps(said).encode(), [("x-amzn-ErrorType", "ModelError")])

    def _answer(self, status: int, body: bytes, head: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in (*head, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def sagemaker_loopback(
    bucket: str, open_container: OpenContainer = NumberContainer, pace: float = 0.0005
) -> Iterator[Loopback]:
    """Yields a loopback SageMaker with a bucket; boto3's clients find it by the environment."""
    with object_store(S3, bucket), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", os.environ["AWS_ENDPOINT_URL_S3"])
        handler = type("Handler", (_Handler,), {})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        for service in ("SAGEMAKER", "SAGEMAKER_RUNTIME"):
            address = f"http://127.0.0.1:{server.server_port}"
            patch.setenv(f"AWS_ENDPOINT_URL_{service}", address)
        loopback = handler.loopback = Loopback(open_container, pace)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield loopback
        finally:
            server.shutdown()
            server.server_close()
            loopback.close()
