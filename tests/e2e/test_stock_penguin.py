"""TFX's penguin with its Tuner and its `module_file`, in a process that has imported `tfx_loop`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import stock_penguin
from time_limits import seconds

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

ROOT = Path(__file__).resolve().parents[2]


def test_penguin_with_a_tuner_runs_beside_the_import(tmp_path):
    """It needs pip, for the wheel of its `module_file`, and the Keras 3 that it is written for."""
    chosen = {"TF_USE_LEGACY_KERAS", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, stock_penguin.__file__, str(tmp_path), "--tuner"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=seconds(500),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    states = json.loads(done.stdout.splitlines()[-1])
    assert {"Transform", "Tuner", "Trainer", "Evaluator"} <= states.keys()
    assert set(states.values()) == {"COMPLETE"}
    assert list((tmp_path / "serving").glob("*/saved_model.pb"))
