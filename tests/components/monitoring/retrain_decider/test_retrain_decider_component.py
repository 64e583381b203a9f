"""The TFX node decides from real files, writes its artifact, and compiles."""

import json
from pathlib import Path

import pandas as pd
import pytest
from decider_files import (
    LABEL_END_MS,
    LABEL_START_MS,
    training_rows,
    write_log,
    write_profile,
    write_report,
)

pytestmark = pytest.mark.tensorflow


def run(base: Path, name: str, previous: Path | None = None, *, sign: float = -1.0):
    """Runs the executor on real files; returns its artifact."""
    from tfx_loop.core.artifacts import (
        DriftReport,
        PredictionLog,
        ReferenceProfile,
        RetrainDecision,
    )
    from tfx_loop.monitoring.retrain_decider.executor import Executor

    def at(kind, folder: Path):
        artifact = kind()
        artifact.uri = str(folder)
        return artifact

    log = pd.concat([training_rows(800, 2, 30), training_rows(800, 3, 60, sign=sign)])
    folder = base / name
    inputs = {
        "drift_report": [at(DriftReport, write_report(folder / "drift"))],
        "labelled_log": [at(PredictionLog, write_log(folder / "log", log))],
        "reference_profile": [
            at(ReferenceProfile, write_profile(folder / "profile", training_rows(1500, 1, 0)))
        ],
    }
    if previous:
        inputs["previous_decision"] = [at(RetrainDecision, previous)]
    output = at(RetrainDecision, folder / "decision")
    Executor().Do(
        inputs,
        {"decision": [output]},
        {
            "model_name": "flights",
            "window": "day-120",
            "label_window": f"labels-{name}",
            "label_start_ms": LABEL_START_MS,
            "label_end_ms": LABEL_END_MS,
            # Nothing is ever this dear: savings only add up.
            "training_cost": 0.01 if sign < 0 else 9.0,
        },
    )
    return output


def test_executor_writes_decision_and_properties(tmp_path: Path) -> None:
    output = run(tmp_path, "a")
    content = json.loads((tmp_path / "a/decision/retrain_decision.json").read_text())
    assert content["verdict"] == output.get_string_custom_property("verdict") == "RETRAIN"
    assert output.get_string_custom_property("reason") == "retraining_pays"
    assert output.get_int_custom_property("retrain") == 1
    assert output.get_int_custom_property("model_version") == 3
    assert output.get_float_custom_property("avoidable_loss") == pytest.approx(
        content["evidence"]["avoidable_loss"]["relative"]
    )


def test_savings_add_up_over_previous_decisions(tmp_path: Path) -> None:
    first = run(tmp_path, "a")
    second = run(tmp_path, "b", tmp_path / "a/decision")
    once = first.get_float_custom_property("accumulated")
    assert second.get_float_custom_property("accumulated") == pytest.approx(2 * once)


def test_hold_is_written_as_fully_as_retrain(tmp_path: Path) -> None:
    output = run(tmp_path, "a", sign=1.0)
    content = json.loads((tmp_path / "a/decision/retrain_decision.json").read_text())
    assert content["verdict"] == "HOLD"
    assert output.get_int_custom_property("retrain") == 0
    assert content["evidence"]["avoidable_loss"]["rows"] == 800


def test_component_declares_its_channels() -> None:
    from tfx.types import channel_utils

    from tfx_loop import RetrainDecider
    from tfx_loop.contracts.measured_loss import FaultyWindow
    from tfx_loop.core.artifacts import DriftReport, PredictionLog, ReferenceProfile
    from tfx_loop.monitoring.retrain_decider.settings import RetrainDeciderSettings

    node = RetrainDecider(
        drift_report=channel_utils.as_channel([DriftReport()]),
        labelled_log=channel_utils.as_channel([PredictionLog()]),
        reference_profile=channel_utils.as_channel([ReferenceProfile()]),
        model_name="flights",
        window="2013-05",
        label_window="2013-04",
        label_start_ms=0,
        label_end_ms=1,
        training_cost=0.03,
        measure={"blocks": 16},
        quarantined=(FaultyWindow(window="w", start_ms=1, end_ms=2, faults=("x: stuck",)),),
    )
    assert set(node.outputs) == {"decision"}
    assert node.exec_properties["training_cost"] == 0.03
    assert json.loads(node.exec_properties["measure"])["blocks"] == 16
    held = RetrainDeciderSettings.from_properties(node.exec_properties).quarantined
    assert held[0].told == "w (x: stuck)"
    assert "previous_decision" not in node.inputs
