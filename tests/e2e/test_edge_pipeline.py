"""Distilled, quantised, analysed, judged as TFLite, bundled, published: the real edge pipeline."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from time_limits import seconds

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
NAME = "digits-edge"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tfx_loop.pipelines.config import PipelineSettings
    from tfx_loop.pipelines.examples.digits.data import write_spans
    from tfx_loop.pipelines.examples.digits.pipeline import EdgeSettings, edge_pipeline
    from tfx_loop.pipelines.examples.digits.settings import STUDENT
    from tfx_loop.pipelines.runners.local import run_pipeline

    folder = tmp_path_factory.mktemp("edge")
    write_spans(folder / "spans")
    shorter = dataclasses.replace(STUDENT.fine_tuning, epochs=20)
    pipeline = edge_pipeline(
        PipelineSettings(
            root=str(folder / "artifacts"),
            metadata_path=str(folder / "metadata.sqlite"),
            data=str(folder / "spans"),
            labels=str(folder / "labels"),
        ),
        EdgeSettings(
            base_path=str(folder / "bundles"),
            distillation=dataclasses.replace(STUDENT, fine_tuning=shorter),
            max_metric_drop=0.1,
        ),
    )
    run_pipeline(pipeline, run_id="edge")
    return folder


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def test_the_report_says_that_the_analyser_spoke_and_what_maps(folder):
    report = json.loads(
        only(folder, "artifacts/EdgeTPUCompiler/edgetpu_report/*/*.json").read_text()
    )
    assert report["speaker"] == "analyser"
    assert report["mapped_share"] == 1.0


def test_the_int8_model_was_judged_by_tfma_against_the_float_champion(folder):
    from recorder import open_store

    from tfx_loop.pipelines.lineage.graph import load

    graph = load(open_store(folder / "metadata.sqlite"))
    (evaluator,) = graph.of_type("Evaluator")
    (baseline,) = graph.inputs(evaluator, "baseline_model")
    assert graph.maker(baseline).type == "Trainer"
    (evaluation,) = graph.outputs(evaluator, "evaluation")
    measured = evaluation.properties["sparse_categorical_accuracy"]
    champion = evaluation.properties["champion_sparse_categorical_accuracy"]
    assert champion > 0.95
    assert measured > champion - 0.1


def test_a_device_fetches_checks_and_runs_the_bundle(folder, tmp_path):
    device = ROOT / "components/edge/edge_bundle/on_device.py"
    done = subprocess.run(
        [
            sys.executable, str(device), str(folder / "bundles"),
            "--device-id=kiosk-17", "--group=canary", f"--cache={tmp_path}",
        ],
        capture_output=True,
        text=True,
        timeout=seconds(120),
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout


def test_a_device_outside_the_first_stage_gets_nothing_yet(folder):
    from tfx_loop.edge.edge_bundle.on_device import resolve

    pointer = json.loads((folder / "bundles/latest.json").read_text())
    assert resolve(pointer, "kiosk-17", "default") is None
    assert resolve(pointer, "kiosk-17", "canary")["version"] == 1
