"""Bounds hold where the loss sits in rows that a few hundred have none of."""

import numpy as np
import pytest

from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.metrics import infer_metric
from tfx_loop.optimization.quantizer.expected_drop import expected_drop

_ONE_SIDED = 0.9  # two-sided: the upper end is a one-sided 95 % bound


def clipped_numbers(random, rows):
    """Prices of a log-normal amount; the child stands still beyond what 300 rows showed."""
    parent = np.exp(random.normal(size=rows)) * 2
    labels = parent * (1 + 0.25 * random.normal(size=rows))
    most = np.exp(random.normal(size=300)).max() * 2
    steps = most / 255
    child = np.round(np.clip(parent, 0, most) / steps) * steps
    return labels, parent, child


def rounded_probabilities(random, rows):
    """Calibrated probabilities of six classes; the child's are multiples of 1/256, often 0."""
    logits = 3 * random.normal(size=(rows, 6))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    parent = powers / powers.sum(axis=1, keepdims=True)
    labels = (parent.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return labels, parent, np.round(parent * 256) / 256


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((clipped_numbers, name) for name in ("r2", "mse", "rmse", "mae")),
        (rounded_probabilities, "logloss"),
    ],
)
def test_a_child_over_the_budget_is_seldom_accepted_on_a_few_hundred_rows(make, name):
    accepted = students = draws = 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        labels, parent, child = make(random, 20_000)
        metric = infer_metric(labels, {"o": parent}, name)
        sign = 1 if metric.higher_is_better else -1
        of_parent, of_child = (metric.compute(labels, {"o": x}) for x in (parent, child))
        budget = 0.95 * sign * (of_parent - of_child)
        for _ in range(20):
            rows = random.choice(len(labels), 400, replace=False)
            sample = ({"o": parent[rows]}, {"o": child[rows]}, labels[rows], metric)
            accepted += expected_drop(*sample, confidence=_ONE_SIDED).high <= budget
            students += drop(*sample, confidence=_ONE_SIDED).high <= budget
            draws += 1
    # Nominal are 5 % of 200; 20 would be four standard deviations more.
    assert accepted <= 20
    assert students > 2 * accepted


def test_a_child_with_open_ranges_needs_no_room_for_rows_beyond():
    random = np.random.default_rng(0)
    labels, parent, _ = clipped_numbers(random, 500)
    child = {"o": parent * (1 + 1e-4 * random.normal(size=500))}
    metric = infer_metric(labels, {"o": parent}, "r2")
    sample = ({"o": parent}, child, labels, metric)
    assert expected_drop(*sample, clips=False).high < 1e-3
    # The same answers from fixed ranges may be far off on the next large amount.
    assert expected_drop(*sample, clips=True).high > 0.01


def test_the_same_answers_lose_nothing_for_certain():
    random = np.random.default_rng(1)
    labels, parent, _ = rounded_probabilities(random, 300)
    metric = infer_metric(labels, {"o": parent}, "logloss")
    found = expected_drop({"o": parent}, {"o": parent}, labels, metric)
    assert (found.value, found.high) == (0, pytest.approx(0, abs=1e-12))
