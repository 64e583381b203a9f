"""The benchmark of estimated quality in short: its parts are right, estimates are worth having."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.benchmarks.drift.estimated import Scored, expected_auc, line, measured


def test_expected_auc_of_known_labels_is_the_auc():
    random = np.random.default_rng(0)
    scores = np.round(random.random(500), 2)
    labels = (random.random(500) < scores).astype(float)
    assert expected_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


@pytest.fixture(scope="module")
def moved():
    """A model that is too sure of itself, and inputs that move away and back."""
    random = np.random.default_rng(1)

    def window(rows, centre, spread):
        logits = random.normal(centre, spread, rows)
        labels = (random.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)
        return 1 / (1 + np.exp(-2 * logits)), labels

    moves = ((-1.0, 0.6), (0.0, 1.0), (0.5, 1.8), (1.5, 0.8), (-2.0, 1.5), (-1.0, 1.2))
    windows = tuple(window(4_000, *move) for move in moves)
    return measured(Scored("moved", window(8_000, -1.0, 1.5), windows))


def test_estimates_follow_inputs_that_moved(moved):
    means = {name: errors.mean() for name, errors in moved.by_method.items()}
    assert means["ours"] < 0.25 * means["unchanged"]
    assert means["ours"] < 1.2 * means["cbpe"]
    assert means["ours"] < 3 * moved.noise
    assert moved.inside.sum() >= 5


def test_the_line_has_all_columns(moved):
    assert line(moved)[:3] == ("moved", "6", "4,000")
    assert line(moved)[-2:] == (f"{moved.inside.sum()} of 6", f"{moved.inside_widened.sum()} of 6")


def test_taxi_trips_are_estimated_better_than_by_assuming_no_change():
    from tests.benchmarks.drift.estimated import taxi

    found = measured(taxi())
    assert found.by_method["ours"].mean() < found.by_method["unchanged"].mean()
