"""Canary, promotion, probation and roll-back on a real folder, with a server that follows it."""

import pytest
from push_desk import Desk, Killed, kill

from tfx_loop.contracts.deployment_record import DeploymentState
from tfx_loop.core.errors import ConfigError, DataError, ModelRejected, ServerUnavailable
from tfx_loop.deployment.live_rollout import LiveRollout
from tfx_loop.deployment.serving_pusher import push as push_module

STABLE, CANARY, RETIRED, ROLLED_BACK, FAILED, PUSHING = (
    DeploymentState.STABLE,
    DeploymentState.CANARY,
    DeploymentState.RETIRED,
    DeploymentState.ROLLED_BACK,
    DeploymentState.FAILED,
    DeploymentState.PUSHING,
)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.server.knows_candidates = True
    return made


def test_canary_gets_a_share_and_is_promoted(desk):
    desk.push()
    second = desk.push("better", "run-2", canary_share=0.1)
    assert (second.state, second.replaced) == (CANARY, 1)
    assert desk.states == {1: STABLE, 2: CANARY}
    assert desk.record.canary_share == 0.1
    assert desk.server.serving == 1
    desk.rollout().promote(2)
    assert desk.states == {1: RETIRED, 2: STABLE}
    assert desk.record.canary_share == 0.0
    assert desk.server.serving == 2
    assert desk.rollout().promote(2) == desk.record, "once more changes nothing"


def test_first_version_is_no_canary(desk):
    assert desk.push(canary_share=0.1).state is STABLE


def test_canary_is_taken_back_or_superseded(desk):
    desk.push()
    desk.push("better", "run-2", canary_share=0.1)
    desk.rollout().roll_back(1, "slow")
    assert desk.states == {1: STABLE, 2: ROLLED_BACK}
    assert (desk.record.version(2).reason, desk.record.canary_share) == ("slow", 0.0)
    desk.push("third", "run-3", canary_share=0.2)
    desk.push("fourth", "run-4", canary_share=0.3)
    assert desk.states[3] is ROLLED_BACK
    assert desk.record.version(3).reason == "superseded by version 4"
    assert (desk.record.canary.version, desk.record.canary_share) == (4, 0.3)


@pytest.mark.parametrize("follows", [True, False])
def test_roll_back_serves_an_earlier_version_and_forward_again(desk, follows):
    desk.server.knows_candidates = follows
    for number in (1, 2, 3):
        desk.push(f"m{number}", f"run-{number}")
    assert desk.server.serving == 3
    desk.rollout().roll_back(1, "wrong prices")
    assert desk.states == {1: STABLE, 2: RETIRED, 3: ROLLED_BACK}
    assert desk.server.serving == 1
    desk.rollout().roll_back(3, "they were right")
    assert desk.server.serving == 3
    assert desk.states == {1: ROLLED_BACK, 2: RETIRED, 3: STABLE}
    assert desk.push("m4", "run-4").version == 4
    assert desk.server.serving == 4
    told = [(event.action, event.version, event.detail) for event in desk.record.history]
    assert told[3:7] == [
        ("roll_back", 3, "wrong prices"),
        ("promote", 1, "back in place of version 3"),
        ("roll_back", 1, "they were right"),
        ("promote", 3, "back in place of version 1"),
    ]


def test_what_cannot_be_rolled_back_or_promoted_is_said(desk):
    desk.push()
    with pytest.raises(ConfigError, match="it is stable"):
        desk.rollout().roll_back(1, "")
    with pytest.raises(ConfigError, match="Pushed: 1"):
        desk.rollout().roll_back(7, "")
    with pytest.raises(ConfigError, match="found no canary"):
        desk.rollout().promote()
    with pytest.raises(DataError, match="found none"):
        LiveRollout(base_path=str(desk.scratch / "other")).promote()
    desk.push("better", "run-2")
    with pytest.raises(ModelRejected):
        desk.push("broken", "run-3")
    with pytest.raises(ConfigError, match="which is failed"):
        desk.rollout().roll_back(3, "")


