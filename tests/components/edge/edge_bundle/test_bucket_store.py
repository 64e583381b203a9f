"""A bucket is TensorFlow's in-memory file system here, through the same fileio as gs:// is."""

import json

import pytest
import ram_files
import tiny_bundle

from tfx_loop.edge.edge_bundle.on_device import MANIFEST, POINTER, resolve
from tfx_loop.edge.edge_bundle.publish import promote, publish, read_rollout, roll_back
from tfx_loop.edge.edge_bundle.store import BucketStore, open_store

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def bucket():
    ram_files.register()
    return "ram://devices"


def now():
    return 1


def test_a_bucket_holds_whole_bundles_and_a_pointer(bucket, tmp_path):
    store = open_store(f"{bucket}/tiny/")
    assert isinstance(store, BucketStore)
    bundle = tiny_bundle.build(tmp_path / "b")
    assert read_rollout(store, "tiny").releases == ()
    assert publish(bundle, store, now_ms=now).version == 1
    promote(store, 1, to_stage=4, now_ms=now)
    pointer = json.loads(store.read(POINTER))
    assert resolve(pointer, "d", "any") == {"version": 1, "digest": bundle.digest}
    for name in bundle.files:
        assert store.read(f"bundles/{bundle.digest}/{name}") == (bundle.folder / name).read_bytes()
    second = tiny_bundle.build(tmp_path / "c", "other")
    publish(second, store, now_ms=now)
    roll_back(store, 2, reason="r", now_ms=now)
    assert json.loads(store.read(POINTER))["candidate"] is None


def test_an_upload_that_broke_off_is_completed(bucket, tmp_path):
    """The manifest is uploaded last: without it there is no bundle yet."""
    store = open_store(f"{bucket}/broken")
    bundle = tiny_bundle.build(tmp_path / "b")

    class Dies(BucketStore):
        def write(self, name, content):
            if name.endswith("labels.txt"):
                raise KeyboardInterrupt
            super().write(name, content)

    with pytest.raises(KeyboardInterrupt):
        publish(bundle, Dies(store.base_path), now_ms=now)
    assert store.read(POINTER) is None
    assert store.read(f"bundles/{bundle.digest}/{MANIFEST}") is None
    publish(bundle, store, now_ms=now)
    assert store.read(f"bundles/{bundle.digest}/labels.txt") == b"a\nb\nc\n"
