"""The interval of a paired drop covers the true drop, also where the two models seldom disagree."""

import numpy as np
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.intervals import tango, wilson
from tfx_loop.optimization.metrics.metrics import metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

CLASSES = metric("SparseCategoricalAccuracy", scoring=Scoring(kind=PredictionKind.CLASSES))


def answers(right):
    """Returns scores of two classes; the label is always 0."""
    return np.stack([right, 1 - right], axis=1).astype(float)


def score_by_search(lost, gained, rows, delta):
    """Tango's statistic with the restricted likelihood maximised by search, not by its formula."""
    p_gained = np.linspace(max(0.0, -delta), (1 - delta) / 2, 200_001)[1:-1]
    p_lost, same = p_gained + delta, rows - lost - gained
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            lost * np.log(p_lost) + gained * np.log(p_gained) + same * np.log1p(-p_lost - p_gained)
        )
    best = p_gained[np.nanargmax(likelihood)]
    return (lost - gained - rows * delta) / np.sqrt(rows * (2 * best + delta * (1 - delta)))


@pytest.mark.parametrize(("lost", "gained", "rows"), [(12, 2, 50), (3, 1, 400), (1, 5, 120)])
def test_tangos_bounds_are_where_the_score_is_the_normal_quantile(lost, gained, rows):
    z = stats.norm.ppf(0.975)
    low, high = tango(lost, gained, rows)
    assert score_by_search(lost, gained, rows, low) == pytest.approx(z, abs=1e-3)
    assert score_by_search(lost, gained, rows, high) == pytest.approx(-z, abs=1e-3)


def test_no_disagreement_is_no_proof_of_no_drop():
    low, high = tango(0, 0, 200)
    z2 = stats.norm.ppf(0.975) ** 2
    assert high == pytest.approx(z2 / (200 + z2), rel=1e-3)
    assert low == pytest.approx(-high)


@settings(max_examples=scaled(60), deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 400))
def test_the_interval_holds_the_value_and_turns_with_the_sides(lost, gained, same):
    rows = max(lost + gained + same, 1)
    low, high = tango(lost, gained, rows)
    assert -1 <= low <= (lost - gained) / rows <= high <= 1
    mirrored = tango(gained, lost, rows)
    assert mirrored == (pytest.approx(-high, abs=1e-6), pytest.approx(-low, abs=1e-6))


@pytest.mark.slow
def test_accuracys_interval_covers_the_true_drop():
    rng, covered, runs = np.random.default_rng(1), 0, 600
    for _ in range(runs):  # the child breaks 3 % of the rows and mends 1 %
        lost, gained, _ = rng.multinomial(300, [0.03, 0.01, 0.96])
        low, high = tango(lost, gained, 300)
        covered += low <= 0.02 <= high
    assert covered / runs >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("name", "floor"), [("AUC", 0.92), ("F1Score", 0.92), ("LogLoss", 0.9)])
def test_other_metrics_intervals_cover_the_true_drop(name, floor):
    measured, rng = metric(name), np.random.default_rng(2)

    def rows(count):
        labels = (rng.random(count) < 0.4).astype(float)
        signal = rng.normal(size=count) + 1.5 * labels - 0.7
        worse = signal + 0.5 * rng.normal(size=count)
        return labels, 1 / (1 + np.exp(-signal)), 1 / (1 + np.exp(-worse))

    labels, parent, child = rows(200_000)
    truth = drop(parent, child, labels, measured).value
    covered = 0
    for seed in range(200):
        labels, parent, child = rows(300)
        found = drop(parent, child, labels, measured, seed=seed)
        covered += found.low <= truth <= found.high
    assert covered / 200 >= floor


@pytest.mark.parametrize(
    ("name", "higher"), [("AUC", True), ("MeanSquaredError", False), ("Recall", True)]
)
def test_a_drop_is_positive_when_the_child_is_worse(name, higher):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, size=200).astype(float)
    good = np.clip(labels * 0.8 + 0.1, 0, 1)
    bad = np.where(rng.random(200) < 0.3, 1 - good, good)
    measured = metric(name)
    assert measured.higher_is_better is higher
    assert drop(good, bad, labels, measured).value > 0
    assert drop(bad, good, labels, measured).value < 0


def test_the_same_outputs_lose_nothing():
    scores = answers(np.array([1, 0, 1, 1]))
    found = drop(scores, scores, np.zeros(4, int), CLASSES)
    assert (found.value, found.disagreeing) == (0.0, 0)
    assert found.low < 0 < found.high


def test_recall_that_is_not_defined_is_not_a_number_and_no_promise():
    found = drop(np.full(20, 0.9), np.full(20, 0.1), np.zeros(20), metric("Recall"))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_wilsons_interval_of_no_errors_is_not_empty():
    assert wilson(1.0, 50) == (pytest.approx(0.9287, abs=1e-3), 1.0)


def test_a_hundred_thousand_rows_take_less_than_a_second():
    import time

    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, size=100_000).astype(float)
    scores = rng.random(100_000)
    start = time.process_time()
    drop(scores, scores**1.1, labels, metric("AUC"))
    assert time.process_time() - start < 1.0
