"""TFX's penguin, with its Tuner and `module_file`, and with variants beside it, in three runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import stock_penguin
from time_limits import seconds

# Three runs of a pipeline: two minutes on two free cores, nine on cores that eight share.
pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]


def run(folder, *flags):
    """Returns the state of each node, and what the resolver found in each run."""
    chosen = {"TF_USE_LEGACY_KERAS", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, stock_penguin.__file__, str(folder), *flags],
        capture_output=True,
        text=True,
        env=environment,
        timeout=seconds(1100),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_penguin_with_a_tuner_runs_beside_the_import(tmp_path):
    """It needs pip, for the wheel of its `module_file`, and the Keras 3 that it is written for."""
    states, _ = run(tmp_path, "--tuner")
    assert {"Transform", "Tuner", "Trainer", "Evaluator"} <= states.keys()
    assert set(states.values()) == {"COMPLETE"}
    assert list((tmp_path / "serving").glob("*/saved_model.pb"))


def test_its_own_baseline_stays_its_own_beside_variants(tmp_path):
    """The variant is blessed, chosen and newer than the trained model in each of three runs."""
    states, baselines = run(tmp_path, "--variants", "--runs", "3")
    assert {"CopyModel", "VariantEvaluator", "VariantChooser"} <= states.keys()
    assert set(states.values()) <= {"COMPLETE", "CACHED"}
    assert baselines == [[], ["Trainer"], ["Trainer"]]
    (chosen, *_) = sorted((tmp_path / "root/VariantChooser/model_blessing").iterdir())
    assert (chosen / "BLESSED").exists()
