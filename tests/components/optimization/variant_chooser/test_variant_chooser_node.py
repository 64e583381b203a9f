"""The node passes on the chosen model, blessed, with a reason for every variant."""

from pathlib import Path

import pytest
import ram_files

pytestmark = pytest.mark.tensorflow

SIZES = {"float": 4000, "pruned": 4000, "int8": 900}


def bytes_of_size(serving, name):
    (serving / "saved_model.pb").write_bytes(bytes(SIZES[name]))


def network(width):
    import tensorflow as tf

    class Network(tf.Module):
        def __init__(self):
            super().__init__()
            self.inner = tf.Variable(tf.random.stateless_normal((width, width), (1, 2)))

        @tf.function(input_signature=[tf.TensorSpec([None, width], tf.float32, name="x")])
        def serve(self, x):
            for _ in range(20):
                x = tf.tanh(x @ self.inner)
            return {"y": x}

    return Network()


@pytest.fixture
def run(tmp_path):
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import OptimizationReport
    from tfx_loop.optimization.variant_chooser.executor import Executor

    def made(kind, name):
        artifact = kind()
        artifact.uri = str(tmp_path / name)
        return [artifact]

    def run(blessed, target="smallest", write=bytes_of_size, bucket=""):
        inputs = {}
        for number, name in enumerate(SIZES, start=1):
            inputs[f"model_{number}"] = made(standard_artifacts.Model, f"model-{name}")
            inputs[f"model_{number}"][0].id = 10 + number
            serving = tmp_path / f"model-{name}" / "Format-Serving"
            serving.mkdir(parents=True, exist_ok=True)
            write(serving, name)
            blessing = made(standard_artifacts.ModelBlessing, f"blessing-{name}")
            blessing[0].set_int_custom_property("blessed", int(name in blessed))
            inputs[f"blessing_{number}"] = blessing
        outputs = {
            "model": made(standard_artifacts.Model, "chosen"),
            "model_blessing": made(standard_artifacts.ModelBlessing, "blessing"),
            "optimization_report": made(OptimizationReport, "report"),
        }
        names = '["float", "pruned", "int8"]'
        for artifacts in (*inputs.values(), *outputs.values()) if bucket else ():
            local = Path(artifacts[0].uri)
            artifacts[0].uri = f"{bucket}/{local.name}"
            if local.exists():
                ram_files.uploaded(local, artifacts[0].uri)
        Executor().Do(inputs, outputs, {"names": names, "target": target})
        return {name: artifacts[0] for name, artifacts in outputs.items()}

    return run


def blessing_of(outputs):
    names = ("current_model_id", "variant_model_id", "blessed")
    return {name: outputs["model_blessing"].get_int_custom_property(name) or 0 for name in names}


def test_the_smallest_blessed_variant_is_copied_and_blessed(run, tmp_path):
    from tfx.components.util import model_utils

    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT

    outputs = run(blessed=SIZES)
    copied = tmp_path / "chosen" / "Format-Serving" / "saved_model.pb"
    assert len(copied.read_bytes()) == SIZES["int8"]
    assert outputs["model"].get_string_custom_property("variant") == "int8"
    assert model_utils.is_model_blessed(outputs["model_blessing"])
    assert blessing_of(outputs) == {"current_model_id": 11, "variant_model_id": 13, "blessed": 1}
    report = OPTIMIZATION_REPORT.load(tmp_path / "report" / "optimization_report.json")
    assert [rung.reason for rung in report.rungs] == [
        "larger_than_chosen",
        "larger_than_chosen",
        "chosen",
    ]
    assert report.explanation == "int8 is deployed: 4.4 times smaller than float."


def test_variants_in_a_bucket_are_compared_and_passed_on(run):
    from tfx.dsl.io import fileio

    outputs = run(blessed=SIZES, bucket="ram://chooser")
    assert outputs["model"].uri == "ram://chooser/chosen"
    with fileio.open("ram://chooser/chosen/Format-Serving/saved_model.pb", "rb") as file:
        assert len(file.read()) == SIZES["int8"]


def test_the_float_model_stays_when_the_variants_fail_the_gate(run):
    outputs = run(blessed={"float"})
    assert outputs["model"].get_string_custom_property("variant") == "float"
    assert blessing_of(outputs) == {"current_model_id": 11, "variant_model_id": 0, "blessed": 1}


def test_nothing_is_blessed_when_nothing_passed(run, tmp_path):
    from tfx.components.util import model_utils

    outputs = run(blessed=set())
    assert not model_utils.is_model_blessed(outputs["model_blessing"])
    assert (tmp_path / "blessing" / "NOT_BLESSED").exists()
    assert outputs["optimization_report"].get_string_custom_property("verdict") == "NOT_KEPT"


def test_the_fastest_is_timed_beside_the_float_model(run, tmp_path):
    """The int8 file does a thousandth of the work, so it wins on any machine, however busy."""
    import tensorflow as tf

    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT

    def write(serving, name):
        module = network(8 if name == "int8" else 600)
        signatures = module.serve.get_concrete_function()
        if name != "int8":
            tf.saved_model.save(module, str(serving), signatures=signatures)
            return
        converter = tf.lite.TFLiteConverter.from_concrete_functions([signatures], module)
        (serving / "tflite").write_bytes(converter.convert())

    outputs = run({"float", "int8"}, "fastest", write)
    report = OPTIMIZATION_REPORT.load(tmp_path / "report" / "optimization_report.json")
    times = {rung.name: rung.latency_ms for rung in report.rungs}
    assert 0 < times["int8"] < times["float"]
    assert outputs["model"].get_string_custom_property("variant") == "int8"
    gain = times["float"] / times["int8"]
    assert report.explanation == f"int8 is deployed: {gain:.1f} times faster than float."


def test_the_node_compiles_for_kubeflow(tmp_path):
    from compiled_pipeline import compile_pipeline
    from tfx import v1 as tfx

    from tfx_loop import Variant, VariantChooser

    kinds = tfx.types.standard_artifacts
    model = tfx.dsl.Importer(source_uri="/m", artifact_type=kinds.Model).with_id("Float")
    other = tfx.dsl.Importer(source_uri="/o", artifact_type=kinds.Model).with_id("Other")
    node = VariantChooser(
        variants=[
            Variant(name="float", model=model.outputs["result"]),
            Variant(name="int8", model=other.outputs["result"]),
        ]
    )
    spec = compile_pipeline(tmp_path, [model, other, node])
    assert "tfx_loop.optimization.variant_chooser.executor.Executor" in str(spec)


def test_too_many_variants_or_one_name_twice_are_refused():
    from tfx import v1 as tfx

    from tfx_loop import Variant, VariantChooser
    from tfx_loop.core.errors import ConfigError

    model = tfx.dsl.Importer(
        source_uri="/m", artifact_type=tfx.types.standard_artifacts.Model
    ).outputs["result"]
    for names in ([], ["a", "a"], list("abcdefg")):
        with pytest.raises(ConfigError, match="Expected 1 to 6 variants with names of their own"):
            VariantChooser(variants=[Variant(name=name, model=model) for name in names])
    with pytest.raises(ConfigError, match=r"received 'targt'\. Did you mean 'target'"):
        VariantChooser(variants=[Variant(name="a", model=model)], targt="fastest")
    with pytest.raises(ConfigError, match="keyword arguments of VariantChooser alone"):
        VariantChooser([Variant(name="a", model=model)])
