"""The archive in S3, under a key that holds its digest: written once, and read back.

What lies under a digest never changes, so that two pushes of one model share it, and one that was
killed finds the parts that it had uploaded.
"""

import base64
import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.sagemaker_pusher.archive import ModelArchive, digest_of
from tfx_loop.deployment.sagemaker_pusher.client import (
    S3,
    Aws,
    AwsRefusal,
    has_object,
    is_absent,
)

_LOG = logging.getLogger(__name__)
# A part is repeated whole where it fails; S3 takes at most 10,000 of at least 5 MiB, so that an
# archive may have 640 GB.
PART_BYTES = 64 * 1024 * 1024
ARCHIVE_NAME = "model.tar.gz"


@dataclass(frozen=True, kw_only=True)
class StoredArchive:
    """Where an archive is, or is to be.

    Attributes:
        bucket: The bucket.
        key: The object.
    """

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}"


def place_of(archive: ModelArchive, bucket: str, prefix: str) -> StoredArchive:
    """Returns where an archive belongs: `PREFIX/models/SHA256/model.tar.gz`."""
    parts = (prefix.strip("/"), "models", archive.sha256, ARCHIVE_NAME)
    return StoredArchive(bucket=bucket, key="/".join(part for part in parts if part))


def upload(
    aws: Aws, archive: ModelArchive, place: StoredArchive, part_bytes: int = PART_BYTES
) -> bool:
    """Uploads an archive, unless it is there, and checks what S3 holds then.

    Args:
        aws: Carries out the calls.
        archive: What is uploaded.
        place: Where to.
        part_bytes: Size of a part; a larger archive goes in parts.

    Returns:
        Whether anything was uploaded.

    Raises:
        DataError: Something else lies under its key.
        AwsRefusal, AwsUnavailable: S3 did not carry out a call.
    """
    head = _head(aws, place)
    uploaded = head is None
    if head is None:
        try:
            if archive.path.stat().st_size <= part_bytes:
                _put(aws, archive, place)
            else:
                _put_parts(aws, archive, place, part_bytes)
        except AwsRefusal as error:
            # Another push of the same model was faster.
            if not has_object(error):
                raise
            uploaded = False
        head = _head(aws, place)
    _check(aws, archive, place, head, part_bytes)
    _LOG.info("archive uri=%s uploaded=%s", place.uri, uploaded)
    return uploaded


def _put(aws: Aws, archive: ModelArchive, place: StoredArchive) -> None:
    aws.call(
        S3,
        "put_object",
        Bucket=place.bucket,
        Key=place.key,
        Body=archive.path.read_bytes(),
        IfNoneMatch="*",
        ChecksumSHA256=_base64(bytes.fromhex(archive.sha256)),
    )


def _put_parts(aws: Aws, archive: ModelArchive, place: StoredArchive, part_bytes: int) -> None:
    address = {"Bucket": place.bucket, "Key": place.key}
    begun = _begun(aws, place)
    if not begun:
        made = aws.call(
            S3,
            "create_multipart_upload",
            **address,
            ChecksumAlgorithm="SHA256",
            ChecksumType="COMPOSITE",
        )
        begun = [str(made["UploadId"])]
    upload_id = begun[0]
    there = {
        int(part["PartNumber"]): part
        for part in aws.pages(S3, "list_parts", "Parts", **address, UploadId=upload_id)
    }
    parts = []
    for number, content in enumerate(_parts_of(archive, part_bytes), 1):
        checksum = _base64(hashlib.sha256(content).digest())
        held = there.get(number)
        if held is None or not _same_part(held, content, checksum):
            held = aws.call(
                S3,
                "upload_part",
                **address,
                UploadId=upload_id,
                PartNumber=number,
                Body=content,
                ChecksumSHA256=checksum,
            )
        parts.append({"PartNumber": number, "ETag": held["ETag"], "ChecksumSHA256": checksum})
    aws.call(
        S3,
        "complete_multipart_upload",
        **address,
        UploadId=upload_id,
        MultipartUpload={"Parts": parts},
        IfNoneMatch="*",
    )
    # Parts that nobody completes are paid for.
    for left in begun[1:]:
        aws.call(S3, "abort_multipart_upload", **address, UploadId=left)


def _begun(aws: Aws, place: StoredArchive) -> list[str]:
    """Returns the uploads of this key that a killed push left, newest first."""
    uploads = aws.pages(
        S3, "list_multipart_uploads", "Uploads", Bucket=place.bucket, Prefix=place.key
    )
    own = [upload for upload in uploads if upload["Key"] == place.key]
    own.sort(key=lambda upload: str(upload.get("Initiated", "")), reverse=True)
    return [str(upload["UploadId"]) for upload in own]


def _same_part(held: Mapping[str, Any], content: bytes, checksum: str) -> bool:
    if held.get("ChecksumSHA256"):
        return bool(held["ChecksumSHA256"] == checksum)
    # A store that keeps no SHA-256 of parts has their MD5 as ETag.
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return held["Size"] == len(content) and str(held["ETag"]).strip('"') == etag


def _check(
    aws: Aws,
    archive: ModelArchive,
    place: StoredArchive,
    head: Mapping[str, Any] | None,
    part_bytes: int,
) -> None:
    """Compares what S3 holds with the archive: by its SHA-256 if S3 keeps it, or read back."""
    size = archive.path.stat().st_size
    if head is not None and head["ContentLength"] == size:
        told = str(head.get("ChecksumSHA256", ""))
        if told == _base64(bytes.fromhex(archive.sha256)):
            return
        if "-" in told and told == _composite(archive, part_bytes):
            return
        found = aws.call(S3, "get_object", Bucket=place.bucket, Key=place.key)
        if digest_of(found["Body"]) == archive.sha256:
            return
    held = "no object" if head is None else f"another one of {head['ContentLength']} bytes"
    raise DataError(
        f"Expected the archive of SHA-256 {archive.sha256} and {size} bytes at {place.uri}, "
        f"received {held}. Remove it, then run again."
    )


def _head(aws: Aws, place: StoredArchive) -> dict[str, Any] | None:
    try:
        return aws.call(
            S3, "head_object", Bucket=place.bucket, Key=place.key, ChecksumMode="ENABLED"
        )
    except AwsRefusal as error:
        if is_absent(error):
            return None
        raise


def _composite(archive: ModelArchive, part_bytes: int) -> str:
    """Returns S3's checksum of an object in parts: the SHA-256 of those of the parts, and how many.

    "Checking object integrity" in S3's user guide.
    """
    digests = [hashlib.sha256(part).digest() for part in _parts_of(archive, part_bytes)]
    return f"{_base64(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def _parts_of(archive: ModelArchive, part_bytes: int) -> Iterator[bytes]:
    with archive.path.open("rb") as file:
        while content := file.read(part_bytes):
            yield content


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
