"""Roll-outs only grow until they are taken back, and a device's place in them is its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.contracts.rollout_record import (
    ROLLOUT_POINTER,
    ROLLOUT_RECORD,
    Rollout,
    RolloutState,
    Stage,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.edge.edge_bundle import rollout
from tfx_loop.edge.edge_bundle.on_device import BundleError, device_fraction, resolve
from tfx_loop.edge.edge_bundle.rollout import DEFAULT_STAGES

EMPTY = Rollout(name="digits")
A, B, C = ("a" * 64, "b" * 64, "c" * 64)
DEVICES = [f"device-{i}" for i in range(400)]


def publish(before, digest, **settings):
    return rollout.published(before, digest, now_ms=1, **settings)[0]


def to_the_end(before, version):
    stages = len(before.release(version).stages)
    return rollout.promoted(before, version, to_stage=stages, now_ms=2)


def two_versions():
    """Version 1 is stable, version 2 a candidate at its first stage."""
    return publish(to_the_end(publish(EMPTY, A), 1), B)


def on(current, version, group="default"):
    found = {d: resolve(ROLLOUT_POINTER.content(current.pointer), d, group) for d in DEVICES}
    return {d for d, entry in found.items() if entry and entry["version"] == version}


def test_a_version_reaches_stage_after_stage():
    current = two_versions()
    assert len(on(current, 2, "canary")) == len(DEVICES)
    assert on(current, 2) == set()
    current = rollout.promoted(current, 2, now_ms=3)
    tenth = on(current, 2)
    assert 20 <= len(tenth) <= 60
    assert on(current, 1) == set(DEVICES) - tenth
    current = rollout.promoted(current, 2, now_ms=4)
    assert tenth < on(current, 2)
    current = rollout.promoted(current, 2, now_ms=5)
    assert (current.stable.version, current.candidate) == (2, None)
    assert current.release(1).state is RolloutState.RETIRED
    assert current.stable.replaced == 1
    assert on(current, 2) == on(current, 2, "a group without stage") == set(DEVICES)


def test_devices_of_no_group_wait_for_the_end():
    current = rollout.promoted(two_versions(), 2, to_stage=3, now_ms=3)
    assert on(current, 1, "elsewhere") == set(DEVICES)


@given(st.text(), st.integers(1, 99), st.text(), st.floats(1, 100), st.floats(1, 100))
def test_a_device_that_is_in_at_a_share_is_in_at_a_larger_one(name, version, device, p, q):
    def version_at(percent):
        pointer = {
            "schema_version": 1,
            "name": name,
            "stable": {"version": 0, "digest": A},
            "candidate": {"version": version, "digest": B, "percent": {"g": percent}},
        }
        return resolve(pointer, device, "g")["version"]

    small, large = min(p, q), max(p, q)
    assert version_at(small) == 0 or version_at(large) == version
    assert version_at(100.0) == version


actions = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from([A, B, C])),
        st.tuples(st.just("promote"), st.integers(1, 6)),
        st.tuples(st.just("roll_back"), st.integers(1, 6)),
    ),
    max_size=25,
)


@given(actions)
def test_whatever_happens_devices_find_a_published_version(todo):
    """At most one stable and one candidate; history counts; JSON keeps all; shares only grow."""
    current = EMPTY
    for action, value in todo:
        before = current
        try:
            if action == "publish":
                current = publish(current, value)
            elif action == "promote":
                current = rollout.promoted(current, value, now_ms=2)
            else:
                current = rollout.rolled_back(current, value, reason="r", now_ms=3)
        except ConfigError:
            assert current == before
            continue
        states = [r.state for r in current.releases]
        assert states.count(RolloutState.STABLE) <= 1
        assert states.count(RolloutState.CANDIDATE) <= 1
        assert [e.revision for e in current.history] == list(range(1, current.revision + 1))
        assert current.history[: before.revision] == before.history
        if before.stable:
            assert current.stable, "a place that served a version serves one"
        if action == "promote":
            old, new = before.release(value).percent(), current.release(value).percent()
            assert all(new[group] >= share for group, share in old.items())
        if action == "roll_back":
            for group in ("canary", "default"):
                assert on(current, value, group) == set()
        assert ROLLOUT_RECORD.value(ROLLOUT_RECORD.content(current)) == current
        entries = [ROLLOUT_POINTER.content(current.pointer)[k] for k in ("stable", "candidate")]
        assert {e["digest"] for e in entries if e} <= {r.digest for r in current.releases}


def test_a_later_stage_with_a_smaller_share_takes_the_version_from_nobody():
    stages = [Stage("default", percent) for percent in (50.0, 10.0, 100.0)]
    current = publish(to_the_end(publish(EMPTY, A), 1), B, stages=stages)
    half = on(current, 2)
    assert half
    assert on(rollout.promoted(current, 2, now_ms=3), 2) == half


def test_another_version_begins_with_other_devices():
    first = sorted(DEVICES, key=lambda d: device_fraction("digits", 1, d))[:40]
    second = sorted(DEVICES, key=lambda d: device_fraction("digits", 2, d))[:40]
    assert len(set(first) & set(second)) < 20


def test_shares_are_what_they_say():
    fractions = [device_fraction("digits", 1, f"d{i}") for i in range(20_000)]
    for share in (0.01, 0.1, 0.5):
        found = sum(f < share for f in fractions) / len(fractions)
        assert abs(found - share) < 4 * (share * (1 - share) / len(fractions)) ** 0.5


def test_publishing_the_same_bundle_again_changes_nothing():
    current = two_versions()
    assert publish(current, B) == current
    assert publish(current, A) == current


def test_a_newer_candidate_supersedes_and_nobody_is_lost():
    current = publish(two_versions(), C)
    assert current.release(2).state is RolloutState.SUPERSEDED
    assert (current.candidate.version, current.stable.version) == (3, 1)
    assert on(current, 2, "canary") == set()


def test_a_resumed_run_does_not_undo_a_roll_back():
    current = publish(to_the_end(publish(EMPTY, A), 1), B, run_id="run-7")
    current = rollout.rolled_back(current, 2, reason="hot", now_ms=3)
    again, release = rollout.published(current, B, run_id="run-7", now_ms=4)
    assert again == current
    assert release.state is RolloutState.ROLLED_BACK
    by_another, release = rollout.published(current, B, run_id="run-8", now_ms=4)
    assert (release.version, by_another.candidate.version) == (3, 3)


def test_a_candidate_is_rolled_back_to_what_is_stable():
    current = rollout.rolled_back(two_versions(), 2, reason="wrong answers", now_ms=3)
    assert on(current, 1, "canary") == set(DEVICES)
    assert current.release(2).reason == "wrong answers"
    assert rollout.rolled_back(current, 2, reason="again", now_ms=4) == current


def test_a_stable_version_is_rolled_back_to_the_one_before():
    current = to_the_end(two_versions(), 2)
    current = rollout.rolled_back(current, 2, reason="slow", now_ms=3)
    assert current.stable.version == 1
    with pytest.raises(ConfigError, match="Publish another"):
        rollout.rolled_back(current, 1, reason="slow", now_ms=4)


def test_a_promotion_that_is_repeated_changes_nothing():
    current = rollout.promoted(two_versions(), 2, to_stage=2, now_ms=3)
    assert rollout.promoted(current, 2, to_stage=2, now_ms=4) == current
    assert rollout.promoted(current, 2, to_stage=1, now_ms=4) == current


@pytest.mark.parametrize(("version", "stage"), [(9, None), (2, 5), (2, 0)])
def test_what_cannot_be_promoted(version, stage):
    with pytest.raises(ConfigError):
        rollout.promoted(two_versions(), version, to_stage=stage, now_ms=3)


def test_no_version_before_the_first_reaches_a_device():
    pointer = ROLLOUT_POINTER.content(publish(EMPTY, A).pointer)
    assert resolve(pointer, "d", "default") is None
    assert resolve(pointer, "d", "canary")["version"] == 1


@pytest.mark.parametrize(
    "pointer",
    [
        {},
        [],
        {"schema_version": 2},
        {"schema_version": 1, "name": "n", "stable": 3, "candidate": None},
        {"schema_version": 1, "name": "n", "stable": None},
        {
            "schema_version": 1,
            "name": "n",
            "stable": {"version": 1, "digest": "../../etc"},
            "candidate": None,
        },
    ],
)
def test_a_pointer_that_is_not_one(pointer):
    with pytest.raises(BundleError):
        resolve(pointer, "d", "g")


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan")])
def test_stages_have_a_share(percent):
    with pytest.raises(ConfigError, match="percentage"):
        Stage("canary", percent)


def test_a_roll_out_needs_a_stage():
    with pytest.raises(ConfigError, match="at least one stage"):
        publish(EMPTY, A, stages=())


@pytest.mark.parametrize(
    "damage",
    [
        {"schema_version": 9},
        {"releases": [{}]},
        {"releases": None},
        {"history": [{"x": 1}]},
    ],
)
def test_a_record_that_is_damaged(damage):
    content = {**ROLLOUT_RECORD.content(two_versions()), **damage}
    with pytest.raises(DataError, match=r"rollout\.json"):
        ROLLOUT_RECORD.value(content)


def test_the_default_stages_end_with_all():
    assert DEFAULT_STAGES[-1].percent == 100.0
