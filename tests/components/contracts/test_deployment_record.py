"""The deployment record: what serves, what served, and numbers that are never used again."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
    model_digest,
    read_record,
)
from tfx_loop.core.errors import DataError

states = st.sampled_from(list(DeploymentState))
FIRST = Deployment(
    version=1,
    model_digest="sha256:00",
    model_uri="/artifacts/model/7",
    reference_profile_uri="/artifacts/profile/8",
    variant="float",
    run_id="run-1",
    pushed_at_ms=1_362_096_000_000,
    replaced=None,
    state=DeploymentState.STABLE,
)


def deployment(version, state=DeploymentState.STABLE, **changes):
    return dataclasses.replace(FIRST, version=version, state=state, **changes)


def record_of(states):
    record = DeploymentRecord("flights")
    for state in states:
        record = record.with_version(deployment(record.next_version, state))
    return record


@given(st.lists(states, max_size=6))
def test_the_record_survives_a_round_trip(tmp_path_factory, states):
    folder = str(tmp_path_factory.mktemp("base"))
    record = record_of(states)
    DEPLOYMENT_RECORD.write(record, folder)
    assert read_record(folder, "flights") == record


@given(st.lists(states, max_size=12))
def test_one_version_at_most_is_stable_and_it_is_the_last_that_became_so(states):
    record = record_of(states)
    stable = [v.version for v in record.versions if v.state is DeploymentState.STABLE]
    expected = [
        number for number, state in enumerate(states, 1) if state is DeploymentState.STABLE
    ][-1:]
    assert stable == expected
    assert [record.stable.version] * len(stable) == stable if record.stable else not stable


@given(st.lists(states, min_size=1, max_size=6), st.integers(0, 5), states)
def test_a_number_is_never_used_again_not_even_of_a_failed_version(states, place, state):
    record = record_of(states)
    used = record.versions[place % len(states)]
    changed = record.with_version(dataclasses.replace(used, state=state))
    assert changed.next_version == record.next_version == len(states) + 1


def test_a_new_stable_version_retires_the_one_before():
    record = record_of([DeploymentState.STABLE, DeploymentState.FAILED, DeploymentState.STABLE])
    assert [v.state for v in record.versions] == [
        DeploymentState.RETIRED,
        DeploymentState.FAILED,
        DeploymentState.STABLE,
    ]


def test_a_push_that_is_under_way_or_failed_leaves_the_stable_version():
    record = record_of([DeploymentState.STABLE, DeploymentState.PUSHING])
    assert record.stable == deployment(1)
    assert record.with_version(deployment(2, DeploymentState.FAILED)).stable == deployment(1)


def test_the_file_reads_as_the_design_draws_it(tmp_path):
    record = record_of([DeploymentState.STABLE, DeploymentState.STABLE])
    DEPLOYMENT_RECORD.write(record, tmp_path)
    content = json.loads((tmp_path / "deployment.json").read_text())
    assert content["schema_version"] == 1
    assert content["model_name"] == "flights"
    assert content["stable"] == 2
    assert [v["state"] for v in content["versions"]] == ["retired", "stable"]
    assert set(content["versions"][0]) == {f.name for f in dataclasses.fields(Deployment)}


def test_before_the_first_push_the_record_is_empty(tmp_path):
    record = read_record(str(tmp_path / "never"), "flights")
    assert (record.stable, record.versions, record.next_version) == (None, (), 1)


def test_the_record_of_another_model_is_refused(tmp_path):
    DEPLOYMENT_RECORD.write(record_of([DeploymentState.STABLE]), str(tmp_path))
    with pytest.raises(DataError, match="Expected the deployment record of 'taxi'"):
        read_record(str(tmp_path), "taxi")


@pytest.mark.parametrize("version", [2, None, "1"])
def test_another_schema_is_refused(tmp_path, version):
    (tmp_path / "deployment.json").write_text(
        json.dumps({"schema_version": version, "model_name": "flights", "versions": []})
    )
    with pytest.raises(DataError, match="Expected a deployment record of schema_version 1"):
        read_record(str(tmp_path), "flights")


@pytest.mark.parametrize(
    "versions",
    [
        None,
        [{}],
        [{"state": "stable"}],
        [{**DEPLOYMENT_RECORD.content(record_of([DeploymentState.STABLE])), "state": "?"}],
    ],
)
def test_a_damaged_record_is_a_data_error_that_names_the_file(tmp_path, versions):
    content = {"schema_version": 1, "model_name": "flights", "versions": versions}
    (tmp_path / "deployment.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"Expected .* in .*deployment\.json, versions.*Push with"):
        read_record(str(tmp_path), "flights")


def test_the_digest_sees_names_contents_and_places(tmp_path):
    def digest(name, files):
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return model_digest(tmp_path / name)

    first = digest("a", {"saved_model.pb": b"1", "variables/x": b"2"})
    assert first == digest("b", {"variables/x": b"2", "saved_model.pb": b"1"})
    others = [
        digest("c", {"saved_model.pb": b"2", "variables/x": b"1"}),
        digest("d", {"saved_model.pb": b"1", "variables/y": b"2"}),
        digest("e", {"saved_model.pb": b"1", "x": b"2"}),
        digest("f", {"saved_model.pb": b"12", "variables/x": b""}),
    ]
    assert len({first, *others}) == 5
    assert first.startswith("sha256:")
    assert len(first) == 71
