"""A pusher that dies between any two writes to a bucket: old or new serves, and never half of it.

On moto's S3 and on fake-gcs-server. Each write before which it may die is a call of the bucket's
own client; from then on no handler and no thread of the dead gets to write.
"""

import functools

import pytest
from bucket_desk import BucketWatcher, FastClock, pusher
from object_stores import GCS, S3, object_store
from push_desk import Desk, Killed

from tfx_loop.contracts.deployment_record import DeploymentState, read_record
from tfx_loop.core.bucket.client import GcsBucket, S3Bucket, open_bucket
from tfx_loop.deployment.live_rollout import LiveRollout

pytestmark = pytest.mark.slow

KINDS = {S3: S3Bucket, GCS: GcsBucket}
WRITES = ("put", "upload", "copy", "remove")
WHOLE = {"saved_model.pb", "variables/part-0"}


@pytest.fixture(scope="module", params=[S3, GCS])
def store(request):
    with object_store(request.param, "models") as address:
        yield address


class Death:
    """Lets whoever writes to a bucket die before the n-th write."""

    def __init__(self, monkeypatch, kind) -> None:
        self.count, self.last, self.dead = 0, None, False
        for name in WRITES:
            monkeypatch.setattr(kind, name, self._counted(getattr(kind, name)))

    def before(self, step, work) -> bool:
        """Does some work, and says whether it died."""
        self.count, self.last, self.dead = 0, step, False
        try:
            work()
        except Killed:
            return True
        finally:
            self.last, self.dead = None, False
        return False

    def _counted(self, real):
        def write(bucket, *args):
            if self.dead or self.count == self.last:
                self.dead = True
                raise Killed
            self.count += 1
            return real(bucket, *args)

        return write


class Scene:
    """A base path with a version that serves, and a pusher that dies."""

    def __init__(self, store, name, folder, monkeypatch) -> None:
        self.base = f"{store}/{name}"
        self.death = Death(monkeypatch, KINDS[store.partition(":")[0]])
        self.run = pusher(Desk(folder), self.base, FastClock())
        self.watcher = BucketWatcher(self.base)
        self.bucket, self.withdraws = open_bucket(self.base), False

    @property
    def stable(self):
        return read_record(self.base, "flights").stable.version

    def dies_in_each(self, work, first=0, stride=1) -> int:
        """Dies in a work, `stride` writes later each time, until it gets through."""
        step, died = first, 0
        while self.death.before(step, functools.partial(work, step)):
            self.holds_whole_versions(f"died before write {step}")
            # Whoever comes next takes over.
            version = self.run(f"next-{step}", f"next-{step}", keep_versions=2).version
            assert (self.watcher.serving, self.stable) == (version, version)
            states = [one.state for one in read_record(self.base, "flights").versions]
            assert states.count(DeploymentState.STABLE) == 1
            assert DeploymentState.PUSHING not in states
            died, step = died + 1, step + stride
        return died

    def holds_whole_versions(self, when) -> None:
        serving, stable = self.watcher.serving, self.stable
        files = self.watcher.seen[-1]
        loadable = {number: held for number, held in files.items() if "saved_model.pb" in held}
        assert all(held >= WHOLE for held in loadable.values()), when
        assert serving in loadable, when
        # Where a server takes the highest number, a roll-back withdraws what serves before it says
        # so: the version to which it goes answers by then.
        assert self.withdraws or stable in loadable, when
        record = read_record(self.base, "flights")
        for number in {serving, stable} & set(loadable):
            content = self.bucket.get(f"{number}/saved_model.pb")[0].decode()
            assert record.version(number).model_uri == f"/artifacts/{content}", when


def pushes(store, tmp_path, monkeypatch, first, stride):
    scene = Scene(store, f"push-{stride}", tmp_path, monkeypatch)
    scene.run("first", "first")

    def work(step):
        scene.run(f"new-{step}", f"new-{step}", keep_versions=2)

    return scene.dies_in_each(work, first, stride)


def test_push_that_dies_leaves_old_or_new(store, tmp_path, monkeypatch):
    # Once, within the copy; `make test-long` has each write.
    assert pushes(store, tmp_path, monkeypatch, first=3, stride=9) == 1


@pytest.mark.long
def test_push_that_dies_before_any_write_leaves_old_or_new(store, tmp_path, monkeypatch):
    # Lock, record, files, record, what is kept no longer, lock.
    assert pushes(store, tmp_path, monkeypatch, first=0, stride=1) >= 7


@pytest.mark.long
def test_roll_back_that_dies_before_any_write_leaves_old_or_new(store, tmp_path, monkeypatch):
    scene = Scene(store, "back", tmp_path, monkeypatch)
    scene.withdraws = True
    for number in (1, 2):
        scene.run(f"m{number}", f"run-{number}")

    def work(step):
        record = read_record(scene.base, "flights")
        others = [
            one.version
            for one in record.versions
            if one.version != record.stable.version and one.state is DeploymentState.RETIRED
        ]
        LiveRollout(base_path=scene.base).roll_back(max(others), "wrong")

    assert scene.dies_in_each(work) >= 4
