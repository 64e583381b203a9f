"""The calls to AWS: the only module of this room that imports boto3, and what its errors mean.

Credentials, endpoints and proxies are found as boto3 finds them. Throttled calls are repeated by
boto3's standard mode; what it gives up on is told apart here into what may pass by itself and what
somebody has to change.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_loop.core.errors import ConfigError, ServerUnavailable, ServingError, first_line

SAGEMAKER, RUNTIME, CLOUDWATCH, S3 = "sagemaker", "sagemaker-runtime", "cloudwatch", "s3"
LOG_GROUP = "/aws/sagemaker/Endpoints"
# A container has 60 s for an answer, says the documentation of InvokeEndpoint.
_READ_SECONDS = 70
# botocore's own.
_CONNECT_SECONDS = 60
# A screen that waits longer seems to hang. Chosen, not measured.
_QUICK_SECONDS = 5
# Two more tries than the standard's three: a push that ends here has to be started again by hand.
_ATTEMPTS = 5
VALIDATION = ("ValidationException", "ValidationError", "ValidationFailure")
# What a call is refused for by its own content: the service names the member.
MALFORMED = (
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidRequest",
    "MissingParameter",
)
# They pass: the service, or the network, is to be asked again.
TEMPORARY = frozenset(
    {
        "500",
        "503",
        "InternalDependencyException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "InternalServiceFault",
        "ModelNotReadyException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# What botocore raises where a call cannot be sent from here, however often it is tried.
_OF_THIS_MACHINE = frozenset(
    {
        "ConfigNotFound",
        "ConfigParseError",
        "CredentialRetrievalError",
        "InvalidConfigError",
        "LoginTokenLoadError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "NoRegionError",
        "ParamValidationError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SSOTokenLoadError",
        "SSOError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
_POLICY = "Give the caller's role the policy of docs/sagemaker.md."
_AGAIN = "Run again: the upload begins anew."
_CREDENTIALS = "Renew the credentials."
REMEDIES: Mapping[str, str] = {
    "403": _POLICY,
    "AccessDenied": _POLICY,
    "AccessDeniedException": _POLICY,
    "AuthorizationError": _POLICY,
    "ConflictException": "Something else changes it; wait, then run again.",
    "EncryptionTypeMismatch": _AGAIN,
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidNextToken": "Run again.",
    "InvalidObjectState": "Restore the object from its storage class.",
    "InvalidSignatureException": "Check the credentials and the clock of this machine.",
    "ModelError": f"The container's log group is {LOG_GROUP}/ENDPOINT.",
    "InvalidWriteOffset": _AGAIN,
    "NoSuchBucket": "Make the bucket, or correct base_path.",
    "NoSuchUpload": _AGAIN,
    "OptInRequired": "Activate the region for the account.",
    "ResourceInUse": "Something else uses it; wait, then run again.",
    "ResourceLimitExceeded": "Ask for a higher quota (Service Quotas), or take another instance "
    "type or fewer instances.",
    "ResourceNotFound": "Check the names.",
    "SignatureDoesNotMatch": "Check the credentials and the clock of this machine.",
    "TooManyParts": "Make the model smaller: its archive has more than 10,000 parts.",
    "UnrecognizedClientException": _CREDENTIALS,
}


class AwsRefusal(ServingError):
    """A call that AWS refused, and that will be refused again.

    Attributes:
        code: AWS' error code.
        operation: Such as `update_endpoint`.
        detail: What AWS says.
    """

    def __init__(self, message: str, *, code: str, operation: str, detail: str = "") -> None:
        super().__init__(message)
        self.code, self.operation, self.detail = code, operation, detail


class AwsUnavailable(ServerUnavailable):
    """A call that AWS did not carry out now.

    Attributes:
        code: AWS' error code, or the class of what the network raised.
        operation: Such as `update_endpoint`.
    """

    def __init__(self, message: str, *, code: str, operation: str) -> None:
        super().__init__(message)
        self.code, self.operation = code, operation


class Aws:
    """AWS in one region."""

    def __init__(
        self, region: str, clients: Mapping[str, Any] | None = None, *, quick: bool = False
    ) -> None:
        """Calls nothing yet.

        Args:
            region: Such as `eu-west-1`.
            clients: boto3's clients by service, in place of those that are made.
            quick: Give up on AWS within seconds, for somebody who looks at a screen.

        Raises:
            ConfigError: boto3 is not installed.
        """
        self._region, self._quick = region, quick
        self._clients: dict[str, Any] = dict(clients or {})
        try:
            import boto3
        except ImportError as error:
            raise ConfigError(
                "Expected boto3 to push to SageMaker, found none. Install tfx-loop[sagemaker]."
            ) from error
        self._session: Any = boto3

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """Returns what an operation answers.

        Args:
            service: `sagemaker`, `sagemaker-runtime`, `cloudwatch` or `s3`.
            operation: In boto3's spelling, such as `describe_endpoint`.
            **request: Its members.

        Raises:
            AwsRefusal: AWS refused it.
            AwsUnavailable: It may be carried out later.
            ConfigError: There are no credentials, or a member is of the wrong type.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**request)
            return answer
        except ClientError as error:
            raise _refused(error.response, operation) from error
        except BotoCoreError as error:
            if type(error).__name__ in _OF_THIS_MACHINE:
                raise ConfigError(
                    f"Expected {operation} to be sent, received: {first_line(error)} Check the "
                    "settings and the credentials that boto3 finds."
                ) from error
            raise AwsUnavailable(
                f"Expected an answer to {operation} from AWS, received: {first_line(error)} Check "
                "the network and the region, then run again.",
                code=type(error).__name__,
                operation=operation,
            ) from error

    def pages(
        self, service: str, operation: str, member: str, **request: Any
    ) -> Iterator[dict[str, Any]]:
        """Yields the items of all pages of a listing; raises as `call`."""
        tokens = _TOKENS[operation]
        while True:
            page = self.call(service, operation, **request)
            yield from page.get(member, ())
            following = {ask: page[told] for ask, told in tokens.items() if page.get(told)}
            if not following:
                return
            request |= following

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config

            config = Config(
                retries={"mode": "standard", "max_attempts": 1 if self._quick else _ATTEMPTS},
                connect_timeout=_QUICK_SECONDS if self._quick else _CONNECT_SECONDS,
                read_timeout=_QUICK_SECONDS if self._quick else _READ_SECONDS,
            )
            try:
                made = self._session.client(service, region_name=self._region, config=config)
            except ValueError as error:
                # An address of an endpoint that is none.
                raise ConfigError(
                    f"Expected an address of {service} that boto3 can use, received: "
                    f"{first_line(error)} Correct AWS_ENDPOINT_URL or ~/.aws/config."
                ) from error
            self._clients[service] = made
        return self._clients[service]


