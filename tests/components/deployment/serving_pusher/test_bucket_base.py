"""A base path in a bucket: conditional writes, versions that are whole when they can be loaded.

The stores are moto's server, which compares ETags as S3 does, and fake-gcs-server, which compares
generations as Google Cloud Storage does.
"""

import threading
import time

import boto3
import pytest
from bucket_desk import BucketWatcher, pusher
from object_stores import GCS, S3, object_store
from push_desk import Desk

from tfx_loop.contracts.deployment_record import DeploymentState, read_record
from tfx_loop.core.bucket.client import GcsBucket, S3Bucket, open_bucket
from tfx_loop.core.bucket.files import BucketFiles, conditional_files
from tfx_loop.core.conditional_files import ABSENT
from tfx_loop.core.errors import ConfigError, ModelRejected, WriteConflict
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.deployment.live_rollout import LiveRollout

# Real servers of object stores, and clients that take a second to import.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[S3, GCS])
def store(request):
    with object_store(request.param, "models") as address:
        yield address


@pytest.fixture
def base(store, request):
    return f"{store}/{request.node.name.partition('[')[0]}"


def test_a_write_rests_on_what_was_read(base):
    files = conditional_files(base)
    assert isinstance(files, BucketFiles)
    assert files.read("a") == files.read("b")
    first = files.replace("a", b"1", ABSENT)
    with pytest.raises(WriteConflict):
        files.replace("a", b"2", ABSENT)
    second = files.replace("a", b"2", first)
    with pytest.raises(WriteConflict):
        files.replace("a", b"3", first)
    removed = files.replace("a", None, second)
    assert files.read("a").content is None
    with pytest.raises(WriteConflict):
        files.replace("a", b"4", ABSENT)
    assert files.replace("a", b"4", removed)


