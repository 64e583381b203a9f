"""The node Distiller on real artifacts: a small student of a trained model, judged beside it."""

import pytest
import tensorflow as tf
from digit_artifacts import examples, model, outputs, properties
from digit_networks import digits
from tfx.types import channel_utils

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    OptimizationReason,
    OptimizationVerdict,
)
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.optimization.distiller.component import Distiller
from tfx_loop.optimization.distiller.executor import Executor

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]


def test_a_student_is_taught_served_and_reported(tmp_path):
    teacher, rows = model(tmp_path / "teacher"), examples(tmp_path / "examples")
    node = Distiller(
        teacher=channel_utils.as_channel([teacher]),
        examples=channel_utils.as_channel([rows]),
        student_fn="digit_networks.student_of_logits",
        fine_tuning={"epochs": 12, "learning_rate": 5e-3},
        label_key="digit",
    )
    made = outputs(tmp_path / "out")
    Executor().Do({"teacher": [teacher], "examples": [rows]}, made, properties(node))
    (student,), (artifact,) = made["model"], made["optimization_report"]

    report = OPTIMIZATION_REPORT.load(f"{artifact.uri}/optimization_report.json")
    assert (report.verdict, report.reason) == (
        OptimizationVerdict.KEPT,
        OptimizationReason.NO_BUDGET,
    )
    assert report.technique == "distillation"
    assert report.child.parameters < report.parent.parameters / 10
    assert report.overall.child.value > 0.85
    # The teacher answers with probabilities, the student with logits: compared as probabilities.
    assert report.parity.max_difference <= 1
    assert report.parity.top_class_agreement > 0.85
    assert student.get_string_custom_property("variant") == "distilled"

    serve = tf.saved_model.load(f"{student.uri}/Format-Serving").signatures["serving_default"]
    files = tf.data.TFRecordDataset(f"{rows.uri}/Split-eval/data.gz", "GZIP")
    logits = next(iter(serve(examples=tf.constant(list(files.as_numpy_iterator()))).values()))
    assert open_table(f"{rows.uri}/Split-eval").rows == len(logits)
    right = (logits.numpy().argmax(axis=1) == digits()[1].labels).mean()
    assert right == pytest.approx(report.overall.child.value)