def test_canary_is_refused_of_a_server_that_cannot_divide_its_traffic(desk):
    desk.server.knows_candidates = False
    with pytest.raises(ConfigError, match="divides its traffic"):
        desk.push(canary_share=0.1)
    assert desk.folders == []


def test_labels_are_kept_in_the_record(desk):
    desk.push()
    desk.push("better", "run-2")
    desk.rollout().label("blue", 1)
    assert desk.record.labels == {"blue": 1}
    desk.rollout().label("blue", 2)
    desk.rollout().label("blue", None)
    assert desk.record.labels == {}
    for name in ("stable", "canary", "a/b", ""):
        with pytest.raises(ConfigError, match="label"):
            desk.rollout().label(name, 1)


def test_version_that_fails_on_probation_is_taken_back(desk):
    desk.push()
    asked = []

    def check(version):
        asked.append(desk.server.serving)
        if len(asked) == 3:
            raise ServerUnavailable("restarted")
        if len(asked) == 5:
            raise ModelRejected("Expected another answer.")

    with pytest.raises(ModelRejected):
        desk.push("better", "run-2", check=check, probation_seconds=10)
    assert asked == [1, 2, 2, 2, 2], "proven before it serves, then on probation"
    assert desk.states == {1: STABLE, 2: ROLLED_BACK}
    assert desk.server.serving == 1
    assert desk.record.version(2).reason == "on probation: Expected another answer."


def test_old_versions_go_by_policy_and_never_the_one_serving_or_before(desk):
    for number in range(1, 7):
        desk.push(f"m{number}", f"run-{number}", keep_versions=2)
        if number == 1:
            desk.rollout().label("first", 1)
    folders = [name for name in desk.folders if name.isdecimal()]
    # 6 serves, 5 was before, 1 has a label; 4 and 3 are the two that are kept.
    assert folders == ["1", "3", "4", "5", "6"]
    desk.rollout().roll_back(4, "")
    with pytest.raises(ConfigError, match="kept no longer"):
        desk.rollout().roll_back(2, "")
    assert desk.states[4] is STABLE


@pytest.mark.parametrize("run_id", ["run-2", "run-3"])
def test_killed_between_number_and_record_serves_what_the_record_says(desk, monkeypatch, run_id):
    desk.push()
    with monkeypatch.context() as patch:
        patch.setattr(push_module, "as_stable", kill)
        with pytest.raises(Killed):
            desk.push("better", "run-2")
    assert "2" in desk.folders
    assert (desk.server.serving, desk.record.stable.version) == (1, 1)
    again = desk.push("better", run_id)
    if run_id == "run-2":
        assert (again.version, desk.states) == (2, {1: RETIRED, 2: STABLE})
    else:
        assert (again.version, desk.states) == (3, {1: RETIRED, 2: FAILED, 3: STABLE})
    assert desk.server.serving == again.version


def test_version_that_does_not_take_over_gives_the_traffic_back(desk):
    desk.push()
    status = desk.server.status

    def stuck():
        return [s for s in status() if s.version == 1 or s.candidate or desk.record.stable.version]

    # The server never takes the version over, though it loaded it.
    desk.server.status = lambda: [
        s if s.version == 1 else type(s)(s.version, s.state, s.error, candidate=True)
        for s in stuck()
    ]
    with pytest.raises(ModelRejected, match="AVAILABLE within"):
        desk.push("better", "run-2")
    del desk.server.status
    assert desk.states == {1: STABLE, 2: FAILED}
    assert desk.server.serving == 1


@pytest.mark.parametrize("follows", [True, False])
def test_versions_of_another_pusher_serve_beside_ours(desk, follows):
    import shutil

    desk.server.knows_candidates = follows
    desk.push()
    # TFX's own Pusher: a folder named by the time, and no record.
    shutil.copytree(desk.model("theirs"), desk.base / "1700000000")
    assert desk.server.serving == 1_700_000_000
    assert desk.push("better", "run-2").version == 1_700_000_001
    assert desk.server.serving == 1_700_000_001
    assert "1700000000" in desk.folders
