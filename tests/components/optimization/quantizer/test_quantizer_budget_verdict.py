"""A rung is not taken on noise, nor left on noise, and says why."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tfx_loop.contracts.optimization_report import RungStatus, SliceStatus
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.drops import MetricDrop
from tfx_loop.optimization.metrics.metrics import infer_metric, metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring
from tfx_loop.optimization.quantizer.budget_verdict import (
    RungReason,
    VariantJudge,
    rows_to_be_certain,
)

ACCURACY = metric("BinaryAccuracy", scoring=Scoring(kind=PredictionKind.BINARY))


def judge_of(rows, *, limit=0.01, slice_limit=None, slices=None, seed=0, min_slice_rows=50):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    right = np.where(labels == 1, 0.95, 0.05)
    wrong = rng.random(rows) < 0.05
    parent = {"p": np.where(wrong, 1 - right, right)}
    budget = Budget(
        metric=ACCURACY,
        max_metric_drop=limit,
        max_slice_drop=slice_limit,
        min_slice_rows=min_slice_rows,
    )
    given = Rows(inputs={"x": np.zeros((rows, 1))}, labels=labels, slices=slices or {})
    return VariantJudge(rows=given, parent=parent, budget=budget)


def flipped(judge, rows):
    """The parent's outputs with these rows decided the other way."""
    values = judge.parent["p"].copy()
    values[rows] = 1 - values[rows]
    return {"p": values}


def test_harmless_variant_is_kept():
    judge = judge_of(500)
    judged = judge.judge({"p": judge.parent["p"] * 0.999})
    assert judged.reason is RungReason.KEPT
    assert judged.overall.drop.value == 0
    assert judged.parity.top_class_agreement == 1.0


def test_large_loss_is_over_budget():
    judge = judge_of(1000)
    judged = judge.judge(flipped(judge, np.arange(100)))
    assert judged.reason is RungReason.OVER_BUDGET
    assert judged.status is RungStatus.OVER_BUDGET
    assert "0.01 may be lost" in judged.explanation


def test_few_rows_with_flips_are_not_certain_and_say_how_many_would_do():
    judge = judge_of(300)
    judged = judge.judge(flipped(judge, [3, 4]))
    assert judged.reason is RungReason.NOT_CERTAIN
    assert "rows would tell" in judged.explanation
    many = judge_of(30_000)
    spread = np.linspace(0, 29_999, 200).astype(int)
    assert many.judge(flipped(many, spread)).reason is RungReason.KEPT


def test_nan_outputs_are_a_failure_not_a_score():
    judge = judge_of(100)
    broken = judge.parent["p"].copy()
    broken[0] = np.nan
    judged = judge.judge({"p": broken})
    assert (judged.status, judged.reason) == (RungStatus.FAILED, RungReason.DOES_NOT_RUN)


def test_undefined_metric_excludes_no_loss():
    auc = metric("AUC", scoring=Scoring(kind=PredictionKind.BINARY))
    judge = judge_of(100)
    judge = replace(
        judge,
        budget=replace(judge.budget, metric=auc),
        rows=replace(judge.rows, labels=np.ones(100, dtype=int)),
    )
    assert judge.judge(judge.parent).reason is RungReason.NOT_CERTAIN


def test_without_budget_or_labels_what_runs_is_kept():
    judge = judge_of(50)
    for other in (
        replace(judge, budget=None),
        replace(judge, rows=replace(judge.rows, labels=None)),
    ):
        assert other.judge(flipped(judge, np.arange(50))).reason is RungReason.NO_BUDGET


def test_slice_that_breaks_holds_a_variant_back():
    slices = {"site": np.where(np.arange(3000) < 300, "a", "b")}
    judge = judge_of(3000, limit=0.05, slice_limit=0.05, slices=slices)
    judged = judge.judge(flipped(judge, np.arange(90)))
    assert judged.reason is RungReason.OVER_BUDGET_ON_SLICE
    assert "site:a" in judged.explanation
    by_name = {part.slice: part.status for part in judged.slices}
    assert by_name == {"site:a": SliceStatus.OVER, "site:b": SliceStatus.WITHIN}


def test_a_slice_that_proves_nothing_is_named_with_the_rows_that_would_do():
    slices = {"site": np.where(np.arange(6000) < 200, "small", "large")}
    judge = judge_of(6000, limit=0.02, slice_limit=0.01, slices=slices)
    child = flipped(judge, np.arange(201, 210))
    # One row of the small slice all but flipped: another one like it may.
    near = np.flatnonzero(judge.parent["p"][:200] > 0.9)[0]
    child["p"][near] = 0.55
    judged = judge.judge(child)
    assert judged.reason is RungReason.KEPT
    by_name = {part.slice: part for part in judged.slices}
    assert by_name["site:large"].status is SliceStatus.WITHIN
    assert by_name["site:large"].drop.high <= 0.01
    # No row of the small one was lost, and a loss of a point cannot be excluded on so few.
    assert by_name["site:small"].drop.value == 0
    assert by_name["site:small"].status is SliceStatus.TOO_FEW_ROWS
    assert "Too small to hold the slice budget of 0.01 with certainty: site:small (200 rows" in (
        judged.explanation
    )
    assert "would tell" in judged.explanation
    assert "site:large" not in judged.explanation


