"""Versions that served before answer logged rows by their own models, and the best serves again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
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

pytestmark = [pytest.mark.tensorflow]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """SavedModels that take tf.Examples: of one concept, of the opposite one, of other names."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models")
    spec = {
        "temp": tf.io.FixedLenFeature([], tf.float32),
        "carrier": tf.io.FixedLenFeature([], tf.string),
    }

    def saved(name: str, sign: float, output: str = "probability", gap: str = "temp") -> str:
        parsed = {gap if key == "temp" else key: value for key, value in spec.items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def answer(examples: Any) -> dict[str, Any]:
            columns = tf.io.parse_example(examples, parsed)
            score = (columns[gap] - 50) / 5 + tf.cast(columns["carrier"] == "AA", tf.float32)
            return {output: tf.sigmoid(sign * score)}

        module = tf.Module()
        module.answer = answer
        signatures = {"serving_default": answer}
        tf.saved_model.save(module, str(folder / name), signatures=signatures)
        return str(folder / name)

    return {
        "straight": saved("straight", 1.0),
        "turned": saved("turned", -1.0),
        "weak": saved("weak", 0.3),
        "unnamed": saved("unnamed", -1.0, output="score"),
        "older": saved("older", -1.0, gap="dewp"),
    }


def run(base: Path, models: dict[str, str], pool: dict[int, str], **changes: Any) -> dict[str, Any]:
    """Runs the executor about version 3 of the straight concept; returns the decision's content."""
    from tfx_loop.core.artifacts import (
        DriftReport,
        PredictionLog,
        ReferenceProfile,
        RetrainDecision,
    )
    from tfx_loop.monitoring.retrain_decider.executor import Executor

    def at(kind: Any, folder: Path) -> Any:
        artifact = kind()
        artifact.uri = str(folder)
        return artifact

    earlier = training_rows(800, 2, 30, sign=changes.get("earlier", 1.0))
    newest = training_rows(800, 3, 60, sign=changes.get("newest", -1.0))
    log = pd.concat([earlier, newest])
    if "answer" in changes:
        log["answer"] = changes["answer"]
    champion = training_rows(1500, 1, 0)
    inputs = {
        "drift_report": [at(DriftReport, write_report(base / "drift"))],
        "labelled_log": [at(PredictionLog, write_log(base / "log", log))],
        "reference_profile": [at(ReferenceProfile, write_profile(base / "profile", champion))],
    }
    versions = []
    for version, name in pool.items():
        first_day = changes.get("trained", -60)
        rows = training_rows(1500, 10 + version, first_day, sign=-1.0)
        profile = write_profile(base / f"profile-{version}", rows)
        versions.append(
            {
                "version": version,
                "model_uri": models.get(name, ""),
                "reference_profile_uri": str(profile),
            }
        )
    output = at(RetrainDecision, base / "decision")
    Executor().Do(
        inputs,
        {"decision": [output]},
        {
            "model_name": "flights",
            "window": "day-120",
            "label_window": "labels",
            "label_start_ms": LABEL_START_MS,
            "label_end_ms": LABEL_END_MS,
            "champion_model_uri": models[changes.get("champion", "straight")],
            "pool": json.dumps(versions),
            **changes.get("settings", {}),
        },
    )
    content: dict[str, Any] = json.loads((base / "decision/retrain_decision.json").read_text())
    said = output.get_int_custom_property
    assert (said("reinstate"), said("retrain")) == (
        content.get("reinstate", 0),
        int("retrain" in content["action"]),
    )
    return content


def test_version_of_a_concept_that_returned_is_to_serve_again(tmp_path: Path, models) -> None:
    told = run(tmp_path, models, {1: "turned", 2: "weak"})
    assert (told["verdict"], told["reason"]) == ("REINSTATE", "other_version_fits_better")
    assert (told["action"], told["reinstate"]) == ("reinstate", 1)
    contest = told["evidence"]["contest"]
    champion, winner = contest["champion_loss"], contest["versions"][0]
    assert winner["version"] == 1
    # Of its own model, on the rows of the log: a sigmoid of the score that made the labels.
    newest = training_rows(800, 3, 60, sign=-1.0)
    score = (newest["temp"] - 50) / 5 + (newest["carrier"] == "AA")
    right = newest["late"].to_numpy() > 0.5
    expected = np.log1p(np.exp(np.where(right, score, -score))).clip(max=np.log(1e3)).mean()
    assert winner["mean"] == pytest.approx(expected, rel=1e-3)
    assert champion > 2 * winner["mean"]
    assert f"{winner['saving'] / champion:.1%} less" in told["explanation"]
    assert "which served before, loses" in told["explanation"]
    # Against the winner there is next to nothing to save, so no training is asked for.
    assert (
        contest["avoidable_loss"]["relative"]
        < 0.05
        < told["evidence"]["avoidable_loss"]["relative"]
    )
    assert contest["saving"]["model_version"] == 1


def test_sound_champion_stays_and_the_versions_asked_are_on_record(tmp_path: Path, models) -> None:
    told = run(tmp_path, models, {1: "turned", 2: "weak"}, newest=1.0)
    assert told["verdict"] == "HOLD"
    assert "reinstate" not in told
    assert [v["version"] for v in told["evidence"]["contest"]["versions"]] == [1, 2]


def test_versions_that_cannot_answer_are_left_out_and_named(tmp_path: Path, models) -> None:
    told = run(tmp_path, models, {1: "gone", 2: "unnamed", 4: "older", 5: "turned"})
    assert told["reinstate"] == 5
    left = {each["version"]: each["why"] for each in told["evidence"]["contest"]["left_out"]}
    assert set(left) == {1, 2, 4}
    assert "gone" in left[1]
    assert "'probability'" in left[2]
    assert "dewp" in left[4]
    for version, why in left.items():
        assert f"{version} ({why.rstrip('.')})" in told["explanation"]


def test_version_that_learnt_from_the_window_is_no_judge_of_it(tmp_path: Path, models) -> None:
    told = run(tmp_path, models, {2: "turned"}, trained=60)
    assert told["verdict"] != "REINSTATE"
    assert "trained on rows of this window" in told["explanation"]


def test_nobody_is_asked_where_the_log_is_not_what_the_model_saw(tmp_path: Path, models) -> None:
    # The server answered other things than its model answers to what was logged.
    told = run(tmp_path, models, {1: "turned"}, answer=0.5)
    assert told["verdict"] != "REINSTATE"
    left = told["evidence"]["contest"]["left_out"]
    assert [each["version"] for each in left] == [3]
    assert "apart from what the log has" in left[0]["why"]


def test_version_that_was_far_worse_in_an_earlier_window_is_not_taken_back(
    tmp_path: Path, models
) -> None:
    # 1 is not the newest: its shortfall in the window before counts, twice its saving is the most.
    settings = {"reinstatement": json.dumps({"most_shortfall": 0.5})}
    told = run(tmp_path, models, {1: "turned", 2: "weak"}, settings=settings)
    contest = told["evidence"]["contest"]
    assert contest["versions"][0]["shortfall"] > contest["versions"][0]["saving"] / 2
    assert told.get("reinstate") != 1


def test_retraining_is_asked_for_too_where_it_pays_against_the_winner(
    tmp_path: Path, models
) -> None:
    settings = {"training_cost": 1e-6, "certain_z": 0.0}
    told = run(tmp_path, models, {1: "weak"}, earlier=-1.0, champion="straight", settings=settings)
    assert told["verdict"] == "REINSTATE"
    against = told["evidence"]["contest"]["avoidable_loss"]["mean"]
    asked = "reinstate_and_retrain" if against > 0 else "reinstate"
    assert told["action"] == asked
