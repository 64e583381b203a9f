"""A function of the user's own has the intervals that the metric of the same values has."""

import numpy as np
import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.metrics import metric
from tfx_loop.optimization.metrics.own_metric import own_metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring
from tfx_loop.optimization.quantizer.expected_drop import expected_drop

NUMBERS = Scoring(kind=PredictionKind.NUMBER)


def mean_squared(truth, answers):
    return ((truth - answers) ** 2).mean()


def macro_f1(truth, scores):
    found = scores.argmax(axis=1)
    classes = range(scores.shape[1])
    both = [((truth == k) & (found == k)).sum() for k in classes]
    each = [(truth == k).sum() + (found == k).sum() for k in classes]
    return float(np.mean([2 * b / max(e, 1) for b, e in zip(both, each, strict=True)]))


@pytest.mark.parametrize("rows", [150, 1000])
def test_the_jackknife_agrees_with_the_known_influence(rows):
    random = np.random.default_rng(rows)
    truth = random.normal(size=rows)
    parent = truth + 0.3 * random.normal(size=rows)
    child = parent + 0.2 * random.normal(size=rows)
    named = metric("mse", scoring=NUMBERS)
    own = own_metric(mean_squared, "own", higher_is_better=False)
    expected, found = (drop(parent, child, truth, m) for m in (named, own))
    assert found.value == pytest.approx(expected.value)
    assert found.high - found.value == pytest.approx(expected.high - expected.value, rel=0.25)


def drawn(random, rows, lost):
    """Three classes, a parent that is mostly right, a child that breaks a share of the rows."""
    truth = random.integers(0, 3, rows)
    right = np.where(random.random(rows) < 0.95, truth, (truth + 1) % 3)
    broken = np.where(random.random(rows) < lost, (right + 1) % 3, right)
    return truth, np.eye(3)[right] * 0.8 + 0.1, np.eye(3)[broken] * 0.7 + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("rows", [60, pytest.param(400, marks=pytest.mark.long)])
def test_the_bound_of_macro_f1_covers_what_is_lost(rows):
    random, own = np.random.default_rng(rows), own_metric(macro_f1, "macro_f1")
    truth, parent, child = drawn(random, 100_000, 0.01)
    lost = macro_f1(truth, parent) - macro_f1(truth, child)
    below = 0
    for _ in range(40):
        truth, parent, child = drawn(random, rows, 0.01)
        below += expected_drop(parent, child, truth, own, confidence=0.9).high < lost
    # One in twenty may be by chance; without a bound on rows unseen it is one in three.
    assert below <= 4


def test_no_change_on_few_rows_proves_little():
    truth, parent, _ = drawn(np.random.default_rng(1), 100, 0)
    own = own_metric(macro_f1, "macro_f1")
    found = expected_drop(parent, parent * 0.9, truth, own, confidence=0.9)
    assert found.value == 0
    assert found.high > 0.02
    assert expected_drop(parent, parent.copy(), truth, own).high == 0


@pytest.mark.parametrize("function", [lambda *_: "many", lambda *_: 1 / 0, lambda truth: 0.0])
def test_a_function_that_gives_no_number_is_one_line(function):
    own = own_metric(function, "mine")
    with pytest.raises(ConfigError, match="Expected one number from mine, received") as caught:
        own.compute(np.zeros(4), np.zeros((4, 1)))
    assert "\n" not in str(caught.value)