@pytest.mark.slow
def test_a_slice_over_its_limit_is_seldom_called_within():
    """A slice that loses twice its limit, drawn again and again, at its 95 % certainty."""
    called = 0
    for seed in range(60):
        slices = {"site": np.where(np.arange(4000) < 1000, "a", "b")}
        judge = judge_of(4000, limit=0.05, slice_limit=0.01, slices=slices, seed=seed)
        random = np.random.default_rng(seed)
        lost = np.flatnonzero(random.random(1000) < 0.02 / 0.9)
        part = judge.judge(flipped(judge, lost)).slices[0]
        called += part.status is SliceStatus.WITHIN
    assert called <= 3


@pytest.mark.slow
def test_small_slices_do_not_cry_wolf():
    """40 slices of 60 rows; a variant that flips one row in 200 anywhere, within the budget."""
    slices = {"site": np.arange(2400) % 40}
    cried = 0
    for seed in range(8):
        judge = judge_of(2400, limit=0.02, slice_limit=0.01, slices=slices, seed=seed)
        rows = np.random.default_rng(100 + seed).permutation(2400)[:12]
        judged = judge.judge(flipped(judge, rows))
        assert any(part.drop.value > 0.01 for part in judged.slices)  # point values would cry
        cried += judged.reason is RungReason.OVER_BUDGET_ON_SLICE
    assert cried == 0


def test_rows_that_would_tell_shrink_with_their_number_where_nothing_flipped():
    quiet = MetricDrop(value=0.0, low=0.0, high=0.02, rows=400, disagreeing=0)
    loud = MetricDrop(value=0.0, low=0.0, high=0.02, rows=400, disagreeing=3)
    assert rows_to_be_certain(quiet, 0.005) == 1600
    assert rows_to_be_certain(loud, 0.005) == 6400


@pytest.mark.parametrize("name", ["recall", "precision", "f1"])
def test_with_rare_positives_the_rows_that_are_told_do_tell(name):
    """One row in twenty is positive; the child moves scores and decides nothing otherwise."""

    def judged(rows):
        random = np.random.default_rng(rows)
        labels = (np.arange(rows) % 20 == 0).astype(int)
        scores = -3 + 5 * labels + random.normal(size=rows)
        parent, child = (1 / (1 + np.exp(-x[:, None])) for x in (scores, 1.01 * scores))
        chosen = infer_metric(labels, {"p": parent}, name)
        budget = Budget(metric=chosen, max_metric_drop=0.02)
        given = Rows(inputs={"x": np.zeros((rows, 1))}, labels=labels)
        return VariantJudge(rows=given, parent={"p": parent}, budget=budget).judge({"p": child})

    few = judged(400)
    assert few.reason is RungReason.NOT_CERTAIN
    (told,) = re.findall(r"about ([\d,]+) rows would tell", few.explanation)
    assert 400 < (enough := int(told.replace(",", ""))) < 3000
    assert judged(round(enough * 1.25)).reason is RungReason.KEPT
    assert judged(round(enough * 0.8)).reason is RungReason.NOT_CERTAIN


def test_tiny_slices_never_decide():
    slices = {"site": np.where(np.arange(2000) < 10, "tiny", "rest")}
    judge = judge_of(2000, limit=0.05, slice_limit=0.0, slices=slices, min_slice_rows=50)
    judged = judge.judge(flipped(judge, np.arange(10)))
    assert judged.reason is RungReason.KEPT
    tiny = next(part for part in judged.slices if part.slice == "site:tiny")
    assert tiny.status is SliceStatus.TOO_FEW_ROWS


@pytest.mark.slow
def test_more_certainty_asked_for_is_harder_to_meet():
    kept = {}
    for confidence in (0.8, 0.95, 0.99):
        judge = replace(judge_of(4000, limit=0.01), confidence=confidence)
        counts = [
            count
            for count in range(0, 60, 3)
            if judge.judge(flipped(judge, np.arange(count))).reason is RungReason.KEPT
        ]
        assert counts == list(range(0, 3 * len(counts), 3))  # what loses less is never refused
        kept[confidence] = counts[-1]
    assert 20 < kept[0.99] < kept[0.95] < kept[0.8] < 45  # 40 of 4,000 rows may be lost
