"""The node EdgeTPUCompiler with a compiler, without one, and with a model that is none."""

import json
from pathlib import Path

import pytest
from edgetpu_pairs import needs_pairs, source, twin
from fake_compiler import copying, write_compiler

from tfx_loop.core.errors import ChildFailed, ConfigError, ModelError

pytestmark = pytest.mark.tensorflow

TINY = Path(__file__).resolve().parents[3] / "helpers" / "tiny_int8.tflite"
SETTINGS = {
    "require_compiler": 0,
    "min_mapped_share": 0.9,
    "prepare": 0,
    "executable": "",
    "container_image": "",
    "timeout_seconds": 60,
    "memory_mb": 4096,
    "min_runtime_version": 0,
    "search_delegate": 0,
    "companions": "[]",
}


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Runs the executor on a file, with no compiler on the PATH."""
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import EdgeTpuReport
    from tfx_loop.edge.edgetpu_compiler.executor import Executor

    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    def run(file, name="tflite", companion=None, **settings):
        model, output, report = (
            standard_artifacts.Model(),
            standard_artifacts.Model(),
            EdgeTpuReport(),
        )
        for artifact, folder in ((model, "in"), (output, "out"), (report, "report")):
            artifact.uri = str(tmp_path / folder)
        serving = tmp_path / "in" / "Format-Serving"
        serving.mkdir(parents=True, exist_ok=True)
        (serving / name).write_bytes(file.read_bytes())
        model.set_string_custom_property("variant", "int8")
        inputs = {"model": [model]}
        if companion is not None:
            inputs["companion_1"] = [standard_artifacts.Model()]
            inputs["companion_1"][0].uri = str(companion)
        Executor().Do(
            inputs,
            {"edgetpu_model": [output], "edgetpu_report": [report]},
            {**SETTINGS, **settings},
        )
        return output, report

    return run


def written(tmp_path):
    return json.loads((tmp_path / "report" / "edgetpu_report.json").read_text())


def test_without_compiler_the_analyser_speaks(node, tmp_path):
    output, report = node(TINY)
    serving = tmp_path / "out" / "Format-Serving"
    assert [p.name for p in serving.iterdir()] == ["tflite"]
    assert (serving / "tflite").read_bytes() == TINY.read_bytes()
    assert report.get_string_custom_property("speaker") == "analyser"
    assert output.get_string_custom_property("variant") == "int8"
    assert written(tmp_path)["speaker"] == "analyser"
    assert written(tmp_path)["compiler"] == {}
    assert written(tmp_path)["analysis"]["operators"][0]["op"] == "FULLY_CONNECTED"
    assert written(tmp_path)["settings"]["require_compiler"] is False


def test_tf_serving_s_name_is_read_too(node, tmp_path):
    node(TINY, name="model.tflite")
    assert (tmp_path / "out" / "Format-Serving" / "tflite").is_file()


def test_a_required_compiler_that_is_absent_fails_and_says_how_to_get_it(node, tmp_path):
    with pytest.raises(ConfigError, match=r"docker/edgetpu\.Dockerfile"):
        node(TINY, require_compiler=1)
    assert not (tmp_path / "report").exists()


@needs_pairs
def test_with_a_compiler_the_compiler_speaks(node, tmp_path):
    compiler = write_compiler(tmp_path / "bin" / "edgetpu_compiler", copying(twin()))
    output, report = node(source(), executable=str(compiler), require_compiler=1)
    serving = tmp_path / "out" / "Format-Serving"
    assert (serving / "tflite").read_bytes() == source().read_bytes()
    assert (serving / "model_edgetpu.tflite").read_bytes() == twin().read_bytes()
    assert output.get_int_custom_property("compiled") == 1
    assert report.get_string_custom_property("speaker") == "compiler"
    assert report.get_float_custom_property("mapped_share") == 1.0
    said = written(tmp_path)["compiler"]
    assert said["version"] == "16.0.384591198"
    assert said["minimum_runtime"] >= 10
    assert said["log"]["models"][0]["operators"][0]["count"] == 3


@needs_pairs
def test_companions_are_compiled_with_it(node, tmp_path):
    other = tmp_path / "other.tflite"
    other.write_bytes(source().read_bytes())
    compiler = write_compiler(tmp_path / "bin" / "edgetpu_compiler", copying(twin()))
    node(source(), executable=str(compiler), companions=json.dumps([str(other)]))
    folder = tmp_path / "out" / "companions"
    assert [p.name for p in folder.iterdir()] == ["other_edgetpu.tflite"]
    assert written(tmp_path)["compiler"]["co_compiled"] == ["other.tflite"]


@needs_pairs
def test_another_node_s_model_is_compiled_with_it_and_bundled_as_its_companion(node, tmp_path):
    from tfx.types import standard_artifacts

    from tfx_loop.edge.edge_bundler.executor import _compiled
    from tfx_loop.edge.edge_bundler.settings import EdgeBundlerSettings

    other = tmp_path / "other" / "Format-Serving"
    other.mkdir(parents=True)
    (other / "tflite").write_bytes(source().read_bytes())
    compiler = write_compiler(tmp_path / "bin" / "edgetpu_compiler", copying(twin()))
    output, _ = node(source(), companion=other.parent, executable=str(compiler))
    assert written(tmp_path)["compiler"]["co_compiled"] == ["companion_1.tflite"]
    settings = EdgeBundlerSettings(name="kiosk", companion=1)
    bundled = _compiled(standard_artifacts.Model(), output, settings, tmp_path)
    assert bundled.read_bytes() == twin().read_bytes()


@needs_pairs
def test_a_compiler_that_fails_is_never_passed_over(node, tmp_path):
    compiler = write_compiler(tmp_path / "bin" / "edgetpu_compiler", "os.abort()")
    with pytest.raises(ChildFailed, match="SIGABRT"):
        node(source(), executable=str(compiler), require_compiler=0)
    assert not (tmp_path / "out").exists()


@needs_pairs
def test_a_model_that_is_compiled_already_is_refused(node):
    with pytest.raises(ModelError, match="compiled already"):
        node(twin())


def test_a_float_model_is_refused(node, tmp_path):
    import numpy as np
    import tensorflow as tf

    class Float(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def serve(self, x):
            return tf.matmul(x, np.ones((4, 2), np.float32))

    module = Float()
    function = module.serve.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    path = tmp_path / "float.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ModelError, match="computes in floats"):
        node(path)


def test_a_folder_without_model_is_named(node, tmp_path):
    with pytest.raises(ModelError, match="found none"):
        node(TINY, name="saved_model.pb")


def test_the_node_compiles_to_a_pipeline_spec():
    from tfx.types import channel, standard_artifacts

    from tfx_loop.edge.edgetpu_compiler.component import EdgeTPUCompiler

    model = channel.Channel(type=standard_artifacts.Model)
    node = EdgeTPUCompiler(model=model, require_compiler=True, companions=["/other.tflite"])
    assert set(node.outputs) == {"edgetpu_model", "edgetpu_report"}
    assert node.exec_properties["require_compiler"] == 1
    assert node.exec_properties["companions"] == '["/other.tflite"]'
