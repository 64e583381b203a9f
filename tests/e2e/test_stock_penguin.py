"""TFX's penguin, with its Tuner and `module_file`, and with variants beside it, in three runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stock_penguin
from time_limits import seconds

# Three runs of a pipeline: two minutes on two free cores, nine on cores that eight share.
# The tutorial runs another stock pipeline of TFX in `make test` (test_your_own_pipeline.py).
pytestmark = [
    pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.long, pytest.mark.timeout(1200),
]  # fmt: skip

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


def test_penguin_with_a_tuner_runs_with_our_nodes_beside_it(tmp_path):
    """It needs pip, for the wheel of its `module_file`, and the Keras 3 that it is written for."""
    states, _ = run(tmp_path, "--tuner", "--variants")
    assert {"Transform", "Tuner", "Trainer", "Evaluator", "Quantizer"} <= states.keys()
    assert set(states.values()) == {"COMPLETE"}
    assert list((tmp_path / "serving").glob("*/saved_model.pb"))


def test_its_own_baseline_stays_its_own_beside_variants(tmp_path):
    """The variant is blessed, chosen and newer than the trained model in each of three runs."""
    states, baselines = run(tmp_path, "--variants", "--runs", "3")
    assert {"Quantizer", "VariantEvaluator", "VariantChooser"} <= states.keys()
    assert set(states.values()) <= {"COMPLETE", "CACHED"}
    assert baselines == [[], ["Trainer"], ["Trainer"]]
    (chosen, *_) = sorted((tmp_path / "root/VariantChooser/model_blessing").iterdir())
    assert (chosen / "BLESSED").exists()
    assert_answers_as_its_parent(tmp_path / "root")


def assert_answers_as_its_parent(root):
    """The quantised variant that was chosen takes the same raw tf.Examples on our server."""
    from tfx_loop.data.tables.several import read_serialized
    from tfx_loop.deployment.model_server.loading import load_version

    def newest(name):
        return max((root / name).iterdir(), key=lambda path: int(path.name))

    rows = np.array(
        read_serialized([str(newest("CsvExampleGen/examples") / "Split-eval")]), dtype=object
    )
    variant = newest("VariantChooser/model") / "Format-Serving"
    assert (variant / "tflite").is_file()
    answers = [
        load_version(1, folder).run("serving_default", {"examples": rows})["outputs"]
        for folder in (newest("Trainer/model") / "Format-Serving", variant)
    ]
    # Weights of 16 bits: three digits.
    np.testing.assert_allclose(*answers, rtol=0.01, atol=0.01)
