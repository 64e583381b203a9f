"""The verdict comes from rows that nobody chose on, and says what it rests on."""

import numpy as np
import pytest

from tfx_loop.contracts.optimization_report import Rung, RungStatus, Size
from tfx_loop.optimization.file_compression.confirmation import kept, refutation
from tfx_loop.optimization.file_compression.guess_warning import no_better_than_guessing
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
    return refutation("int8", reporting, everywhere, budget)


def test_within_the_budget_it_says_what_was_gained_and_lost():
    assert told(2, 1000) is None
    budget = Budget(metric=ACCURACY, max_metric_drop=0.005)
    assert kept(INT8, judged(2, 1000, budget, None), budget, "3.2 times smaller") == (
        "Int8 keeps to the budget: 3.2 times smaller, 0.0020 of accuracy lost, 0.0050 was allowed"
    )


@pytest.mark.parametrize(
    ("wrong", "rows", "all_wrong", "all_rows"),
    [
        # However few the rows, and whatever those that chose it say.
        (1, 100, 1, 100_000),
        (2, 100, 2, 400),
        (6, 1000, None, None),
        (30, 1000, 30, 100_000),
    ],
)
def test_unseen_rows_that_lose_more_take_the_variant_back(wrong, rows, all_wrong, all_rows):
    found = told(wrong, rows, all_wrong=all_wrong, all_rows=all_rows)
    assert f"on {rows:,} rows that it had not seen; 0.0050 was allowed" in found


def test_a_slice_over_its_limit_takes_the_variant_back():
    slices = {"shop": np.repeat(["a", "b"], [100, 900])}
    assert told(4, 1000, slice_limit=0.05, slices=slices) is None
    assert "on shop:a on 100 rows" in told(4, 1000, slice_limit=0.03, slices=slices)


def test_a_model_that_knows_nothing_of_these_rows_is_warned_of():
    labels = np.repeat([0, 1], [80, 20])
    outputs = {"out": np.tile([0.3, 0.7], (100, 1))}
    assert "no better than one answer for all of them (0.8000)" in no_better_than_guessing(
        ACCURACY, labels, outputs
    )
    knows = {"out": np.eye(2)[labels]}
    assert no_better_than_guessing(ACCURACY, labels, knows) is None
