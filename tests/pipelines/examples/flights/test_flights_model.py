"""The network is the same for the same seed, and knows more than the rate of late flights."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tfx_loop.pipelines.examples.flights.data import LABEL

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def tables(fifth):
    """January and February to learn from, March to be judged on."""
    from tfx_loop.pipelines.examples.flights.features import NumpyTransform

    known = fifth[fifth[LABEL].notna()]
    learn, judge = known[known["span"] < 3], known[known["span"] == 3]
    measured = NumpyTransform.of(learn)
    return [(measured(rows), rows[LABEL].to_numpy("float32")) for rows in (learn, judge)], len(
        measured.vocabulary
    ) + 1


@pytest.fixture(scope="module")
def train(tables):
    from tfx_loop.pipelines.examples.flights import model

    (learn, judge), size = tables

    def scores(seed):
        network = model.train(*learn, size, seed)
        return network.predict(judge[0], batch_size=8192, verbose=0)[:, 0]

    return scores


@pytest.fixture(scope="module")
def first(train):
    return train(0)


def test_training_is_repeatable_by_its_seed(train, first):
    np.testing.assert_array_equal(train(0), first)


def test_another_seed_is_another_network(train, first):
    assert not np.allclose(train(1), first)


def test_the_network_beats_the_rate_of_late_flights(tables, first):
    (learn, judge), _ = tables
    rate = np.full(len(judge[1]), learn[1].mean())
    assert log_loss(judge[1], first) < log_loss(judge[1], rate) - 0.005
    assert roc_auc_score(judge[1], first) > 0.6


def test_scores_are_probabilities(first):
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.std(first) > 0.02


def test_signatures_take_every_feature_by_name_and_type():
    from tfx_loop.pipelines.examples.flights import model
    from tfx_loop.pipelines.examples.flights.data import FEATURES

    specs = model._column_specs()
    assert set(specs) == set(FEATURES)
    assert {name: spec.name for name, spec in specs.items()} == {name: name for name in FEATURES}
