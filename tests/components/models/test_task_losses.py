"""Losses of every task are scikit-learn's, and no constant answer beats the constant."""

import numpy as np
import pytest
from sklearn import metrics

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.models.task_losses import (
    bounded_errors,
    constant_answer,
    repeated,
    row_losses,
    shaped_answers,
)

ROWS = 400
RANDOM = np.random.default_rng(0)
SHARES = RANDOM.dirichlet([2.0, 1.0, 0.5], ROWS)
CLASSES = RANDOM.integers(0, 3, ROWS).astype(float)
NUMBERS = RANDOM.gamma(2.0, 3.0, ROWS)
ANSWERS = NUMBERS * RANDOM.uniform(0.5, 1.5, ROWS)
BITS = RANDOM.integers(0, 2, (ROWS, 3))
SETS = (BITS @ [1, 2, 4]).astype(float)
CHANCES = RANDOM.uniform(0.02, 0.98, (ROWS, 3))


@pytest.mark.parametrize(
    ("text", "labels", "answers", "theirs"),
    [
        ("binary", BITS[:, 0] * 1.0, CHANCES[:, 0], metrics.log_loss(BITS[:, 0], CHANCES[:, 0])),
        ("classes:3", CLASSES, SHARES, None),
        ("labels:3", SETS, CHANCES, metrics.log_loss(BITS.reshape(-1), CHANCES.reshape(-1))),
        ("regression", NUMBERS, ANSWERS, metrics.mean_squared_error(NUMBERS, ANSWERS)),
        ("regression:absolute", NUMBERS, ANSWERS, metrics.mean_absolute_error(NUMBERS, ANSWERS)),
        (
            "regression:quantile=0.9", NUMBERS, ANSWERS,
            metrics.mean_pinball_loss(NUMBERS, ANSWERS, alpha=0.9),
        ),
        ("regression:poisson", NUMBERS, ANSWERS, metrics.mean_poisson_deviance(NUMBERS, ANSWERS)),
    ],
)  # fmt: skip
def test_losses_are_those_of_scikit_learn(text, labels, answers, theirs):
    task = ModelTask.of_text(text)
    losses = row_losses(labels, answers, task)
    if theirs is None:
        theirs = metrics.log_loss(labels, np.clip(answers, 1e-4, 1))
    assert losses.mean() == pytest.approx(theirs, rel=2e-3)
    best = constant_answer(labels, task)
    least = row_losses(labels, repeated(best, ROWS), task).mean()
    for factor in (0.9, 1.1):
        other = best * factor
        other = other / other.sum() if text.startswith("classes") else other
        assert row_losses(labels, repeated(other, ROWS), task).mean() >= least - 1e-9
    errors = bounded_errors(labels, answers, task, cap=float(np.quantile(losses, 0.99)))
    assert errors.min() >= 0
    assert errors.max() <= 1


def test_logits_are_probabilities_and_other_shapes_are_refused():
    task = ModelTask.of_text("classes:3")
    logits = np.log(SHARES) + 5
    np.testing.assert_allclose(shaped_answers(logits, ROWS, task), SHARES, rtol=1e-9)
    with pytest.raises(DataError, match="3 numbers a row for the task 3 classes"):
        shaped_answers(CLASSES, ROWS, task)
    with pytest.raises(DataError, match="one number a row for the task binary"):
        shaped_answers(SHARES, ROWS, ModelTask.of_text("binary"))
    assert shaped_answers(np.zeros((0, 3)), 0, task).shape == (0, 3)


def test_negative_counts_are_refused():
    with pytest.raises(DataError, match="counts of 0 and more"):
        row_losses(np.array([-1.0]), np.array([1.0]), ModelTask.of_text("regression:poisson"))
