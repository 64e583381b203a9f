"""Broken labels are told from labels of another world."""

import numpy as np
import pytest

from tfx_loop.monitoring.retrain_decider.label_faults import label_faults

SEEDS = range(20)


def answered(seed: int, *, rows: int = 1500, shift: float = 0.0, strength: float = 2.0):
    """Labels of 0 and 1 with a champion's scores for them; its AUC is about 0.85 at strength 2."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    labels = (strength * x + shift - 1.0 + rng.logistic(size=rows) > 0).astype(float)
    return labels, 1 / (1 + np.exp(-(2 * x - 1.0)))


def found(labels, scores=None, trained=None):
    base = answered(999)[0] if trained is None else trained
    return label_faults(labels, base, scores, None if scores is None else 0.85)


@pytest.mark.parametrize("seed", SEEDS)
def test_broken_labels_are_named(seed: int) -> None:
    labels, scores = answered(seed)
    assert found(1 - labels, scores) == ("flipped",)
    assert found(labels * 1000, scores) == ("beyond_training_range",)
    assert found(np.zeros(1500), scores) == ("one_class",)
    rare = np.where(np.arange(1500) % 20 == 0, labels, 0.0)
    assert "class_share" in found(rare, scores)
    rng = np.random.default_rng(seed)
    amounts, trained = rng.lognormal(3, 1, 1500), rng.lognormal(3, 1, 3000)
    assert "beyond_training_range" in found(amounts * 1000, trained=trained)
    assert found(np.where(rng.random(1500) < 0.5, 0.0, amounts), trained=trained) == ("stuck",)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("world", [{}, {"shift": 1.5}, {"shift": -1.5}, {"strength": 0.3}])
def test_sound_labels_of_other_worlds_are_not(seed: int, world) -> None:
    labels, scores = answered(seed, **world)
    assert found(labels, scores) == ()
    rng = np.random.default_rng(seed)
    amounts, trained = rng.lognormal(3.3, 1.1, 1500), rng.lognormal(3, 1, 3000)
    assert found(amounts, trained=trained) == ()


def test_few_labels_or_unknown_answers_are_not_judged() -> None:
    labels, scores = answered(1)
    assert found(np.zeros(20)) == ()
    assert found(np.array([])) == ()
    assert found(1 - labels, np.full(1500, np.nan)) == ()
    assert label_faults(1 - labels, labels, scores, None) == ()
    assert found(np.array([0.0, np.inf])) == ("infinite",)
