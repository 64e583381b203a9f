"""The node in real pipelines: Examples, Quantizer, TFMA's stock Evaluator on the .tflite file."""

import json

import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Artifacts of a trainer: Examples of two splits, a SavedModel that takes tf.Examples."""
    import quantizable
    from tfx.types import standard_artifacts

    from tfx_loop.models.write import write_model

    folder = tmp_path_factory.mktemp("trained")
    images, labels = quantizable.digits()
    network = quantizable.train(quantizable.plain_network(), images[:900], labels[:900], 10)
    rows = {"image": images[:20]}
    write_model(network, folder / "model" / "Format-Serving", rows=rows, examples=True)
    write_model(network, folder / "model" / "Format-Keras" / "model.keras", rows=rows)
    write_examples(folder / "examples" / "Split-train", images[:900], labels[:900])
    write_examples(folder / "examples" / "Split-eval", images[900:], labels[900:])
    examples, model = standard_artifacts.Examples(), standard_artifacts.Model()
    examples.uri, model.uri = str(folder / "examples"), str(folder / "model")
    examples.split_names = '["train", "eval"]'
    return examples, model


def write_examples(folder, images, labels):
    import tensorflow as tf

    folder.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for image, label in zip(images, labels, strict=True):
            values = {
                "image": tf.train.Feature(float_list=tf.train.FloatList(value=image.ravel())),
                "digit": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                "half": tf.train.Feature(int64_list=tf.train.Int64List(value=[label % 2])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writer.write(example.SerializeToString())


def run_node(trained, folder, eval_config="", window=(), **settings):
    """Runs the executor alone; returns the two output artifacts.

    `window` are Examples beside those of `trained`, as a rolling window has them.
    """
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import OptimizationReport
    from tfx_loop.optimization.quantizer.executor import Executor
    from tfx_loop.optimization.quantizer.settings import QuantizerSettings

    examples, model = trained
    quantized, report = standard_artifacts.Model(), OptimizationReport()
    quantized.uri, report.uri = f"{folder}/quantized", f"{folder}/report"
    Executor().Do(
        {"parent": [model], "examples": [examples, *window]},
        {"model": [quantized], "optimization_report": [report]},
        QuantizerSettings.of({**settings, "eval_config": eval_config}).to_properties(),
    )
    return quantized, report


def test_metric_label_and_slices_are_the_evaluator_s(trained, tmp_path):
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT

    config = {
        "modelSpecs": [{"labelKey": "digit"}],
        "slicingSpecs": [{}, {"featureKeys": ["half"]}],
        "metricsSpecs": [
            {"metrics": [{"className": "ExampleCount"}, {"className": "SparseCategoricalAccuracy"}]}
        ],
    }
    quantized, written = run_node(
        trained, tmp_path, json.dumps(config), max_metric_drop=0.02, max_slice_drop=0.05
    )
    report = OPTIMIZATION_REPORT.load(tmp_path / "report" / "optimization_report.json")
    assert report.verdict.value == "KEPT"
    assert report.metric.name == "SparseCategoricalAccuracy"
    assert report.rows == {"calibration": 300, "choosing": 897}
    assert [part.slice for part in report.slices] == ["half:0", "half:1"]
    assert report.child.size.raw_bytes < report.parent.size.raw_bytes / 3
    assert report.child.size.zipped_bytes > 0
    assert {entry.batch_size for entry in report.child.latency} == {1, 32}
    assert report.overall.parent.value > 0.9
    assert written.get_int_custom_property("kept") == 1
    assert written.get_string_custom_property("variant") == report.child.mode
    assert quantized.get_string_custom_property("variant") == report.child.mode
    assert (tmp_path / "quantized" / "Format-Serving" / "tflite").is_file()


def test_float_goes_on_when_no_variant_keeps_to_the_budget(trained, tmp_path):
    """The pipeline does not fail; the gate's property says no."""
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT
    from tfx_loop.models.predictor import open_predictor

    quantized, written = run_node(
        trained, tmp_path, mode="int8", max_metric_drop=0.0, label_key="digit"
    )
    report = OPTIMIZATION_REPORT.load(tmp_path / "report" / "optimization_report.json")
    assert (report.verdict.value, report.child) == ("NOT_KEPT", None)
    assert [rung.reason for rung in report.rungs] in (["not_certain"], ["over_budget"])
    assert written.get_int_custom_property("kept") == 0
    assert quantized.get_string_custom_property("variant") == "float"
    passed_on = open_predictor(f"{quantized.uri}/Format-Serving/tflite")
    assert passed_on.inputs[0].file_dtype == "float32"


@pytest.mark.long
def test_a_rolling_window_of_examples_is_read_whole(trained, tmp_path):
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT

    settings = {"mode": "float16", "label_key": "digit", "max_metric_drop": 0.02}
    run_node(trained, tmp_path, window=(trained[0],), **settings)
    report = OPTIMIZATION_REPORT.read(str(tmp_path / "report"))
    # Of one span 897 rows choose.
    assert report.rows["choosing"] == 2 * 897


