"""Buckets of S3 and Google Cloud Storage, with writes under a condition.

A write names the tag that it replaces: an ETag (S3's If-Match and If-None-Match) or a generation
(GCS's ifGenerationMatch). The store compares and replaces in one step, so no lock of the machine is
needed, and writers on many hosts exclude each other.
"""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfx_loop.core.bucket.files import Bucket
from tfx_loop.core.conditional_files import ABSENT
from tfx_loop.core.errors import ConfigError, WriteConflict, first_line

# What S3 answers where a condition does not hold, also while another write is under way.
_S3_CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_S3_ABSENT = ("NoSuchKey", "404")
# Codes of S3 and classes of botocore, by what helps.
_S3_CREDENTIALS = frozenset(
    {
        "CredentialRetrievalError",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "SSOTokenLoadError",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
_S3_RIGHTS = frozenset({"AccessDenied", "AllAccessDisabled", "403"})
_S3_PLACE = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "InvalidBucketName",
        "NoSuchBucket",
        "ParamValidationError",
        "PermanentRedirect",
        "301",
    }
)


# Addresses of buckets begin with one of these.
SCHEMES = ("s3", "gs")


def open_bucket(uri: str) -> Bucket:
    """Returns the bucket of an `s3://` or `gs://` address.

    Raises:
        ConfigError: It is another address, or its library is not installed.
    """
    parts = urlsplit(uri)
    kinds: dict[str, type[S3Bucket] | type[GcsBucket]] = {"s3": S3Bucket, "gs": GcsBucket}
    if parts.scheme not in kinds or not parts.netloc:
        raise ConfigError(f"Expected s3://BUCKET/PATH or gs://BUCKET/PATH, received {uri!r}.")
    prefix = parts.path.strip("/")
    made: Bucket = kinds[parts.scheme](parts.netloc, f"{prefix}/" if prefix else "")
    return made


