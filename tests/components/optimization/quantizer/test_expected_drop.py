"""The expected drop tells more than the labels alone, and does not promise what is not so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.intervals import weighted_poisson_interval
from tfx_loop.optimization.metrics.metrics import metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring
from tfx_loop.optimization.quantizer.expected_drop import (
    expected_drop,
    fitted_temperature,
    tempered,
)

ACCURACY = metric("SparseCategoricalAccuracy", scoring=Scoring(kind=PredictionKind.CLASSES))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def population(rows, noise, seed=0, classes=4, sharpness=3.0):
    """Rows of a parent whose probabilities are right, and of a child: that parent, shaken."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (rows, classes))
    parent = softmax(logits)
    labels = (parent.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    child = softmax(logits + rng.normal(0, noise, logits.shape))
    return parent, child, labels


def accuracy(outputs, labels):
    return (outputs.argmax(axis=1) == labels).mean()


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_bound_holds_where_the_truth_is_known_and_is_tighter_than_labels(noise):
    parent, child, labels = population(120_000, noise)
    truth = accuracy(parent, labels) - accuracy(child, labels)
    order, misses, widths = np.random.default_rng(1), 0, []
    for _ in range(60):
        rows = order.permutation(len(labels))[:500]
        sample = parent[rows], child[rows], labels[rows], ACCURACY
        found, counted = expected_drop(*sample), drop(*sample)
        misses += truth > found.high
        widths.append((found.high - found.low) / (counted.high - counted.low))
    assert misses <= 4  # 2.5 % of 60, and chance
    assert np.mean(widths) < 0.75


def test_variant_that_hardly_moves_is_known_to_lose_nothing_on_few_rows():
    parent, _, labels = population(200, 0.0)
    child = tempered(parent, 1.001)
    assert expected_drop(parent, child, labels, ACCURACY).high < 0.0005
    # What labels alone can say of 200 rows without a single flip.
    assert drop(parent, child, labels, ACCURACY).high > 0.015


def test_identical_outputs_lose_exactly_nothing():
    parent, _, labels = population(60, 0.0)
    found = expected_drop(parent, parent, labels, ACCURACY)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_labels_decide_where_the_probabilities_are_wrong():
    """The child turns many rows on which the parent is right and says that it hardly knows."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    parent = np.where(np.arange(2)[None] == labels[:, None], 0.9, 0.1)
    unsure = np.arange(2000) < 200
    parent[unsure] = np.where(np.arange(2)[None] == labels[unsure][:, None], 0.505, 0.495)
    child = parent.copy()
    child[unsure] = parent[unsure][:, ::-1]
    found = expected_drop(parent, child, labels, ACCURACY)
    assert not found.by_probabilities
    assert found.value == pytest.approx(0.1)


def test_lucky_flips_promise_no_gain():
    parent, child, labels = population(400, 0.4)
    flipped = parent.argmax(axis=1) != child.argmax(axis=1)
    labels = np.where(flipped, child.argmax(axis=1), labels)
    found = expected_drop(parent, child, labels, ACCURACY)
    assert found.value >= 0
    assert drop(parent, child, labels, ACCURACY).value < 0


def test_other_metrics_are_measured_by_labels():
    parent, child, labels = population(500, 0.2, classes=2)
    f1, auc = (metric(n, scoring=Scoring(kind=PredictionKind.BINARY)) for n in ("F1Score", "AUC"))
    sample = parent[:, 1], child[:, 1], labels
    found, counted = expected_drop(*sample, f1), drop(*sample, f1)
    assert (found.value, found.high) == (counted.value, counted.high)
    # Of ranks a costly row may be missing among the rows.
    found, counted = expected_drop(*sample, auc), drop(*sample, auc)
    assert (found.value, found.low) == (counted.value, counted.low)
    assert counted.high < found.high < counted.high + 0.01
    assert not found.by_probabilities


def test_binary_probabilities_are_two_classes():
    parent, child, labels = population(3000, 0.3, classes=2)
    binary = metric("BinaryAccuracy", scoring=Scoring(kind=PredictionKind.BINARY))
    one = expected_drop(parent[:, 1], child[:, 1], labels, binary)
    two = expected_drop(parent, child, labels, ACCURACY)
    assert one.by_probabilities
    assert one.value == pytest.approx(two.value, abs=1e-9)
    assert one.high == pytest.approx(two.high, abs=1e-9)


def test_temperature_of_overconfident_probabilities_is_found():
    parent, _, labels = population(20_000, 0.0)
    assert fitted_temperature(tempered(parent, 0.5), labels) == pytest.approx(2.0, rel=0.05)


def test_poisson_interval_of_equal_weights_is_garwood_s():
    """Exact interval of a Poisson count of 10: 4.795 to 18.39 (Garwood 1936)."""
    low, high = weighted_poisson_interval(np.ones(10), 1.0)
    assert low == pytest.approx(4.795, abs=1e-3)
    assert high == pytest.approx(18.391, abs=1e-3)
    assert weighted_poisson_interval(np.array([]), 1.0) == (0.0, pytest.approx(3.689, abs=1e-3))


@given(
    weights=st.lists(st.floats(1e-3, 1.0), max_size=30),
    unseen=st.floats(0.0, 1.0),
    confidence=st.floats(0.5, 0.99),
)
def test_poisson_interval_holds_its_sum(weights, unseen, confidence):
    weights = np.array(weights)
    low, high = weighted_poisson_interval(weights, max(unseen, weights.max(initial=0)), confidence)
    assert 0 <= low <= weights.sum() + 1e-9
    assert high >= weights.sum() * 0.5