def test_two_hosts_hold_the_lock_one_after_the_other(base):
    holding, most = [], []

    def host(number):
        # A client of its own, as on another machine: no lock of the kernel helps.
        terms = LockTerms(name=".push.json", holder=f"host {number}", token=str(number))
        lock = ExpiringLock(conditional_files(base), terms, time.monotonic, time.sleep)
        with lock.held(60):
            holding.append(number)
            most.append(len(holding))
            lock.check()
            time.sleep(0.05)
            holding.remove(number)

    threads = [threading.Thread(target=host, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_pushes_to_a_bucket_are_whole_recorded_and_withdrawn(base, tmp_path):
    desk = Desk(tmp_path)
    run = pusher(desk, base)
    assert run("m1", "run-1").version == 1
    assert run("m2", "run-2").version == 2

    def rejected(version):
        raise ModelRejected("Expected another answer.")

    with pytest.raises(ModelRejected):
        run("m3", "run-3", check=rejected)
    record = read_record(base, "flights")
    states = {v.version: v.state for v in record.versions}
    assert states == {
        1: DeploymentState.RETIRED,
        2: DeploymentState.STABLE,
        3: DeploymentState.FAILED,
    }
    bucket = open_bucket(base)
    assert list(bucket.names("3/")) == []
    names = sorted(bucket.names("2/"))
    assert "2/saved_model.pb" in names
    assert "2/variables/part-0" in names
    assert bucket.get("2/saved_model.pb")[0] == b"m2"
    assert run("m4", "run-4").version == 4
    assert run("m4", "run-4").version == 4, "a run that is resumed pushes once"


def test_no_reader_sees_a_model_without_its_files(base, tmp_path, monkeypatch):
    desk = Desk(tmp_path)
    watcher, seen = BucketWatcher(base), []
    kind = S3Bucket if base.startswith(S3) else GcsBucket
    for name in ("upload", "remove", "copy"):
        real = getattr(kind, name)

        def watched(self, *args, real=real):
            real(self, *args)
            watcher.status()
            seen.append(watcher.seen[-1])

        monkeypatch.setattr(kind, name, watched)
    run = pusher(desk, base)
    run("m1", "run-1")

    def rejected(version):
        raise ModelRejected("Expected another answer.")

    with pytest.raises(ModelRejected):
        run("m2", "run-2", check=rejected)
    run("m3", "run-3")
    LiveRollout(base_path=base).roll_back(1, "why not")
    LiveRollout(base_path=base).roll_back(3, "why not")
    assert watcher.serving == 3
    whole = {"saved_model.pb", "variables/part-0"}
    loadable = [files for look in seen for files in look.values() if "saved_model.pb" in files]
    assert loadable
    assert all(whole <= files for files in loadable)


def test_roll_back_serves_the_version_before_and_goes_on_when_it_was_interrupted(
    base, tmp_path, monkeypatch
):
    run, watcher, bucket = pusher(Desk(tmp_path), base), BucketWatcher(base), open_bucket(base)
    for number in (1, 2, 3):
        run(f"m{number}", f"run-{number}", keep_versions=2)
    removed = []

    def away(self, name):
        removed.append(name)
        raise OSError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "remove", away)
        with pytest.raises(OSError, match="away"):
            LiveRollout(base_path=base, lock_wait_seconds=1).roll_back(1, "wrong")
    assert removed == ["2/saved_model.pb"]
    assert read_record(base, "flights").stable.version == 3
    LiveRollout(base_path=base).roll_back(1, "wrong")
    record = read_record(base, "flights")
    assert (record.stable.version, watcher.serving) == (1, 1)
    assert record.version(3).state is DeploymentState.ROLLED_BACK
    LiveRollout(base_path=base).roll_back(3, "right")
    assert watcher.serving == 3
    assert bucket.get("3/saved_model.pb")[0] == b"m3"
    with pytest.raises(ConfigError, match="that was pushed, received 9"):
        LiveRollout(base_path=base).roll_back(9, "why not")


def test_versions_that_are_kept_no_longer_leave_no_objects(base, tmp_path):
    run, bucket = pusher(Desk(tmp_path), base), open_bucket(base)
    for number in (1, 2):
        run(f"m{number}", f"run-{number}")
    LiveRollout(base_path=base).roll_back(1, "wrong")
    for number in (3, 4, 5):
        run(f"m{number}", f"run-{number}", keep_versions=1)
    heads = {name.partition("/")[0] for name in bucket.names("")}
    assert heads == {"3", "4", "5", "deployment.json", ".push.json"}


def test_a_write_whose_answer_was_lost_is_no_conflict(base, monkeypatch):
    files = conditional_files(base)
    first = files.replace("a", b"1", ABSENT)
    kind = type(open_bucket(base))
    put = kind.put

    def twice(self, *args):
        # As a client does that got no answer.
        put(self, *args)
        return put(self, *args)

    monkeypatch.setattr(kind, "put", twice)
    second = files.replace("a", b"2", first)
    assert files.replace("a", b"3", second)
    with pytest.raises(WriteConflict):
        files.replace("a", b"4", second)
    assert files.read("a").content == b"3"


def test_what_a_store_refuses_is_an_os_error(base, tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    nowhere = open_bucket(base.replace("models", "no-such-bucket"))
    with pytest.raises(OSError, match="no-such-bucket"):
        nowhere.upload("a", tmp_path / "file")


@pytest.mark.parametrize("uri", ["http://x/y", "s3:///path"])
def test_other_addresses_are_refused(uri):
    with pytest.raises(ConfigError, match="s3://BUCKET"):
        open_bucket(uri)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AWS_PROFILE", "nope", "profile"),
        ("AWS_DEFAULT_REGION", "eu west 1", "region_name 'eu west 1'"),
        ("AWS_ENDPOINT_URL_S3", "nonsense", "Invalid endpoint: nonsense"),
    ],
)
def test_settings_of_aws_that_cannot_be_used_are_one_line(monkeypatch, variable, value, says):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=says) as error:
        open_bucket("s3://models/taxi")
    assert "\n" not in str(error.value)
    assert "AWS_PROFILE, AWS_DEFAULT_REGION" in str(error.value)
