"""The node EdgeBundler: Examples of an ExampleGen and an int8 model in, a bundle out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.edge.edge_bundle.bundle import check_answers, open_bundle

pytestmark = pytest.mark.tensorflow

# Reports as EdgeTPUCompiler writes them, with and without the compiler.
RECORDED = Path(__file__).resolve().parents[2] / "contracts" / "recorded"

SETTINGS = {
    "name": "tiny",
    "labels": '["a", "b", "c"]',
    "golden_rows": 5,
    "cpu_steps": 1.0,
    "edge_tpu_steps": 8.0,
}


@pytest.fixture
def node(tmp_path):
    """Runs the executor on the tiny model and rows of a list column."""
    import pyarrow as pa
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.core.artifacts import EdgeTpuReport
    from tfx_loop.data.span_example_gen.executor import write_examples
    from tfx_loop.edge.edge_bundler.executor import Executor

    def run(compiled=None, speaker="analysed", width=4, window=1, **settings):
        model, bundle = standard_artifacts.Model(), standard_artifacts.Model()
        examples, report = standard_artifacts.Examples(), EdgeTpuReport()
        for artifact, name in (
            (model, "model"),
            (bundle, "bundle"),
            (examples, "examples"),
            (report, "report"),
        ):
            artifact.uri = str(tmp_path / name)
        serving = tmp_path / "model" / "Format-Serving"
        serving.mkdir(parents=True)
        (serving / "tflite").write_bytes(tiny_bundle.MODEL.read_bytes())
        if compiled:
            (serving / "model_edgetpu.tflite").write_bytes(compiled)
        model.set_string_custom_property("variant", "int8")
        rows = np.random.default_rng(3).uniform(-1, 1, (20, width)).astype(np.float32)
        examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
        write_examples(f"{examples.uri}/Split-eval", pa.table({"x": rows.tolist()}))
        (tmp_path / "report").mkdir()
        recorded = RECORDED / f"edgetpu_report.{speaker}.json"
        shutil.copyfile(recorded, tmp_path / "report" / "edgetpu_report.json")
        Executor().Do(
            {"model": [model], "examples": [examples] * window, "edgetpu_report": [report]},
            {"bundle": [bundle]},
            {**SETTINGS, **settings},
        )
        return bundle

    return run


def test_a_bundle_is_a_model_that_evaluator_can_judge(node, tmp_path):
    artifact = node()
    bundle = open_bundle(tmp_path / "bundle" / "Format-Serving")
    check_answers(bundle)
    assert (bundle.folder / "tflite").read_bytes() == tiny_bundle.MODEL.read_bytes()
    assert artifact.get_string_custom_property("bundle_digest") == f"sha256:{bundle.digest}"
    assert artifact.get_string_custom_property("variant") == "int8"
    assert artifact.get_int_custom_property("golden_rows") == 5
    assert (bundle.folder / "labels.txt").read_text() == "a\nb\nc\n"


def test_the_compiled_model_comes_with_its_runtime(node):
    artifact = node(compiled=tiny_bundle.compiled_model(), speaker="compiled")
    bundle = open_bundle(Path(artifact.uri) / "Format-Serving")
    assert bundle.manifest.minimum_runtime == {"edge_tpu": 13}
    assert bundle.manifest.compiler_version == "16.0.384591198"
    assert (bundle.folder / "model_edgetpu.tflite").read_bytes() == tiny_bundle.compiled_model()


def test_without_compiled_model_no_runtime_is_asked_for(node):
    artifact = node()
    manifest = open_bundle(Path(artifact.uri) / "Format-Serving").manifest
    assert (manifest.minimum_runtime, manifest.edge_tpu_model) == ({}, None)


def test_golden_rows_come_from_all_examples_of_a_window(node):
    artifact = node(window=2, golden_rows=30)
    assert artifact.get_int_custom_property("golden_rows") == 30, "each of the two has 20"


def test_examples_that_are_not_the_model_s_inputs(node):
    with pytest.raises(DataError, match="'x'"):
        node(width=3)


def test_the_node_compiles_to_a_pipeline_spec():
    from tfx.types import channel, standard_artifacts

    from tfx_loop.edge.edge_bundler.component import EdgeBundler

    node = EdgeBundler(
        model=channel.Channel(type=standard_artifacts.Model),
        examples=channel.Channel(type=standard_artifacts.Examples),
        name="digits",
        labels=[str(digit) for digit in range(10)],
    )
    with pytest.raises(ConfigError, match="golden_rows"):
        EdgeBundler(model=None, examples=None, name="digits", golden_rows=0)
    assert set(node.outputs) == {"bundle"}
    assert json.loads(node.exec_properties["labels"])[9] == "9"