# How a listing is continued: what is asked for, and where a page tells it.
_TOKENS = {
    "list_multipart_uploads": {
        "KeyMarker": "NextKeyMarker",
        "UploadIdMarker": "NextUploadIdMarker",
    },
    "list_parts": {"PartNumberMarker": "NextPartNumberMarker"},
    "list_model_packages": {"NextToken": "NextToken"},
    "list_tags": {"NextToken": "NextToken"},
    "list_objects_v2": {"ContinuationToken": "NextContinuationToken"},
}


def is_absent(error: AwsRefusal) -> bool:
    """Says whether what a call named is not there.

    SageMaker tells it by a text alone: "Could not find ...", of packages "... does not exist".
    """
    if error.code in ("ResourceNotFound", "NoSuchKey", "NotFound", "404"):
        return True
    said = error.detail.lower()
    absent = "could not find" in said or "does not exist" in said
    return error.code in VALIDATION and absent


def already_exists(error: AwsRefusal) -> bool:
    """Says whether what a call was to make is there: "Cannot create already existing ..."."""
    return error.code in VALIDATION and "already exist" in error.detail.lower()


def is_under_way(error: AwsRefusal) -> bool:
    """Says whether the endpoint is being changed: "Cannot update in-progress endpoint ..."."""
    return error.code in VALIDATION and "in-progress" in error.detail.lower()


def has_object(error: AwsRefusal) -> bool:
    """Says whether a write under If-None-Match met an object."""
    return error.code in ("PreconditionFailed", "412")


def _refused(response: Mapping[str, Any], operation: str) -> AwsRefusal | AwsUnavailable:
    said = response.get("Error", {})
    code = str(said.get("Code", "")) or "an error without a code"
    detail = str(said.get("Message", ""))
    if code == "ModelError":
        # What the container said may repeat the rows that it was asked.
        status = response.get("OriginalStatusCode", "no status")
        detail = f"the container answered {status}"
    shown = " ".join(detail.split())[:300].rstrip(". ")
    if code in TEMPORARY:
        return AwsUnavailable(
            f"Expected {operation} to be carried out, received {code}: {shown}. Run again.",
            code=code,
            operation=operation,
        )
    remedy = REMEDIES.get(code, "Correct what it names.")
    return AwsRefusal(
        f"Expected {operation} to be carried out, received {code}: {shown}. {remedy}",
        code=code,
        operation=operation,
        detail=detail,
    )
