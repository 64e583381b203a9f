"""A TFLite variant and the float SavedModel are judged by one Evaluator, on the same rows."""

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]

EVAL_FRACTION = 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("variants")


@pytest.fixture(scope="module")
def examples(folder):
    from tfx.types import standard_artifacts

    from tfx_loop.data.span_example_gen.executor import Executor
    from tfx_loop.pipelines.examples.digits.data import KEY, LABEL, write_spans

    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / "examples")
    properties = {
        "input_base": str(folder / "spans"),
        "pattern": "span-{SPAN:02d}.parquet",
        "spans": write_spans(folder / "spans"),
        "key_column": KEY,
        "label_column": LABEL,
        "eval_fraction": EVAL_FRACTION,
        "seed": 0,
    }
    Executor().Do({}, {"examples": [artifact]}, properties)
    return artifact


@pytest.fixture(scope="module")
def models(folder):
    """A little trained network as a SavedModel, and as a TFLite file of int8 inputs."""
    import tensorflow as tf
    from sklearn.datasets import load_digits
    from tfx.types import standard_artifacts

    from tfx_loop.pipelines.examples.digits import model as digits_model

    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    network = digits_model.student()
    network.fit(images, digits.target, batch_size=64, epochs=5, verbose=0)
    saved, lite = standard_artifacts.Model(), standard_artifacts.Model()
    saved.uri, lite.uri = str(folder / "saved"), str(folder / "lite")
    digits_model.export(network, f"{saved.uri}/Format-Serving")
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images[:100])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    tf.io.gfile.makedirs(f"{lite.uri}/Format-Serving")
    with open(f"{lite.uri}/Format-Serving/tflite", "wb") as file:
        file.write(converter.convert())
    return saved, lite


def evaluate(folder, examples, candidate, baseline, specs, executor=None):
    import tensorflow_model_analysis as tfma
    from tfx.types import standard_artifacts
    from tfx.utils import json_utils, proto_utils

    from tfx_loop.pipelines.evaluation import recording_evaluator

    change = tfma.GenericChangeThreshold(
        direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -0.02}
    )
    metric = tfma.MetricConfig(
        class_name="SparseCategoricalAccuracy",
        threshold=tfma.MetricThreshold(change_threshold=change),
    )
    config = tfma.EvalConfig(
        model_specs=specs,
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=[metric])],
    )
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    inputs = {"examples": [examples], "model": [candidate]}
    (executor or recording_evaluator.Executor)().Do(
        inputs | ({"baseline_model": [baseline]} if baseline else {}),
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(config),
            "example_splits": json_utils.dumps(["eval"]),
            "module_path": "tfx_loop.pipelines.evaluation.variant_extractors",
        },
    )
    return evaluation, blessing


def accuracy(path, examples):
    """What the runtime that serves the file gets right, counted without TFMA."""
    import tensorflow as tf

    from tfx_loop.models.predictor import open_predictor

    files = tf.io.gfile.glob(f"{examples.uri}/Split-eval/*")
    records = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    spec = {
        "image": tf.io.FixedLenFeature([8, 8, 1], tf.float32),
        "digit": tf.io.FixedLenFeature([], tf.int64),
    }
    rows = tf.io.parse_example(records, spec)
    (answers,) = open_predictor(path).predict({"image": rows["image"].numpy()}).values()
    return float((answers.argmax(1) == rows["digit"].numpy()).mean())


def test_a_tflite_variant_is_judged_against_the_float_savedmodel(tmp_path, examples, models):
    import tensorflow_model_analysis as tfma

    saved, lite = models
    specs = [
        tfma.ModelSpec(name="candidate", model_type="tf_lite", label_key="digit"),
        tfma.ModelSpec(name="baseline", is_baseline=True, label_key="digit"),
    ]
    evaluation, blessing = evaluate(tmp_path, examples, lite, saved, specs)
    counted = accuracy(f"{lite.uri}/Format-Serving/tflite", examples)
    measured = evaluation.get_float_custom_property("sparse_categorical_accuracy")
    champion = evaluation.get_float_custom_property("champion_sparse_categorical_accuracy")
    assert measured == pytest.approx(counted, abs=1e-6)
    assert champion > 0.85
    assert blessing.get_int_custom_property("blessed") == int(measured > champion - 0.02)


def test_a_variant_is_blessed_so_that_no_resolver_makes_it_a_baseline(tmp_path, examples, models):
    import tensorflow_model_analysis as tfma
    from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy

    from tfx_loop.contracts.model_properties import is_blessed
    from tfx_loop.pipelines.evaluation import recording_evaluator, variant_evaluator

    saved, lite = models
    saved.id, lite.id = 1, 2
    specs = [
        tfma.ModelSpec(name="candidate", model_type="tf_lite", label_key="digit"),
        tfma.ModelSpec(name="baseline", is_baseline=True, label_key="digit"),
    ]
    resolver = latest_blessed_model_strategy.LatestBlessedModelStrategy()
    found = {}
    for executor in (recording_evaluator.Executor, variant_evaluator.VariantExecutor):
        name = executor.__name__
        _, blessing = evaluate(tmp_path / name, examples, lite, saved, specs, executor)
        assert is_blessed(blessing), "the same judgement"
        given = {"model": [saved, lite], "model_blessing": [blessing]}
        found[name] = resolver.resolve_artifacts(None, given)["model"]
    assert found == {"Executor": [lite], "VariantExecutor": []}


def test_a_variant_in_a_bucket_is_judged_alone_when_there_is_nothing_to_compare(
    tmp_path, examples, models
):
    import ram_files
    import tensorflow_model_analysis as tfma
    from tfx.types import standard_artifacts

    remote = standard_artifacts.Model()
    remote.uri = ram_files.uploaded(models[1].uri, "ram://variants/lite")
    specs = [tfma.ModelSpec(model_type="tf_lite", label_key="digit")]
    evaluation, _ = evaluate(tmp_path, examples, remote, None, specs)
    counted = accuracy(f"{models[1].uri}/Format-Serving/tflite", examples)
    measured = evaluation.get_float_custom_property("sparse_categorical_accuracy")
    assert measured == pytest.approx(counted, abs=1e-6)
