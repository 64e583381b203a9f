"""Hosting of a version: the requests of CreateModel and CreateEndpointConfig. Pure.

Every config captures what clients ask and are answered: a config without DataCaptureConfig would
end the capture of the one before, without a word.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.names import (
    NAME_PATTERN,
    ROLE_PATTERN,
    bucket_and_key,
    image_of,
)

# Exactly this type is taken by the container, and captured as text; any other is base64 there.
JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
# CreateModel's and CreateEndpointConfig's limits (botocore's service model): 50 tags, variables of
# 1,024 characters each, 512 for the capture's address; memory and concurrency of serverless
# variants as documented.
MAX_TAGS = 50
MAX_ENVIRONMENT = 1_024
SERVERLESS_MEMORY_MB = (1_024, 6_144)
# "1024 MB, 2048 MB, 3072 MB, 4096 MB, 5120 MB, or 6144 MB": its documentation.
SERVERLESS_STEP_MB = 1_024
SERVERLESS_CONCURRENCY = (1, 200)
MAX_CAPTURE_URI = 512
# What AWS' image serves where a request names no model.
DEFAULT_MODEL = "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"
CANDIDATE, SHADOW_VARIANT = "Candidate", "Shadow"
_INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_TAG = re.compile(r"[\w\s.:/=+\-@]*")
_OURS = "tfx-loop:"


@dataclass(frozen=True, kw_only=True)
class HostingSettings:
    """Where a version runs.

    Attributes:
        endpoint: Name of the endpoint, which is made by the first push.
        region: AWS region of endpoint, bucket and image, such as `eu-west-1`.
        role_arn: Role with which SageMaker reads the archive and the image, and writes the capture.
        image: Address of the container's image: AWS' `tensorflow-inference` of the region, no older
            than the model's TensorFlow, or one that takes what that takes.
        instance_type: Such as `ml.c5.large`; empty for a serverless endpoint.
        instance_count: How many instances.
        serverless_memory_mb: Memory of a serverless endpoint, 1024 to 6144 MB in steps of 1024; 0
            for instances.
        serverless_concurrency: How many requests a serverless endpoint takes at a time, 1 to 200.
        variant_name: Name of the production variant; guardrails want it to stay the same.
        environment: Variables of the container; no secrets, as DescribeModel shows them.
        capture_uri: Where requests and answers are captured, `s3://BUCKET/PREFIX`; empty takes
            `capture` below `base_path`.
        capture_percent: Share of requests that is captured, 1 to 100 %.
        capture_kms_key: KMS key that encrypts what is captured; empty for the bucket's own.
        tags: Tags of all that the push makes; those of the config before are kept.
    """

    endpoint: str = ""
    region: str = ""
    role_arn: str = ""
    image: str = ""
    instance_type: str = ""
    instance_count: int = 1
    serverless_memory_mb: int = 0
    # As the SageMaker SDK's ServerlessInferenceConfig has it (max_concurrency).
    serverless_concurrency: int = 5
    variant_name: str = "AllTraffic"
    environment: Mapping[str, str] = field(default_factory=dict)
    capture_uri: str = ""
    capture_percent: int = 100
    capture_kms_key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def serverless(self) -> bool:
        """Whether it runs without instances."""
        return bool(self.serverless_memory_mb)

    def check_hosting(self) -> None:
        """Raises ConfigError for what SageMaker would refuse, or run in another region."""
        for name in ("endpoint", "variant_name"):
            if not NAME_PATTERN.fullmatch(getattr(self, name)):
                raise ConfigError(
                    f"Expected {name} of at most 63 letters, digits and inner hyphens, received "
                    f"{getattr(self, name)!r}."
                )
        if self.variant_name in (CANDIDATE, SHADOW_VARIANT):
            raise ConfigError(
                f"Expected another variant_name than {CANDIDATE!r} and {SHADOW_VARIANT!r}, which a "
                f"push gives to what it proves, received {self.variant_name!r}."
            )
        if not _REGION.fullmatch(self.region):
            raise ConfigError(f"Expected region such as 'eu-west-1', received {self.region!r}.")
        if not ROLE_PATTERN.fullmatch(self.role_arn):
            raise ConfigError(
                "Expected role_arn such as 'arn:aws:iam::123456789012:role/inference', received "
                f"{self.role_arn!r}."
            )
        if not self.image:
            raise ConfigError("Expected the image of a container, received none. Set image.")
        found = image_of(self.image).region
        if found and found != self.region:
            raise ConfigError(
                f"Expected an image in {self.region}, where the endpoint is, received one in "
                f"{found}: {self.image}. Name the region's own."
            )
        self._check_capacity()
        self._check_capture()
        self._check_texts()

    def _check_capacity(self) -> None:
        if bool(self.instance_type) == self.serverless:
            raise ConfigError(
                "Expected either instance_type or serverless_memory_mb, received "
                f"{self.instance_type!r} and {self.serverless_memory_mb}."
            )
        if not self.serverless:
            if not _INSTANCE.fullmatch(self.instance_type) or self.instance_count < 1:
                raise ConfigError(
                    "Expected instance_type such as 'ml.c5.large' and instance_count of at least "
                    f"1, received {self.instance_type!r} and {self.instance_count}."
                )
            return
        least, most = SERVERLESS_MEMORY_MB
        few, many = SERVERLESS_CONCURRENCY
        steps = self.serverless_memory_mb % SERVERLESS_STEP_MB == 0
        fits = steps and least <= self.serverless_memory_mb <= most
        if not fits or not few <= self.serverless_concurrency <= many:
            raise ConfigError(
                f"Expected serverless_memory_mb of {least} to {most} in steps of "
                f"{SERVERLESS_STEP_MB} and serverless_concurrency of {few} to {many}, received "
                f"{self.serverless_memory_mb} and {self.serverless_concurrency}."
            )

    def _check_capture(self) -> None:
        if self.serverless:
            if self.capture_uri:
                raise ConfigError(
                    "Expected no capture_uri for a serverless endpoint, of which SageMaker "
                    f"captures nothing, received {self.capture_uri!r}. Use instances to monitor it."
                )
            return
        if not 1 <= self.capture_percent <= 100:
            raise ConfigError(
                f"Expected capture_percent of 1 to 100, received {self.capture_percent}."
            )
        uri = self.capture_uri
        if uri and (not re.match(r"s3://[^/]+", uri) or len(uri) > MAX_CAPTURE_URI):
            raise ConfigError(f"Expected capture_uri such as s3://BUCKET/PREFIX, received {uri!r}.")

    def _check_texts(self) -> None:
        if DEFAULT_MODEL in self.environment:
            raise ConfigError(
                f"Expected environment without {DEFAULT_MODEL}, which names the model that is "
                "pushed, received one with it. Set model_name."
            )
        for name, value in self.environment.items():
            if not name or len(name) > MAX_ENVIRONMENT or len(value) > MAX_ENVIRONMENT:
                raise ConfigError(
                    f"Expected environment of texts up to {MAX_ENVIRONMENT} characters, received "
                    f"the variable {name[:80]!r}."
                )
        # Three are ours.
        if len(self.tags) > MAX_TAGS - 3:
            raise ConfigError(f"Expected at most {MAX_TAGS - 3} tags, received {len(self.tags)}.")
        for name, value in self.tags.items():
            proper = 1 <= len(name) <= 128 and len(value) <= 256
            if not proper or name.startswith(("aws:", _OURS)) or not _TAG.fullmatch(name + value):
                raise ConfigError(
                    "Expected tags of up to 128 and 256 letters, digits, spaces and _.:/=+-@, none "
                    f"of them begun with 'aws:' or '{_OURS}', received {name!r}: {value!r}."
                )


@dataclass(frozen=True, kw_only=True)
class HostedVersion:
    """One version as it is named in AWS.

    Attributes:
        name: Of the model and of its endpoint config.
        archive_uri: Where the archive is, `s3://`.
        served_name: The model's folder in the archive.
        tags: All tags that its resources get.
    """

    name: str
    archive_uri: str
    served_name: str
    tags: Mapping[str, str]


def model_request(settings: HostingSettings, version: HostedVersion) -> dict[str, Any]:
    """Returns the request of CreateModel.

    The container has no network: what it unpacks can then reach nobody, and install nothing.
    """
    container = {
        "Image": settings.image,
        "ModelDataUrl": version.archive_uri,
        "Environment": {**settings.environment, DEFAULT_MODEL: version.served_name},
    }
    return {
        "ModelName": version.name,
        "PrimaryContainer": container,
        "ExecutionRoleArn": settings.role_arn,
        # Serverless endpoints know no isolation.
        "EnableNetworkIsolation": not settings.serverless,
        "Tags": _tags(version.tags),
    }


def config_request(settings: HostingSettings, version: HostedVersion) -> dict[str, Any]:
    """Returns the request of CreateEndpointConfig for a version that serves alone."""
    variant = production_variant(settings, version.name, settings.variant_name, 1.0)
    return _config(settings, version.name, [variant], version.tags)


def experiment_request(
    settings: HostingSettings,
    config_name: str,
    serving: Sequence[Mapping[str, Any]],
    version: HostedVersion,
    *,
    shadow: bool,
) -> dict[str, Any]:
    """Returns the request of a config in which a version gets no answer of its own out.

    Args:
        settings: Where it runs.
        config_name: The config's name.
        serving: The production variants that serve now.
        version: What is tried.
        shadow: As a shadow variant, which is asked all that production is; else as a second
            variant of weight 0, which answers those who name it.
    """
    name = SHADOW_VARIANT if shadow else CANDIDATE
    weight = float(serving[0].get("InitialVariantWeight", 1.0)) if shadow else 0.0
    tried = production_variant(settings, version.name, name, weight)
    variants = list(serving) if shadow else [*serving, tried]
    request = _config(settings, config_name, variants, version.tags)
    if shadow:
        request["ShadowProductionVariants"] = [tried]
    return request


def production_variant(
    settings: HostingSettings, model: str, name: str, weight: float
) -> dict[str, Any]:
    """Returns one variant of a config."""
    variant: dict[str, Any] = {
        "VariantName": name,
        "ModelName": model,
        "InitialVariantWeight": weight,
    }
    if settings.serverless:
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": settings.serverless_memory_mb,
            "MaxConcurrency": settings.serverless_concurrency,
        }
    else:
        variant["InstanceType"] = settings.instance_type
        variant["InitialInstanceCount"] = settings.instance_count
    return variant


def own_tags(model_name: str, version: int, sha256: str) -> dict[str, str]:
    """Returns the tags by which a resource is known as a version's."""
    # What a tag cannot hold becomes a hyphen.
    plain = re.sub(r"[^\w\s.:/=+\-@]", "-", model_name)[:256]
    return {
        f"{_OURS}model": plain,
        f"{_OURS}version": str(version),
        f"{_OURS}sha256": sha256,
    }