class S3Bucket:
    """Objects of S3, or of a store that speaks its language (AWS_ENDPOINT_URL_S3)."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Prepares a client with the credentials that boto3 finds.

        Raises:
            ConfigError: boto3 is not installed, or its profile, region or endpoint is none.
        """
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise ConfigError(
                "Expected boto3 for an s3:// address, found none. Install tfx-loop[s3]."
            ) from error
        from botocore.exceptions import BotoCoreError

        # Standard retries give up after three tries, as a push that waits can try again.
        settings = Config(retries={"mode": "standard"})
        try:
            self._client: Any = boto3.client("s3", config=settings)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(
                f"Expected settings of AWS for s3://{bucket}, received: {first_line(error)} "
                "Correct them in the environment (AWS_PROFILE, AWS_DEFAULT_REGION, "
                "AWS_ENDPOINT_URL_S3) or in ~/.aws/config."
            ) from error
        self._bucket, self._prefix = bucket, prefix

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Returns an object's content and ETag."""
        with self._os_errors(name):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
                return found["Body"].read(), found["ETag"]
            except self._client.exceptions.NoSuchKey:
                return None

    def put(self, name: str, content: bytes, expected: str) -> str:
        """Writes under a condition on the ETag."""
        from botocore.exceptions import ClientError

        condition = {"IfMatch": expected} if expected != ABSENT else {"IfNoneMatch": "*"}
        key = self._prefix + name
        with self._os_errors(name):
            try:
                written = self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=content, **condition
                )
                return str(written["ETag"])
            except ClientError as error:
                # If-Match on an object that somebody removed meanwhile is answered with 404.
                if error.response["Error"]["Code"] in (*_S3_CONFLICTS, *_S3_ABSENT):
                    raise _conflict(f"s3://{self._bucket}/{key}") from error
                raise

    def upload(self, name: str, path: Path) -> None:
        """Copies a file, in parts where it is large."""
        with self._os_errors(name):
            self._client.upload_file(str(path), self._bucket, self._prefix + name)

    def copy(self, name: str, to: str) -> None:
        """Copies an object within the bucket, in parts where it is large."""
        source = {"Bucket": self._bucket, "Key": self._prefix + name}
        with self._os_errors(name):
            self._client.copy(source, self._bucket, self._prefix + to)

    def names(self, prefix: str) -> Iterator[str]:
        """Yields names, whatever their number."""
        return (name for name, _ in self.tagged(prefix))

    def tagged(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yields names and ETags, whatever their number."""
        for page in self._pages(prefix):
            for held in page.get("Contents", ()):
                yield held["Key"][len(self._prefix) :], held["ETag"]

    def sized(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yields names and bytes, whatever their number."""
        for page in self._pages(prefix):
            for held in page.get("Contents", ()):
                yield held["Key"][len(self._prefix) :], int(held["Size"])

    def folders(self, prefix: str) -> Iterator[str]:
        """Yields common prefixes."""
        for page in self._pages(prefix, Delimiter="/"):
            for held in page.get("CommonPrefixes", ()):
                yield held["Prefix"][len(self._prefix + prefix) :].rstrip("/")

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        pages = self._client.get_paginator("list_objects_v2")
        with self._os_errors(prefix):
            yield from pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **more)

    def remove(self, name: str) -> None:
        """Removes an object."""
        with self._os_errors(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @contextlib.contextmanager
    def _os_errors(self, name: str) -> Iterator[None]:
        """Raises what the client raises as OSError, as a disk does: whoever waits tries again."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            where = f"s3://{self._bucket}/{self._prefix}{name}"
            raise OSError(f"{where}: {first_line(error)} {_s3_remedy(error)}") from error


class GcsBucket:
    """Objects of Google Cloud Storage, or of a server that speaks its language."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Connects with the credentials that Google's client finds.

        Raises:
            ConfigError: google-cloud-storage is not installed, or finds no credentials.
        """
        try:
            from google.cloud import storage
        except ImportError as error:
            raise ConfigError(
                "Expected google-cloud-storage for a gs:// address, found none. Install "
                "tfx-loop[gcs]."
            ) from error
        from google.auth.exceptions import DefaultCredentialsError

        try:
            client = storage.Client()
        except (DefaultCredentialsError, OSError) as error:
            # OSError: credentials without a project.
            raise ConfigError(
                f"Expected credentials for gs://{bucket}, found none that can be used: "
                f"{first_line(error)}"
            ) from error
        self._bucket: Any = client.bucket(bucket)
        self._prefix = prefix

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Returns an object's content and generation."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(self._prefix + name)
        with self._os_errors(name):
            try:
                # The generation is that of the content which came, not of a later one.
                return blob.download_as_bytes(), str(blob.generation)
            except NotFound:
                return None

    def put(self, name: str, content: bytes, expected: str) -> str:
        """Writes under a condition on the generation; 0 is that of no object."""
        from google.api_core.exceptions import PreconditionFailed

        blob = self._bucket.blob(self._prefix + name)
        generation = int(expected) if expected != ABSENT else 0
        with self._os_errors(name):
            try:
                blob.upload_from_string(content, if_generation_match=generation)
            except PreconditionFailed as error:
                raise _conflict(f"gs://{self._bucket.name}/{self._prefix}{name}") from error
        return str(blob.generation)

    def upload(self, name: str, path: Path) -> None:
        """Copies a file."""
        with self._os_errors(name):
            self._bucket.blob(self._prefix + name).upload_from_filename(str(path))

    def copy(self, name: str, to: str) -> None:
        """Copies an object within the bucket, in steps where it is large."""
        source, target = (self._bucket.blob(self._prefix + one) for one in (name, to))
        token = None
        with self._os_errors(name):
            while True:
                token, _, _ = target.rewrite(source, token=token)
                if token is None:
                    return

    def names(self, prefix: str) -> Iterator[str]:
        """Yields names, whatever their number."""
        return (name for name, _ in self.tagged(prefix))

    def tagged(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yields names and generations, whatever their number."""
        with self._os_errors(prefix):
            for blob in self._bucket.client.list_blobs(self._bucket, prefix=self._prefix + prefix):
                yield blob.name[len(self._prefix) :], str(blob.generation)

    def sized(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yields names and bytes, whatever their number."""
        with self._os_errors(prefix):
            for blob in self._bucket.client.list_blobs(self._bucket, prefix=self._prefix + prefix):
                yield blob.name[len(self._prefix) :], int(blob.size or 0)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yields common prefixes."""
        whole = self._prefix + prefix
        with self._os_errors(prefix):
            found = self._bucket.client.list_blobs(self._bucket, prefix=whole, delimiter="/")
            for page in found.pages:
                yield from (held[len(whole) :].rstrip("/") for held in page.prefixes)

    def remove(self, name: str) -> None:
        """Removes an object."""
        from google.api_core.exceptions import NotFound

        # As S3, which answers the removal of what is gone with success.
        with self._os_errors(name), contextlib.suppress(NotFound):
            self._bucket.blob(self._prefix + name).delete()

    @contextlib.contextmanager
    def _os_errors(self, name: str) -> Iterator[None]:
        """Raises what the client raises as OSError, as a disk does: whoever waits tries again."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except (GoogleAPIError, GoogleAuthError) as error:
            where = f"gs://{self._bucket.name}/{self._prefix}{name}"
            raise OSError(f"{where}: {first_line(error)} {_gcs_remedy(error)}") from error


def _s3_remedy(error: Exception) -> str:
    """Returns what to do about what boto3 raised."""
    # boto3's transfers wrap what the store answered.
    found: BaseException = error
    while found.__cause__ is not None and not hasattr(found, "response"):
        found = found.__cause__
    code = str(getattr(found, "response", {}).get("Error", {}).get("Code", type(found).__name__))
    if code in _S3_CREDENTIALS:
        return (
            "Give credentials as boto3 finds them: AWS_PROFILE, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a role; renew them where they have expired."
        )
    if code in _S3_RIGHTS:
        return "Give the caller rights on the bucket and its objects."
    if code in _S3_PLACE:
        return "Check the bucket's name and region."
    return "Check the network and AWS_ENDPOINT_URL_S3, then try again."


def _gcs_remedy(error: Exception) -> str:
    """Returns what to do about what Google's client raised."""
    from google.auth.exceptions import GoogleAuthError

    code = getattr(error, "code", None)
    if isinstance(error, GoogleAuthError) or code == HTTPStatus.UNAUTHORIZED:
        return (
            "Give credentials as Google's client finds them: GOOGLE_APPLICATION_CREDENTIALS, "
            "`gcloud auth application-default login`, or a service account."
        )
    if code == HTTPStatus.FORBIDDEN:
        return "Give the caller rights on the bucket and its objects."
    if code == HTTPStatus.NOT_FOUND:
        return "Check the bucket's name."
    return "Check the network, then try again."


def _conflict(where: str) -> WriteConflict:
    return WriteConflict(
        f"Expected {where} as it was read, received another content: somebody else wrote it "
        "meanwhile. Read it again."
    )
