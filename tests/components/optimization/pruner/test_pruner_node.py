"""The node Pruner on real artifacts: its model serves as the parent did, its report adds up."""

import shutil

import pytest
import tensorflow as tf
from digit_artifacts import examples, model, outputs, properties
from digit_networks import IMAGE, digits
from google.protobuf import text_format
from tensorflow_model_analysis.proto import config_pb2
from tfx.types import channel_utils

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    OptimizationReason,
    OptimizationVerdict,
)
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner.component import Pruner
from tfx_loop.optimization.pruner.executor import Executor
from tfx_loop.optimization.pruner.settings import Pattern

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]

EVAL_CONFIG = text_format.Parse(
    """
    model_specs { label_key: "digit" }
    slicing_specs {}
    slicing_specs { feature_keys: "even" }
    metrics_specs { metrics { class_name: "SparseCategoricalAccuracy" } }
    """,
    config_pb2.EvalConfig(),
)


def test_a_pruned_model_serves_as_its_parent_and_is_reported(tmp_path):
    parent, rows = model(tmp_path / "parent"), examples(tmp_path / "examples")
    node = Pruner(
        model=channel_utils.as_channel([parent]),
        examples=channel_utils.as_channel([rows]),
        pattern=Pattern.TWO_OF_FOUR,
        fine_tuning=FineTuningSettings(epochs=3, learning_rate=1e-3),
        eval_config=EVAL_CONFIG,
        max_metric_drop=0.05,
    )
    made = outputs(tmp_path / "out")
    Executor().Do({"parent": [parent], "examples": [rows]}, made, properties(node))
    (child,), (artifact,) = made["model"], made["optimization_report"]

    report = OPTIMIZATION_REPORT.load(f"{artifact.uri}/optimization_report.json")
    assert (report.verdict, report.reason) == (
        OptimizationVerdict.KEPT,
        OptimizationReason.WITHIN_BUDGET,
    )
    assert [result.slice for result in report.slices] == ["even:0", "even:1"]
    assert report.overall.rows == sum(result.rows for result in report.slices) == 597
    lost = report.overall.parent.value - report.overall.child.value
    assert report.overall.drop.value == pytest.approx(lost)
    assert report.child.size.zipped_bytes < report.parent.size.zipped_bytes
    assert {layer.name: layer.zeros for layer in report.child.layers}["hidden"] > 8000
    assert len(report.child.latency) == len(report.parent.latency) == 2
    assert artifact.get_int_custom_property("kept") == 1
    assert artifact.get_string_custom_property("technique") == "pruning"
    assert child.get_string_custom_property("variant") == "pruned"

    loaded = [tf.saved_model.load(f"{a.uri}/Format-Serving").signatures for a in (parent, child)]
    assert set(loaded[0]) == set(loaded[1]) == {"serving_default", "serving_columns"}
    images = digits()[1].inputs[IMAGE].reshape(-1, 64)
    scores = loaded[1]["serving_columns"](image=tf.constant(images))["probabilities"].numpy()
    right = (scores.argmax(axis=1) == digits()[1].labels).mean()
    assert right == pytest.approx(report.overall.child.value)


def test_a_limit_that_is_broken_is_said_of_a_model_without_a_keras_file(tmp_path):
    parent, rows = model(tmp_path / "parent"), examples(tmp_path / "examples")
    shutil.rmtree(tmp_path / "parent" / "Format-Keras")
    node = Pruner(
        model=channel_utils.as_channel([parent]),
        examples=channel_utils.as_channel([rows]),
        sparsity=0.98,
        fine_tuning={"epochs": 1, "batch_size": 256},
        label_key="digit",
        max_metric_drop=0.0,
    )
    made = outputs(tmp_path / "out")
    Executor().Do({"parent": [parent], "examples": [rows]}, made, properties(node))
    (artifact,) = made["optimization_report"]
    report = OPTIMIZATION_REPORT.load(f"{artifact.uri}/optimization_report.json")
    # Its layers were read off the SavedModel: it answers as well as the trained one, and is pruned.
    assert report.overall.parent.value > 0.9
    assert report.child.sparsity > 0.8
    assert report.verdict is OptimizationVerdict.NOT_KEPT
    assert "lost; 0 may be lost" in report.explanation
    assert artifact.get_int_custom_property("kept") in (0, None)
