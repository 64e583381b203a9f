"""Trained, pruned, quantised, each variant judged, one chosen and served: the real pipeline."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from documents import TUTORIAL, fences, section

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]

MODEL = "digits"


@dataclasses.dataclass
class Run:
    """What a run of the pipeline left, and a client of the server that serves its choice."""

    folder: Path
    client: object

    def report(self, node):
        (path,) = self.folder.glob(f"artifacts/{node}/optimization_report/*/*.json")
        return json.loads(path.read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from server_process import ServerProcess

    from tfx_loop.deployment.model_server.client import ModelClient
    from tfx_loop.pipelines.config import PipelineSettings, ServingSettings
    from tfx_loop.pipelines.examples.digits.data import write_spans
    from tfx_loop.pipelines.examples.digits.pipeline import compression_pipeline
    from tfx_loop.pipelines.examples.digits.settings import COMPRESSION
    from tfx_loop.pipelines.runners.local import run_pipeline

    folder = tmp_path_factory.mktemp("compression")
    (folder / "serving").mkdir()
    server = ServerProcess(folder / "serving", folder, folder / "log", model_name=MODEL).start()
    url = f"http://127.0.0.1:{server.rest_port}"
    try:
        write_spans(folder / "spans")
        pruning = COMPRESSION.pruning
        shorter = dataclasses.replace(pruning.fine_tuning, epochs=6)
        pipeline = compression_pipeline(
            PipelineSettings(
                root=str(folder / "artifacts"),
                metadata_path=str(folder / "metadata.sqlite"),
                data=str(folder / "spans"),
                labels=str(folder / "labels"),
            ),
            ServingSettings(
                base_path=str(folder / "serving"),
                server_url=url,
                prediction_log=str(folder / "log"),
            ),
            dataclasses.replace(
                COMPRESSION,
                max_metric_drop=0.02,
                distillation=None,
                pruning=dataclasses.replace(pruning, fine_tuning=shorter),
            ),
        )
        run_pipeline(pipeline, run_id="compression")
        yield Run(folder, ModelClient(url, MODEL))
    finally:
        server.stop()


def evaluator(variant):
    """Returns the id of the node that judged a variant, as Argo takes it, too."""
    return f"Evaluator-{variant.replace('_', '-')}"


def test_the_choice_is_the_smallest_variant_that_the_evaluator_blessed(run):
    choice = run.report("VariantChooser")
    rungs = {rung["name"]: rung for rung in choice["rungs"]}
    assert set(rungs) == {"float", "pruned", "float_quantized", "pruned_quantized"}
    blessed = {"float"} | {
        name for name in rungs if list(run.folder.glob(f"artifacts/{evaluator(name)}/*/*/BLESSED"))
    }
    (chosen,) = (name for name, rung in rungs.items() if rung["status"] == "chosen")
    assert chosen in blessed
    sizes = {name: rungs[name]["size"]["raw_bytes"] for name in blessed}
    assert sizes[chosen] == min(sizes.values())
    assert sizes[chosen] * 3 < sizes["float"]


def test_the_variants_are_as_large_as_the_tutorial_shows(run):
    (shown,) = fences(section(TUTORIAL, "Images, from training to devices"), "text")
    kilobytes = dict(re.findall(r"^(\w+) +([\d.]+)  \w+$", shown, re.MULTILINE))
    rungs = {rung["name"]: rung for rung in run.report("VariantChooser")["rungs"]}
    # The others are made from a distilled network there; this run has none.
    for name in ("float", "float_quantized"):
        size = rungs[name]["size"]["raw_bytes"] / 1000
        # Another version of TensorFlow writes other file headers.
        assert size == pytest.approx(float(kilobytes[name]), rel=0.1), name


def test_the_chosen_tflite_file_answers_requests_and_is_logged_as_what_it_is(run):
    from sklearn.datasets import load_digits

    from tfx_loop.data.prediction_log.reader import read_window

    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    (status,) = run.client.status()
    assert (status.version, status.state) == (1, "AVAILABLE")
    answers = run.client.predict(instances=images[:64].tolist(), request_id="try")
    (scores,) = answers.values()
    assert (np.argmax(scores, axis=1) == digits.target[:64]).mean() > 0.9
    rows = read_window(str(run.folder / "log"), MODEL, 0, 2**50).table
    (variant,) = set(rows["variant"].to_pylist())
    assert variant == run.report("VariantChooser")["child"]["mode"]


def test_explain_tells_how_the_served_model_was_made(run):
    from recorder import open_store

    from tfx_loop.pipelines.lineage.explain import explain
    from tfx_loop.pipelines.lineage.show import render_explanation

    found = explain(open_store(run.folder / "metadata.sqlite"), MODEL, 1)
    steps = [step.by for step in found.optimised]
    assert steps[0] == "VariantChooser"
    assert any(step.startswith("Quantizer") for step in steps)
    assert found.contest.baseline_is_parent
    assert found.contest.blessed
    assert [data.spans for data in found.trained_on] == ["1"]
    assert "optimised" in render_explanation(found)


def test_zeros_of_the_pruned_network_are_real(run):
    report = run.report("Pruner")
    assert report["child"]["sparsity"] == pytest.approx(0.5, abs=0.02)
