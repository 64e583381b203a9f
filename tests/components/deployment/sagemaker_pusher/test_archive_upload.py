"""The archive in S3, on moto's server: written once, read back, resumed part by part."""

import hashlib
import random

import boto3
import pytest
from object_stores import S3, object_store

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.sagemaker_pusher.archive import ModelArchive
from tfx_loop.deployment.sagemaker_pusher.archive_upload import place_of, upload
from tfx_loop.deployment.sagemaker_pusher.client import Aws, AwsRefusal

pytestmark = pytest.mark.slow
# The least that S3 takes as a part which is not the last.
PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def s3():
    with object_store(S3, "archives"):
        yield boto3.client("s3")


@pytest.fixture(scope="module")
def aws(s3):
    return Aws("us-east-1", {"s3": s3})


class Recorded:
    """AWS, with the calls that were made, and a death before one of them."""

    def __init__(self, aws, dies_at=None):
        self.aws, self.calls, self.dies_at = aws, [], dies_at

    def call(self, service, operation, **request):
        if len(self.calls) == self.dies_at:
            raise KeyboardInterrupt
        self.calls.append(operation)
        return self.aws.call(service, operation, **request)

    def pages(self, *args, **request):
        self.calls.append(args[1])
        return self.aws.pages(*args, **request)


def archive(folder, content):
    path = folder / "model.tar.gz"
    path.write_bytes(content)
    return ModelArchive(path=path, sha256=hashlib.sha256(content).hexdigest(), name="taxi")


def large(seed):
    return random.Random(seed).randbytes(2 * PART + 1000)


def held(s3, place):
    return s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()


def test_key_holds_the_digest(tmp_path):
    made = archive(tmp_path, b"model")
    place = place_of(made, "archives", "taxi/")
    assert place.uri == f"s3://archives/taxi/models/{made.sha256}/model.tar.gz"


def test_archive_is_uploaded_once(aws, s3, tmp_path):
    made = archive(tmp_path, b"model")
    place = place_of(made, "archives", "once")
    assert upload(aws, made, place)
    assert not upload(aws, made, place)
    assert held(s3, place) == b"model"


def test_push_that_another_one_overtook_takes_what_is_there(aws, s3, tmp_path):
    made = archive(tmp_path, b"model")
    place = place_of(made, "archives", "overtaken")

    class Overtaken(Recorded):
        def call(self, service, operation, **request):
            if operation == "put_object":
                s3.put_object(Bucket=place.bucket, Key=place.key, Body=b"model")
            return super().call(service, operation, **request)

    overtaken = Overtaken(aws)
    assert not upload(overtaken, made, place)
    assert "put_object" in overtaken.calls


def test_other_content_under_the_key_is_refused_and_kept(aws, s3, tmp_path):
    made = archive(tmp_path, b"model")
    place = place_of(made, "archives", "other")
    s3.put_object(Bucket=place.bucket, Key=place.key, Body=b"m0del")
    with pytest.raises(DataError, match=r"received another one of 5 bytes\. Remove it"):
        upload(aws, made, place)
    assert held(s3, place) == b"m0del"


def test_parts_are_joined_and_read_back(aws, s3, tmp_path):
    content = large(0)
    made = archive(tmp_path, content)
    place = place_of(made, "archives", "parts")
    recorded = Recorded(aws)
    assert upload(recorded, made, place, part_bytes=PART)
    assert recorded.calls.count("upload_part") == 3
    assert hashlib.sha256(held(s3, place)).hexdigest() == made.sha256


@pytest.mark.parametrize("parts", [0, 1, 2, 3])
def test_killed_upload_goes_on_with_the_parts_that_are_there(aws, s3, tmp_path, parts):
    made = archive(tmp_path, large(parts))
    place = place_of(made, "archives", f"resumed-{parts}")
    # Before them: the head, the listings, and the upload's begin.
    killed = Recorded(aws, dies_at=4 + parts)
    with pytest.raises(KeyboardInterrupt):
        upload(killed, made, place, part_bytes=PART)
    assert killed.calls.count("upload_part") == parts
    resumed = Recorded(aws)
    assert upload(resumed, made, place, part_bytes=PART)
    assert resumed.calls.count("upload_part") == 3 - parts
    assert "create_multipart_upload" not in resumed.calls
    assert hashlib.sha256(held(s3, place)).hexdigest() == made.sha256
    left = s3.list_multipart_uploads(Bucket="archives").get("Uploads", [])
    assert [one for one in left if one["Key"] == place.key] == []


def test_part_of_another_archive_is_uploaded_anew(aws, s3, tmp_path):
    made = archive(tmp_path, large(7))
    place = place_of(made, "archives", "mixed")
    begun = s3.create_multipart_upload(
        Bucket=place.bucket, Key=place.key, ChecksumAlgorithm="SHA256"
    )
    s3.upload_part(
        Bucket=place.bucket,
        Key=place.key,
        UploadId=begun["UploadId"],
        PartNumber=1,
        Body=b"x" * PART,
    )
    resumed = Recorded(aws)
    upload(resumed, made, place, part_bytes=PART)
    assert resumed.calls.count("upload_part") == 3
    assert hashlib.sha256(held(s3, place)).hexdigest() == made.sha256


def test_bucket_that_is_not_there_says_so(aws, tmp_path):
    made = archive(tmp_path, b"model")
    with pytest.raises(AwsRefusal, match=r"received (404|NoSuchBucket)"):
        upload(aws, made, place_of(made, "no-such-bucket", ""))
