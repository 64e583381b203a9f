"""A report is the same after it was written and read, and what is no report is refused."""

import json

import numpy as np
import pytest

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    Interval,
    Latency,
    Layer,
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Parity,
    Rung,
    RungStatus,
    Size,
    SliceResult,
)
from tfx_loop.core.errors import DataError

FACTS = ModelFacts(
    path="model.tflite",
    format="tflite",
    size=Size(raw_bytes=1000, zipped_bytes=700),
    layers=(Layer(name="dense", shape=(3, 4), parameters=12, zeros=6, error=0.3),),
    latency=(Latency(runtime="LiteRT", batch_size=1, p50_ms=1, p95_ms=2, p99_ms=3, calls=9),),
)
WHOLE = SliceResult(
    slice="overall",
    rows=100,
    parent=Interval(value=0.9, low=0.8, high=0.95),
    child=Interval(value=None),
    drop=Interval(value=0.001),
    limit=0.005,
)
REPORT = OptimizationResult(
    technique="quantization",
    verdict=OptimizationVerdict.KEPT,
    reason=OptimizationReason.WITHIN_BUDGET,
    explanation="int8 keeps to the budget.",
    parent=FACTS,
    child=FACTS,
    metric=MetricUsed(name="AUC"),
    overall=WHOLE,
    slices=(WHOLE,),
    parity=Parity(max_difference=0.1, mean_difference=0.01, rows=100),
    rungs=(
        Rung(
            name="int8",
            mode="int8",
            status=RungStatus.CHOSEN,
            reason="smallest_within_budget",
            size=FACTS.size,
            layer_errors={"dense": 0.3},
        ),
    ),
    rows={"calibration": 20},
    settings={"seed": 0, "slices": ["a"], "nested": {"k": None}},
    notes=("Classes: a is 0.",),
)


def test_what_was_written_is_read(tmp_path):
    OPTIMIZATION_REPORT.save(REPORT, tmp_path / "report.json")
    assert OPTIMIZATION_REPORT.load(tmp_path / "report.json") == REPORT


def test_numbers_that_are_none_become_null_in_valid_json():
    shown = Interval(value=float("nan"), low=float("-inf"), high=np.float32(1.5))
    report = OptimizationResult(
        **{**vars(REPORT), "overall": SliceResult(**{**vars(WHOLE), "drop": shown})}
    )
    text = json.dumps(OPTIMIZATION_REPORT.content(report), allow_nan=False)
    assert OPTIMIZATION_REPORT.value(json.loads(text)).overall.drop == Interval(
        value=None, low=None, high=1.5
    )


def test_fields_of_a_newer_writer_are_left_out():
    content = OPTIMIZATION_REPORT.content(REPORT)
    content["parent"]["colour"] = "blue"
    assert OPTIMIZATION_REPORT.value(content) == REPORT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=9), "schema_version 1 .* received 9"),
        (lambda c: c.pop("technique"), "Expected the field 'technique'.*Name a report that"),
        (lambda c: c.pop("parent"), "Expected the field 'parent'"),
        (lambda c: c.update(verdict="MAYBE"), "Expected one of KEPT, NOT_KEPT"),
        (lambda c: c.update(rungs=3), "Expected a list .* rungs"),
        (
            lambda c: c["parent"]["size"].update(raw_bytes="many"),
            "Expected a whole number .* raw_bytes",
        ),
    ],
)
def test_what_is_no_report_is_refused(change, message):
    content = OPTIMIZATION_REPORT.content(REPORT)
    change(content)
    with pytest.raises(DataError, match=message):
        OPTIMIZATION_REPORT.value(content)