def kept_tags(before: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns those tags of the config before that a new one takes over."""
    return {
        tag["Key"]: tag["Value"] for tag in before if not tag["Key"].startswith(("aws:", _OURS))
    }


def _config(
    settings: HostingSettings,
    name: str,
    variants: Sequence[Mapping[str, Any]],
    tags: Mapping[str, str],
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "EndpointConfigName": name,
        "ProductionVariants": [dict(variant) for variant in variants],
        "Tags": _tags(tags),
    }
    if not settings.serverless:
        request["DataCaptureConfig"] = _capture(settings)
    return request


def _capture(settings: HostingSettings) -> dict[str, Any]:
    capture: dict[str, Any] = {
        "EnableCapture": True,
        "InitialSamplingPercentage": settings.capture_percent,
        "DestinationS3Uri": settings.capture_uri,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        # Without it all content is written as base64.
        "CaptureContentTypeHeader": {
            "JsonContentTypes": [JSON_TYPE],
            "CsvContentTypes": [CSV_TYPE],
        },
    }
    if settings.capture_kms_key:
        capture["KmsKeyId"] = settings.capture_kms_key
    return capture


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def region_fits(settings: HostingSettings, bucket_region: str, base_path: str) -> None:
    """Raises ConfigError where a bucket is in another region than the endpoint."""
    if bucket_region != settings.region:
        raise ConfigError(
            f"Expected the bucket of {base_path} in {settings.region}, where the endpoint is, "
            f"received one in {bucket_region} ({bucket_and_key(base_path)[0]}). Set region, or use "
            "a bucket of the region."
        )
