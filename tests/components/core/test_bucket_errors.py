"""What a bucket's client raises ends in one line that says what to do."""

import pytest

from tfx_loop.core.bucket.client import S3Bucket
from tfx_loop.core.bucket.trees import open_tree
from tfx_loop.core.errors import DataError

boto3 = pytest.importorskip("boto3")


@pytest.fixture
def bucket(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return S3Bucket("models", "taxi/")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDenied", "rights on the bucket"),
        ("NoSuchBucket", "bucket's name and region"),
        ("ExpiredToken", "renew them"),
        ("InvalidAccessKeyId", "AWS_PROFILE"),
        ("SlowDown", "then try again"),
    ],
)
def test_refusal_of_s3_says_what_to_do(bucket, code, remedy):
    from botocore.stub import Stubber

    with Stubber(bucket._client) as stub:
        stub.add_client_error("get_object", code, "no\nsecond line")
        with pytest.raises(OSError, match=rf"s3://models/taxi/a: .*{code}.*{remedy}") as error:
            bucket.get("a")
    assert "\n" not in str(error.value)


def test_captures_without_credentials_say_how_to_give_some(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(DataError, match=r"locate credentials.*Give credentials.*or a role"):
        open_tree("s3://models/taxi/capture").folders("")


@pytest.mark.parametrize(
    ("raised", "remedy"),
    [
        ("Forbidden", "rights on the bucket"),
        ("Unauthorized", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("NotFound", "bucket's name"),
        ("ServiceUnavailable", "then try again"),
    ],
)
def test_refusal_of_google_says_what_to_do(raised, remedy):
    exceptions = pytest.importorskip("google.api_core.exceptions")
    from tfx_loop.core.bucket.client import _gcs_remedy

    assert remedy in _gcs_remedy(getattr(exceptions, raised)("a test"))