def test_artifacts_in_a_bucket_are_read_and_written_there(trained, tmp_path):
    """The child that converts sees no bucket, nor this process' memory."""
    import ram_files
    from tfx.dsl.io import fileio
    from tfx.types import standard_artifacts

    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT

    examples, model = standard_artifacts.Examples(), standard_artifacts.Model()
    examples.uri = ram_files.uploaded(trained[0].uri, "ram://quantizer/examples")
    examples.split_names = trained[0].split_names
    model.uri = ram_files.uploaded(trained[1].uri, "ram://quantizer/model")
    settings = {"mode": "float16", "label_key": "digit", "max_metric_drop": 0.02}
    quantized, report = run_node((examples, model), "ram://quantizer/out", **settings)
    assert fileio.listdir(f"{quantized.uri}/Format-Serving") == ["tflite"]
    assert OPTIMIZATION_REPORT.read(report.uri).child.size.raw_bytes > 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_metric_drop": 0.01}, "Expected label_key"),
        ({"label_key": "digit", "max_slice_drop": 0.1}, "Expected slice_features"),
        (
            {"label_key": "digit", "calibration_splits": ["train", "eval"]},
            "the same or apart",
        ),
    ],
)
def test_wrong_settings_are_one_line_before_any_child_starts(
    trained, tmp_path, monkeypatch, settings, told
):
    from tfx_loop.core.child_process.worker import Worker
    from tfx_loop.core.errors import ConfigError

    monkeypatch.setattr(Worker, "call", lambda *_, **__: pytest.fail("a child was started"))
    with pytest.raises(ConfigError, match=told) as caught:
        run_node(trained, tmp_path, **settings)
    assert "\n" not in str(caught.value)


def test_a_label_that_is_not_there_is_one_line(trained, tmp_path):
    from tfx_loop.core.errors import DataError

    with pytest.raises(DataError, match="Expected the column 'number'") as caught:
        run_node(trained, tmp_path, label_key="number")
    assert "\n" not in str(caught.value)


@pytest.mark.e2e
def test_stock_evaluator_judges_whole_number_inputs(trained, tmp_path):
    """TFMA takes the file by its name, its inputs by theirs, and finds the accuracy we measured."""
    import tensorflow_model_analysis as tfma
    from tensorflow_model_analysis.proto import config_pb2
    from tfx import v1 as tfx
    from tfx.dsl.components.common import importer
    from tfx.orchestration import metadata
    from tfx.types import standard_artifacts

    from tfx_loop.contracts.model_evaluation import metrics_by_slice
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT
    from tfx_loop.optimization.quantizer.component import Quantizer

    examples = importer.Importer(
        source_uri=trained[0].uri,
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train", "eval"]'},
    ).with_id("examples")
    model = importer.Importer(
        source_uri=trained[1].uri, artifact_type=standard_artifacts.Model
    ).with_id("model")
    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(model_type="tf_lite", label_key="digit")],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[config_pb2.MetricConfig(class_name="SparseCategoricalAccuracy")]
            )
        ],
    )
    quantizer = Quantizer(
        model=model.outputs["result"],
        examples=examples.outputs["result"],
        mode="int8",
        io_type="int8",
        max_metric_drop=0.05,
        eval_config=config,
    )
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["result"],
        model=quantizer.outputs["model"],
        eval_config=config,
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="quantize",
        pipeline_root=str(tmp_path / "root"),
        components=[examples, model, quantizer, evaluator],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(tmp_path / "metadata.db")
        ),
        beam_pipeline_args=["--runner=FnApiRunner", "--requirements_file=/dev/null"],
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    (written,) = (tmp_path / "root" / "Quantizer" / "optimization_report").glob("*")
    (evaluated,) = (tmp_path / "root" / "Evaluator" / "evaluation").glob("*")
    report = OPTIMIZATION_REPORT.load(written / "optimization_report.json")
    measured = metrics_by_slice(tfma.load_eval_result(str(evaluated)))["overall"]
    assert report.child.mode == "int8"
    assert report.child.inputs == ("image [?,8,8,1] int8",)
    # TFMA truncates where it should round: some rows fall on the other side.
    assert measured["sparse_categorical_accuracy"] == pytest.approx(
        report.overall.child.value, abs=0.02
    )
    assert report.overall.child.value > 0.9


def test_the_node_compiles_for_kubeflow(tmp_path):
    from compiled_pipeline import compile_pipeline
    from tfx import v1 as tfx

    from tfx_loop.optimization.quantizer.component import Quantizer

    kinds = tfx.types.standard_artifacts
    model = tfx.dsl.Importer(source_uri="/m", artifact_type=kinds.Model).with_id("Float")
    examples = tfx.dsl.Importer(source_uri="/e", artifact_type=kinds.Examples).with_id("Rows")
    node = Quantizer(
        model=model.outputs["result"], examples=examples.outputs["result"], label_key="digit"
    )
    spec = compile_pipeline(tmp_path, [model, examples, node])
    assert "tfx_loop.optimization.quantizer.executor.Executor" in str(spec)
