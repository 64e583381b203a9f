"""Without labels the estimate is right where scores mean what they meant, with an interval."""

import numpy as np
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.score_calibration import (
    CalibrationMap,
    estimate,
    first_positive,
    fit_calibration,
    measured,
    squared_error,
)

BINS = 200
HALF = BINS // 2


def scored(rows, seed, centre=-1.0):
    """Scores of a model that is too sure of itself, and labels by their true probability."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(centre, 1.5, rows)
    labels = rng.random(rows) < 1 / (1 + np.exp(-logits))
    return 1 / (1 + np.exp(-2 * logits)), labels


def binned(scores, labels=None):
    edges = np.sin(np.pi / 2 * np.arange(1, BINS) / BINS) ** 2
    places = np.searchsorted(edges, scores)
    return np.bincount(places, weights=labels, minlength=BINS)


@pytest.fixture(scope="module")
def calibration():
    scores, labels = scored(20_000, seed=1)
    return fit_calibration(binned(scores), binned(scores, labels))


def test_shifted_inputs_are_seen_without_labels(calibration):
    for centre in (-2.0, -1.0, 1.0):
        scores, labels = scored(50_000, seed=5, centre=centre)
        found = estimate(binned(scores), calibration, positive_from=HALF)
        decided = scores >= 0.5
        assert found["auc"].value == pytest.approx(roc_auc_score(labels, scores), abs=0.01)
        assert found["accuracy"].value == pytest.approx(accuracy_score(labels, decided), abs=0.01)
        assert found["f1"].value == pytest.approx(f1_score(labels, decided), abs=0.02)


@pytest.mark.slow
def test_the_interval_holds_what_labels_show_in_19_of_20_windows(calibration):
    inside = 0
    for seed in range(200):
        scores, labels = scored(1_000, seed=100 + seed)
        auc = estimate(binned(scores), calibration, positive_from=HALF, seed=seed)["auc"]
        inside += auc.low <= roc_auc_score(labels, scores) <= auc.high
    assert 0.90 <= inside / 200 <= 0.99


def test_a_window_with_the_scores_of_the_held_out_rows_is_estimated_as_they_were_measured():
    scores, labels = scored(300, seed=8)
    held_out = binned(scores), binned(scores, labels)
    calibration = fit_calibration(*held_out)
    promised = measured(*held_out, HALF)
    found = estimate(held_out[0], calibration, HALF, held_out=held_out)
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(promised)
    # The map alone fits the chance of 300 rows, and promises more.
    assert estimate(held_out[0], calibration, HALF)["auc"].value > promised["auc"] + 0.005
    assert promised["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=0.003)
    assert promised["accuracy"] == pytest.approx(accuracy_score(labels, scores > 0.5), abs=0.003)


@pytest.mark.slow
def test_few_held_out_rows_mislead_less_when_their_own_estimate_is_known():
    errors = {"map": [], "held out": []}
    for seed in range(40):
        scores, labels = scored(500, seed=1_000 + seed)
        held_out = binned(scores), binned(scores, labels)
        calibration = fit_calibration(*held_out)
        now, truth = scored(5_000, seed=2_000 + seed, centre=0.5)
        realised = roc_auc_score(truth, now)
        for name, known in (("map", None), ("held out", held_out)):
            found = estimate(binned(now), calibration, HALF, held_out=known)["auc"]
            errors[name].append(abs(found.value - realised))
            assert 0 <= found.low <= found.value <= found.high <= 1
    assert np.mean(errors["held out"]) < 0.9 * np.mean(errors["map"])


def test_the_squared_error_is_that_of_the_scores():
    scores, labels = scored(5_000, seed=3)
    edges = np.sin(np.pi / 2 * np.arange(1, BINS) / BINS) ** 2
    found = squared_error(binned(scores), binned(scores, labels), edges)
    assert found == pytest.approx(np.mean((scores - labels) ** 2), abs=1e-4)
    with pytest.raises(DataError, match="received none"):
        squared_error([0] * BINS, [0] * BINS, edges)


def test_answers_of_one_begin_at_the_edge_nearest_to_the_threshold():
    edges = np.arange(1, BINS) / BINS
    assert first_positive(edges, 0.5) == HALF
    assert first_positive(edges, 0.1) == 20


def test_a_metric_that_has_no_value_is_left_out():
    sure = CalibrationMap(bins=2, centres=(0.5,), rates=(0.0,), rows=(100,))
    found = estimate([10, 0], sure, positive_from=1)
    assert "precision" not in found
    assert "auc" not in found
    assert found["accuracy"].value == 1.0


@settings(max_examples=scaled(50))
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_map_rises_and_keeps_all_rows_and_ones(bins):
    rows = [count for count, _ in bins]
    ones = [round(count * share) for count, share in bins]
    if not sum(rows):
        return
    made = fit_calibration(rows, ones)
    assert np.all(np.diff(made.at_bins()) >= -1e-12)
    assert len(made.at_bins()) == len(rows)
    assert sum(made.rows) == sum(rows)
    assert np.dot(made.rows, made.rates) == pytest.approx(sum(ones), abs=1e-6)


def test_bad_input_is_one_line(calibration):
    with pytest.raises(DataError, match="Expected rows in 200 bins of the score, received 0 rows"):
        estimate([0] * BINS, calibration, positive_from=HALF)
    with pytest.raises(DataError, match="received 3 rows in 2"):
        estimate([1, 2], calibration, positive_from=1)
    with pytest.raises(DataError, match="Expected labelled rows by bin"):
        fit_calibration([0, 0], [0, 0])
    with pytest.raises(DataError, match="Expected a centre, a rate and rows"):
        CalibrationMap(bins=1, centres=(0.0,), rates=(0.1,), rows=())
