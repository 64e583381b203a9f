"""Publishing on a real folder: killed anywhere, raced, repeated; and on TensorFlow's ram bucket."""

import itertools
import json
import multiprocessing
import os
import shutil
import threading

import pytest
import tiny_bundle
from time_limits import seconds

from tfx_loop.contracts.rollout_record import ROLLOUT_POINTER, ROLLOUT_RECORD, RolloutState
from tfx_loop.core.errors import ConfigError, DataError, ModelError
from tfx_loop.edge.edge_bundle.bundle import open_bundle
from tfx_loop.edge.edge_bundle.on_device import POINTER, Model, resolve
from tfx_loop.edge.edge_bundle.publish import promote, publish, read_rollout, roll_back
from tfx_loop.edge.edge_bundle.store import FolderStore, open_store

# A child that is forked runs one publication and may be killed in it; TensorFlow is not loaded.
FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return [tiny_bundle.build(folder / label, label) for label in ("one", "two", "three")]


def now():
    return 1_700_000_000_000


def pointer_of(base):
    return json.loads((base / POINTER).read_text())


def check_devices(base):
    """What every device may be given is a whole bundle that gives its golden answers."""
    if not (base / POINTER).exists():
        return
    pointer = pointer_of(base)
    for entry in (pointer["stable"], pointer["candidate"]):
        if entry is not None:
            Model(base / "bundles" / entry["digest"], entry["digest"])


def names_below(base):
    return sorted(p.name for p in (base / "bundles").iterdir())


def test_a_bundle_is_published_promoted_and_rolled_back(tmp_path, bundles):
    store = open_store(str(tmp_path))
    first = publish(bundles[0], store, model_uri="/models/1", run_id="run-1", now_ms=now)
    assert (first.version, first.state, first.stage) == (1, RolloutState.CANDIDATE, 1)
    promote(store, 1, to_stage=4, now_ms=now)
    second = publish(bundles[1], store, run_id="run-2", now_ms=now)
    pointer = pointer_of(tmp_path)
    assert pointer["stable"] == {"version": 1, "digest": bundles[0].digest}
    assert pointer["candidate"]["percent"] == {"canary": 100.0}
    assert resolve(pointer, "d", "canary")["version"] == second.version == 2
    roll_back(store, 2, reason="wrong answers", now_ms=now)
    assert resolve(pointer_of(tmp_path), "d", "canary")["version"] == 1
    told = read_rollout(store, "tiny")
    assert [e.action for e in told.history][-2:] == ["promote", "roll_back"]
    assert told.release(2).reason == "wrong answers"
    assert told.release(1).model_uri == "/models/1"
    assert names_below(tmp_path) == sorted(b.digest for b in bundles[:2])
    check_devices(tmp_path)


def test_publishing_again_changes_no_file(tmp_path, bundles):
    store = open_store(str(tmp_path))
    first = publish(bundles[0], store, now_ms=now)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert publish(bundles[0], store, now_ms=lambda: now() + 1) == first
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_damaged_bundle_is_not_published(tmp_path, bundles):
    shutil.copytree(bundles[0].folder, tmp_path / "damaged")
    damaged = open_bundle(tmp_path / "damaged")
    (tmp_path / "damaged" / "tflite").write_bytes(b"cut")
    with pytest.raises(ModelError, match="tflite"):
        publish(damaged, open_store(str(tmp_path / "base")), now_ms=now)
    assert not (tmp_path / "base").exists()


def test_a_bundle_damaged_in_its_place_is_put_again(tmp_path, bundles):
    store = open_store(str(tmp_path))
    publish(bundles[0], store, now_ms=now)
    (tmp_path / "bundles" / bundles[0].digest / "tflite").write_bytes(b"cut")
    publish(bundles[0], store, now_ms=now)
    check_devices(tmp_path)


def test_a_place_belongs_to_one_name(tmp_path, bundles):
    store = open_store(str(tmp_path))
    publish(bundles[0], store, now_ms=now)
    other = tiny_bundle.build(tmp_path / "other", name="other")
    with pytest.raises(DataError, match="base path of its own"):
        publish(other, store, now_ms=now)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"{}"])
def test_a_damaged_record_is_not_written_over(tmp_path, bundles, content):
    (tmp_path / ROLLOUT_RECORD.name).write_bytes(content)
    with pytest.raises(DataError, match=r"rollout\.json"):
        publish(bundles[0], open_store(str(tmp_path)), now_ms=now)
    assert (tmp_path / ROLLOUT_RECORD.name).read_bytes() == content


def test_nothing_to_promote_where_nothing_was_published(tmp_path):
    with pytest.raises(DataError, match="Publish a bundle there first"):
        promote(open_store(str(tmp_path)), 1, now_ms=now)


def test_a_version_that_is_unknown_is_named(tmp_path, bundles):
    store = open_store(str(tmp_path))
    publish(bundles[0], store, now_ms=now)
    with pytest.raises(ConfigError, match=r"received 5\. Published: \[1\]"):
        roll_back(store, 5, reason="", now_ms=now)


# Killed at any point

WATCHED = [
    (os, "rename"),
    (os, "replace"),
    (os, "fsync"),
    (os, "mkdir"),
    (shutil, "copyfile"),
]


