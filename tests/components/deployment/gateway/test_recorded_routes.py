"""Routes of the gateway by the deployment record, as pushes change it."""

import dataclasses

import pytest

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
)
from tfx_loop.deployment.gateway.recorded_routes import record_reader, table_of

FIRST = Deployment(
    version=1,
    model_digest="sha256:00",
    model_uri="/model",
    reference_profile_uri="/profile",
    variant="float",
    run_id="run",
    pushed_at_ms=0,
    replaced=None,
    state=DeploymentState.STABLE,
)


def record_of(*states, **changes):
    record = DeploymentRecord("flights", **changes)
    for version, state in enumerate(states, 1):
        record = record.with_version(dataclasses.replace(FIRST, version=version, state=state))
    return record


def version_of(table, key="key", label=""):
    route = table.route("flights", None, label, lambda: key, draws=True)
    return route.version if route.changed else None


def test_the_canary_gets_its_share_and_the_stable_version_the_rest():
    record = record_of(DeploymentState.STABLE, DeploymentState.CANARY, canary_share=0.5)
    answered = [version_of(table_of(record), f"key-{n}") for n in range(200)]
    assert set(answered) == {1, 2}
    assert 60 < answered.count(2) < 140
    assert version_of(table_of(record), label="stable") == 1
    assert version_of(table_of(record), label="canary") == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, None), ({"routes": True}, 2), ({"labels": {"old": 1}}, None)],
    ids=["plain pushes", "traffic by the record", "labels alone"],
)
def test_without_a_canary_the_stable_version_is_named_where_others_are_loaded(changes, expected):
    states = (DeploymentState.RETIRED, DeploymentState.STABLE)
    assert version_of(table_of(record_of(*states, **changes))) == expected


def test_a_damaged_record_leaves_the_routes_as_they_were(tmp_path, caplog):
    read = record_reader(str(tmp_path), "flights")
    assert not read().draws()
    record = record_of(DeploymentState.STABLE, DeploymentState.CANARY, canary_share=1.0)
    DEPLOYMENT_RECORD.write(record, str(tmp_path))
    assert version_of(read()) == 2
    next(tmp_path.iterdir()).write_text("{half")
    assert version_of(read()) == version_of(read()) == 2
    assert caplog.text.count("state=unchanged") == 1
