"""`loop approve` and `loop why-not` over the store that a loop wrote."""

import json
from pathlib import Path

import pytest
from recorder import RecordedLauncher, monitoring_nodes, open_store, training_nodes

from tfx_loop.contracts import retrain_decision
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.control.admission import AdmissionReason
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.control.why_not import ADMISSION_GATES, ASKING, DECISION_GATES, answered

NOW = 1_362_096_000_000


def stepped(folder, windows, mode=LoopMode.SUGGEST, blessed=True):
    """Steps a loop over windows; each decision is a verdict with its reason."""
    store = open_store(folder / "metadata.sqlite")

    def monitoring(run_id, request):
        verdict, reason = windows[request.window]
        return monitoring_nodes(
            {"window": request.window, "verdict": verdict, "reason": reason}, lambda: None
        )

    def training(run_id, request):
        return training_nodes(2, decision_uri=request.decision_uri, blessed=blessed)

    loop = Controller(
        store,
        LoopSettings(model_name="flights", mode=mode),
        RecordedLauncher(store, "monitoring", folder / "m", monitoring),
        RecordedLauncher(store, "training", folder / "t", training),
        clock=lambda: NOW,
    )
    return loop, [loop.step(window) for window in windows]


def loop_command(folder, capsys, *words):
    code = main([*words, f"--metadata={folder / 'metadata.sqlite'}", "--json"])
    return code, json.loads(capsys.readouterr().out)


def states(gates):
    return [gate["state"] for gate in gates]


def test_an_approval_by_command_is_carried_out_by_the_next_step(tmp_path, capsys):
    loop, [asked] = stepped(tmp_path, {"2013-03": ("RETRAIN", "retraining_pays")})
    assert asked.admission.reason is AdmissionReason.APPROVAL_NEEDED
    [held] = loop_command(tmp_path, capsys, "why-not")[1]
    # A retraining that pays does so whatever the model promised.
    assert states(held["decision"]) == [*["passed"] * 7, "not asked", *["passed"] * 2]
    assert states(held["admission"]) == ["passed"] * 6 + ["held"]
    assert held["admission"][-1]["reason"] == "approval_needed"
    number = str(held["decision_id"])
    code, told = loop_command(tmp_path, capsys, "approve", number, "--by", "ada")
    assert (code, told) == (0, {"decision_id": int(number), "window": "2013-03", "by": "ada"})
    # Whoever says yes twice has said it once.
    assert loop_command(tmp_path, capsys, "approve", number, "--by", "bob")[0] == 0
    [outcome] = loop.reconcile()
    assert outcome.pushed_version == 2
    [done] = loop_command(tmp_path, capsys, "why-not")[1]
    assert (done["outcome"], done["version"]) == ("pushed", 2)
    assert states(done["admission"]) == ["passed"] * len(ADMISSION_GATES)


def test_why_not_names_the_gate_that_held_and_what_was_not_asked(tmp_path, capsys):
    windows = {
        "2013-03": ("HOLD", "too_few_labels"),
        "2013-04": ("HOLD", "saving_below_training_cost"),
        "2013-05": ("RETRAIN", "retraining_pays"),
        "2013-06": ("RETRAIN", "retraining_pays"),
    }
    stepped(tmp_path, windows, LoopMode.ACT, blessed=False)
    found = loop_command(tmp_path, capsys, "why-not", "--since", "2013-03")[1]
    assert [one["window"] for one in found] == list(windows)
    assert states(found[0]["decision"])[:6] == [*["passed"] * 4, "held", "not asked"]
    assert states(found[1]["decision"]) == [*["passed"] * 9, "held"]
    assert found[1]["admission"] == []
    assert (found[2]["outcome"], found[2]["version"]) == ("not_pushed", 0)
    assert found[3]["admission"][4] == {
        "gate": "the cooldown is over",
        "state": "held",
        "reason": "cooldown",
    }
    main(["why-not", f"--metadata={tmp_path / 'metadata.sqlite'}"])
    told = capsys.readouterr().out
    assert "2013-06  RETRAIN (retraining_pays)" in told
    assert "    x the cooldown is over (cooldown)" in told
    assert "    . the budget is not spent" in told


def test_a_damaged_file_of_one_decision_stops_no_command(tmp_path, capsys):
    held = ("HOLD", "too_few_labels")
    _, [first, _] = stepped(tmp_path, {"2013-03": held, "2013-04": held})
    file = Path(first.decision.uri) / retrain_decision.RETRAIN_DECISION.name
    file.write_text("{")
    code, found = loop_command(tmp_path, capsys, "why-not", "--since", "2013-03")
    assert (code, [one["window"] for one in found]) == (0, ["2013-03", "2013-04"])
    assert str(file) in found[0]["explanation"]
    assert states(found[0]["decision"]) == states(found[1]["decision"])
    code, replayed = loop_command(tmp_path, capsys, "simulate", "never")
    assert (code, replayed["windows"]) == (0, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("approve", "9999", "--by", "ada"), "Expected the id of a RetrainDecision"),
        (("approve", "{id}", "--by", "ada"), "There is nothing to approve"),
        (("approve", "{id}", "--by", " "), "Expected who approves"),
        (("why-not", "--model", "other"), "Expected a decision about 'other'"),
        (("why-not", "--since", "2014-01"), "since 2014-01"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, capsys, words, said):
    _, [held] = stepped(tmp_path, {"2013-03": ("HOLD", "too_few_rows")})
    number = str(held.decision.artifact_id)
    code = main([w.format(id=number) for w in words] + [f"--metadata={tmp_path}/metadata.sqlite"])
    [line] = capsys.readouterr().err.strip().splitlines()
    assert code == 1
    assert said in line


def test_every_reason_is_one_of_a_gate():
    decided = {reason for _, reasons in DECISION_GATES for reason in reasons}
    constants = {
        value
        for name, value in vars(retrain_decision).items()
        if name.isupper() and isinstance(value, str)
    }
    assert decided | set(ASKING) == constants
    admitted = {reason for _, reasons in ADMISSION_GATES for reason in reasons}
    assert admitted | {"admitted"} == {reason.value for reason in AdmissionReason}
    # A reason that this release does not know tells nothing of the gates.
    unknown = answered(DECISION_GATES, "of_another_release", ASKING)
    assert {one.state.value for one in unknown} == {"not asked"}


@pytest.mark.parametrize("reason", ["worse_than_stand_in", "other_version_fits_better"])
def test_what_is_decided_before_the_saving_claims_no_saving(reason):
    found = [one.state.value for one in answered(DECISION_GATES, reason, ASKING)]
    assert found == [*["passed"] * 7, *["not asked"] * 3]