def _die_at(call, action):
    """Runs in a fork: dies as of a power cut at the n-th operation on files, before or after it."""
    count = 0
    for module, name in WATCHED:
        real = getattr(module, name)

        def counting(*args, _real=real, **kwargs):
            nonlocal count
            count += 1
            if count == call:
                os._exit(9)
            result = _real(*args, **kwargs)
            count += 1
            if count == call:
                os._exit(9)
            return result

        setattr(module, name, counting)
    action()
    os._exit(0)


def killed_at(call, action):
    """Returns whether the fork died of it; False when it finished before that operation."""
    child = FORK.Process(target=_die_at, args=(call, action))
    child.start()
    child.join(seconds(60))
    assert child.exitcode in (0, 9)
    return child.exitcode == 9


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["publish", "promote", "roll_back"])
def test_killed_at_any_point_devices_find_a_whole_bundle(tmp_path, bundles, kind):
    """Before and after each operation on files; the same action repeated completes it."""
    for call in itertools.count(1):
        base = tmp_path / str(call)
        store = FolderStore(str(base))
        publish(bundles[0], store, now_ms=now)
        promote(store, 1, to_stage=4, now_ms=now)
        action = {
            "publish": lambda store=store: publish(bundles[1], store, now_ms=now),
            "promote": lambda store=store: promote(store, 2, to_stage=2, now_ms=now),
            "roll_back": lambda store=store: roll_back(store, 2, reason="r", now_ms=now),
        }
        if kind != "publish":
            action["publish"]()
        killed = killed_at(call, action[kind])
        check_devices(base)
        action[kind]()
        check_devices(base)
        told = read_rollout(store, "tiny")
        assert pointer_of(base) == ROLLOUT_POINTER.content(told.pointer)
        assert [r.version for r in told.releases] == [1, 2]
        assert names_below(base) == sorted(b.digest for b in bundles[:2])
        if not killed:
            break
    assert call > (20 if kind == "publish" else 8)


@pytest.mark.slow
def test_the_crash_points_are_real(tmp_path, bundles):
    """The first operation kills before anything is there; far beyond the last none does."""
    store = FolderStore(str(tmp_path / "early"))
    assert killed_at(1, lambda: publish(bundles[0], store, now_ms=now))
    assert not (tmp_path / "early" / POINTER).exists()
    assert not killed_at(500, lambda: publish(bundles[0], store, now_ms=now))
    check_devices(tmp_path / "early")


# Two publishers


@pytest.mark.slow
def test_publishers_at_once_each_get_a_version(tmp_path, bundles):
    def run(bundle):
        publish(bundle, FolderStore(str(tmp_path)), run_id=bundle.digest, now_ms=now)

    children = [FORK.Process(target=run, args=(b,)) for b in bundles * 3]
    for child in children:
        child.start()
    for child in children:
        child.join(seconds(60))
    assert [child.exitcode for child in children] == [0] * 9
    told = read_rollout(FolderStore(str(tmp_path)), "tiny")
    assert sorted(r.digest for r in told.releases) == sorted(b.digest for b in bundles)
    assert sorted(r.version for r in told.releases) == [1, 2, 3]
    assert pointer_of(tmp_path)["revision"] == told.revision
    assert names_below(tmp_path) == sorted(b.digest for b in bundles)


class UnlockedStore(FolderStore):
    """A place without lock, as a bucket is."""

    def __init__(self, base_path, between):
        super().__init__(base_path)
        self._between = between

    def locked(self):
        import contextlib

        return contextlib.nullcontext()

    def write(self, name, content):
        if name == ROLLOUT_RECORD.name:
            self._between()
        super().write(name, content)


def test_a_record_that_another_wrote_over_is_written_again(tmp_path, bundles):
    """Another publisher read before our write and writes after it: ours is lost, and made again."""
    base = str(tmp_path)
    publish(bundles[0], FolderStore(base), now_ms=now)
    old = FolderStore(base).read(ROLLOUT_RECORD.name)
    todo = ["lose it"]

    class Losing(UnlockedStore):
        def write(self, name, content):
            super().write(name, content)
            if name == ROLLOUT_RECORD.name and todo:
                todo.pop()
                FolderStore(base).write(name, old)

    release = publish(bundles[1], Losing(base, lambda: None), now_ms=now)
    told = read_rollout(FolderStore(base), "tiny")
    assert told.candidate.version == release.version == 2
    assert pointer_of(tmp_path)["candidate"]["digest"] == bundles[1].digest


def test_without_lock_another_s_version_is_not_lost(tmp_path, bundles):
    """Another publisher's whole change falls between our reading and our writing."""
    base = str(tmp_path)
    todo = [bundles[0], bundles[2]]

    class Interrupted(UnlockedStore):
        reads = 0

        def read(self, name):
            content = super().read(name)
            if name == ROLLOUT_RECORD.name:
                self.reads += 1
                if self.reads % 2 == 1 and todo:
                    publish(todo.pop(), FolderStore(base), now_ms=now)
            return content

    publish(bundles[1], Interrupted(base, lambda: None), now_ms=now)
    told = read_rollout(FolderStore(base), "tiny")
    assert {r.digest for r in told.releases} == {b.digest for b in bundles}
    assert [r.version for r in told.releases] == [1, 2, 3]


def test_the_lock_keeps_others_waiting(tmp_path, bundles):
    store = FolderStore(str(tmp_path))
    done = []
    with store.locked():
        other = threading.Thread(target=lambda: done.append(publish(bundles[0], store, now_ms=now)))
        other.start()
        other.join(0.3)
        assert done == []
    other.join(seconds(30))
    assert [r.version for r in done] == [1]
