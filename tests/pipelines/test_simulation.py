"""Other policies on recorded windows: when they would have trained, and what that costs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder import RecordedRun, monitoring_nodes, open_store

from tfx_loop.contracts.measured_loss import MeasuredLoss, SavingState
from tfx_loop.contracts.retrain_decision import DecisionEvidence
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.json_codec import to_json
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.simulation import RecordedWindow, simulate


def windows_of(*levels, trained=()):
    return [
        RecordedWindow(
            window=f"w{number}",
            level=level,
            saving=max(level, 0.0),
            drifted=number % 2 == 0,
            trained=number in trained,
        )
        for number, level in enumerate(levels)
    ]


def test_a_training_takes_away_what_was_stale_then():
    windows = windows_of(0.01, 0.03, 0.03, 0.05)
    never = simulate("never", windows, 0.02)
    assert (never.lost, never.trained_after) == (pytest.approx(0.12), ())
    once = simulate("every:2", windows, 0.02)
    # After w1 a window loses what it is stale by beyond w1, and after w3 the recording ends.
    assert once.trained_after == ("w1", "w3")
    assert once.lost == pytest.approx(0.01 + 0.03 + 0.0 + 0.02)
    assert once.total == pytest.approx(once.lost + 2 * 0.02)


def test_policies_train_by_what_they_look_at():
    windows = windows_of(0.01, 0.015, 0.0, 0.02, trained=(3,))
    after = {
        p: simulate(p, windows, 0.02).trained_after for p in ("drift", "recorded", "cost=0.02")
    }
    assert after == {"drift": ("w0", "w2"), "recorded": ("w3",), "cost=0.02": ("w1",)}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_always_loses_least_and_never_trains_least(levels):
    windows = windows_of(*sorted(levels))
    found = {p: simulate(p, windows, 0.1) for p in ("always", "never", "every:3")}
    assert found["always"].lost <= found["every:3"].lost <= found["never"].lost + 1e-9
    assert len(found["always"].trained_after) == len(levels)


@pytest.mark.parametrize("policy", ["", "every:0", "cost=-1", "cost=x", "sometimes"])
def test_unknown_policies_are_told(policy):
    with pytest.raises(ConfigError, match="every:N"):
        simulate(policy, windows_of(0.1), 0.02)


def measured(relative):
    loss = MeasuredLoss(
        mean=0.01, standard_error=0.001, z=10.0, relative=relative, relative_standard_error=0.001,
        champion_loss=0.5, champion_loss_error=0.01, promised_loss=0.5, promised_loss_error=0.01,
        risen_z=3.0, rows=1000,
    )  # fmt: skip
    saving = SavingState(accumulated=relative, latest=relative)
    evidence = DecisionEvidence(
        avoidable_loss=loss, accumulated=relative, saving=saving, rows=1000, labelled_rows=900,
        one_class=False,
    )  # fmt: skip
    return to_json(evidence)


def test_the_command_replays_what_is_on_record(tmp_path, capsys):
    store = open_store(tmp_path / "m.sqlite")
    ledger.register_types(store)
    for month, relative in enumerate((0.005, 0.03, 0.03), start=1):
        window = f"2024-0{month}"
        told = {
            "verdict": "HOLD",
            "window": window,
            "evidence": measured(relative),
            "settings": {"training_cost": 0.04},
        }
        run = RecordedRun(store, "monitoring", f"run-{window}", tmp_path / window)
        run.run(monitoring_nodes(told))
    words = ["--metadata", str(tmp_path / "m.sqlite"), "--json"]
    assert main(["simulate", "recorded", "always", "cost=0.03", *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["windows"], said["training_cost"]) == (3, 0.04)
    by_policy = {one["policy"]: one for one in said["policies"]}
    assert by_policy["recorded"]["lost"] == pytest.approx(0.065)
    assert by_policy["cost=0.03"]["trained_after"] == ["2024-02"]
    assert by_policy["cost=0.03"]["total"] == pytest.approx(0.035 + 0.04)
    assert main(["simulate", "sometimes", *words]) == 1
