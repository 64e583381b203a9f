"""SIGKILL before each step on the disk: what serves was proven, and the record says the truth."""

import pytest
from killed_at_steps import killed_at_each_step
from push_desk import Desk

from tfx_loop.contracts.deployment_record import DeploymentState
from tfx_loop.core.errors import ModelRejected

pytestmark = pytest.mark.slow

# Of a push: the lock, the record, the copy with its syncs, the renames, the record again.
_LEAST_STEPS = 8


def make(scratch, follows):
    desk = Desk(scratch)
    desk.server.knows_candidates = follows
    desk.push("m1", "run-1")
    return desk


def rejected(_):
    raise ModelRejected("Expected another answer.")


@pytest.mark.parametrize(
    ("good", "follows"),
    [
        (True, True),
        pytest.param(True, False, marks=pytest.mark.long),
        pytest.param(False, True, marks=pytest.mark.long),
        (False, False),
    ],
)
def test_push_killed_anywhere(tmp_path, follows, good):
    desk = make(tmp_path / "0", follows)

    def work():
        if good:
            desk.push("m2", "run-2")
            return
        with pytest.raises(ModelRejected):
            desk.push("m2", "run-2", check=rejected)

    steps = 0
    for step in killed_at_each_step(work):
        steps += 1
        record = desk.record
        stable = record.stable.version
        if follows:
            assert desk.server.serving == stable, f"killed before step {step}"
            assert good or stable == 1
        # A server that serves the highest number shows it before it is proven; the record does not.
        assert good or record.version(stable).run_id == "run-1"
        # Whoever comes next takes over: the same run, or another one.
        version = desk.push("m3", "run-3").version
        assert (desk.server.serving, desk.record.stable.version) == (version, version)
        states = [v.state for v in desk.record.versions]
        assert states.count(DeploymentState.STABLE) == 1
        assert DeploymentState.PUSHING not in states
        assert not [name for name in desk.folders if name.startswith((".staging", ".candidate"))]
        desk = make(tmp_path / str(step + 1), follows)
    assert steps > _LEAST_STEPS


@pytest.mark.parametrize("move", ["promote", "roll_back", "take_back", "label"])
@pytest.mark.parametrize("follows", [True, False])
def test_move_killed_anywhere(tmp_path, move, follows):
    if move in ("promote", "take_back") and not follows:
        pytest.skip("a server that serves the highest number has no canary")

    def scene(step):
        desk = make(tmp_path / str(step), follows)
        desk.push("m2", "run-2", canary_share=0.0 if move in ("roll_back", "label") else 0.1)
        return desk

    def work():
        if move == "promote":
            desk.rollout().promote()
        elif move == "label":
            desk.rollout().label("blue", 1)
        else:
            desk.rollout().roll_back(1, "why not")

    desk, steps, seen = scene(0), 0, set()
    for step in killed_at_each_step(work):
        steps += 1
        stable = desk.record.stable.version
        seen.add((stable, bool(desk.record.labels)))
        if follows:
            assert desk.server.serving == stable, f"killed before step {step}"
        version = desk.push("m3", "run-3").version
        assert (desk.server.serving, desk.record.stable.version) == (version, version)
        desk = scene(step + 1)
    assert steps >= 3
    assert seen <= {(1, False), (2, False), (2, True)}
