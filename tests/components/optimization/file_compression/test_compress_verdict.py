"""The verdict comes from rows that nobody chose on, and says what it rests on."""

import numpy as np
import pytest

from tfx_loop.contracts.optimization_report import (
    OptimizationReason,
    OptimizationVerdict,
    Rung,
    RungStatus,
    Size,
)
from tfx_loop.optimization.file_compression.baseline import no_better_than_guessing
from tfx_loop.optimization.file_compression.verdict import final_verdict
from tfx_loop.optimization.metrics.budget import Budget, judge
from tfx_loop.optimization.metrics.metrics import metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

ACCURACY = metric("SparseCategoricalAccuracy", scoring=Scoring(kind=PredictionKind.CLASSES))
INT8 = Rung(
    name="int8",
    mode="int8",
    status=RungStatus.CHOSEN,
    reason="kept",
    size=Size(raw_bytes=1000, zipped_bytes=900),
)


def judged(wrong, rows, budget, slices):
    labels = np.zeros(rows, int)
    parent = np.tile([1.0, 0.0], (rows, 1))
    child = parent.copy()
    child[:wrong] = [0.0, 1.0]
    return judge(parent, child, labels, budget, slices)


def told(wrong, rows, *, all_wrong=None, all_rows=None, slice_limit=None, slices=None):
    budget = Budget(metric=ACCURACY, max_metric_drop=0.005, max_slice_drop=slice_limit)
    reporting = judged(wrong, rows, budget, slices)
    everywhere = judged(all_wrong or wrong, all_rows, budget, {}) if all_rows else reporting
    return final_verdict(INT8, reporting, everywhere, budget, 3200)


def test_within_the_budget_it_says_what_was_gained_and_lost():
    found = told(2, 1000)
    assert (found.verdict, found.reason) == (
        OptimizationVerdict.KEPT,
        OptimizationReason.WITHIN_BUDGET,
    )
    assert found.explanation == (
        "Int8 keeps to the budget: 3.2 times smaller, 0.0020 of accuracy lost, 0.0050 was allowed"
    )


def test_one_row_of_few_neither_confirms_nor_refutes():
    found = told(1, 100)
    assert (found.verdict, found.reason) == (
        OptimizationVerdict.KEPT,
        OptimizationReason.WITHIN_ON_ALL_HELD_OUT,
    )


def test_few_unseen_rows_are_read_with_those_that_chose():
    found = told(2, 100, all_wrong=2, all_rows=400)
    assert (found.verdict, found.reason) == (
        OptimizationVerdict.KEPT,
        OptimizationReason.WITHIN_ON_ALL_HELD_OUT,
    )
    assert "0.0200 on 100 rows is within what so few can tell" in found.explanation
    assert "over all 400 held-out rows it is 0.0050" in found.explanation


@pytest.mark.parametrize(
    ("wrong", "rows", "all_wrong", "all_rows"),
    [(2, 100, 3, 400), (6, 1000, None, None), (30, 1000, 30, 100_000)],
)
def test_unseen_rows_that_lose_more_take_the_verdict_back(wrong, rows, all_wrong, all_rows):
    found = told(wrong, rows, all_wrong=all_wrong, all_rows=all_rows)
    assert (found.verdict, found.reason) == (
        OptimizationVerdict.NOT_KEPT,
        OptimizationReason.NOT_CONFIRMED,
    )
    assert f"on {rows:,} rows that it had not seen" in found.explanation


def test_a_slice_over_its_limit_takes_the_verdict_back():
    slices = {"shop": np.repeat(["a", "b"], [100, 900])}
    assert told(4, 1000, slice_limit=0.05, slices=slices).verdict is OptimizationVerdict.KEPT
    found = told(4, 1000, slice_limit=0.03, slices=slices)
    assert found.verdict is OptimizationVerdict.NOT_KEPT
    assert "on shop:a on 100 rows" in found.explanation


def test_a_model_that_knows_nothing_of_these_rows_is_warned_of():
    labels = np.repeat([0, 1], [80, 20])
    outputs = {"out": np.tile([0.3, 0.7], (100, 1))}
    assert "no better than one answer for all of them (0.8000)" in no_better_than_guessing(
        ACCURACY, labels, outputs
    )
    knows = {"out": np.eye(2)[labels]}
    assert no_better_than_guessing(ACCURACY, labels, knows) is None
