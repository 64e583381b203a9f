"""Labels that were lost by chance are told from worlds in which an event became rarer."""

import numpy as np
import pandas as pd
import pytest

from tfx_loop.monitoring.retrain_decider.lost_labels import (
    labels_were_lost,
    lost_label_faults,
)

# Other seeds than the limits were looked at with (0 to 59).
SEEDS = range(300, 320)


def window(seed: int, *, odds_moved: float = 0.0, concept: str = "same", rows: int = 1500):
    """Labels of one window, the rates that a sound champion promised, and features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    odds = 4 * x[:, 0] + 2 * x[:, 1] - 0.7
    now = odds + odds_moved
    if concept == "other":
        now = 4 * x[:, 0] + 2 * x[:, 2] - 0.7
    if concept == "narrower":
        # What was 1 is 1 in half of the rows only, and a feature says in which.
        now = np.where(x[:, 2] > 0, odds, -4.0)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-now))).astype(float)
    features = pd.DataFrame(x, columns=["a", "b", "c"])
    features["shop"] = np.where(x[:, 1] > 0, "north", "south")
    return labels, 1 / (1 + np.exp(-odds)), features


def lost(labels: np.ndarray, seed: int, *, share: float = 0.5, into: float = 0.0) -> np.ndarray:
    return np.where(np.random.default_rng([seed, 1]).random(len(labels)) < share, into, labels)


@pytest.mark.parametrize("into", [0.0, 1.0])
def test_half_of_the_labels_lost_is_told(into: float) -> None:
    found = 0
    for seed in SEEDS:
        labels, promised, features = window(seed)
        found += labels_were_lost(lost(labels, seed, into=into), promised, features)
    assert found >= 18


@pytest.mark.parametrize(
    "world",
    [{}, {"odds_moved": -1.5}, {"odds_moved": 1.5}, {"concept": "other"}, {"concept": "narrower"}],
)
def test_sound_labels_of_other_worlds_are_left_alone(world) -> None:
    assert not any(labels_were_lost(*window(seed, **world)) for seed in SEEDS)


def test_a_champion_that_is_never_sure_tells_nothing() -> None:
    labels, promised, features = window(1)
    weak = 0.3 + 0.1 * promised
    assert not labels_were_lost(lost(labels, 1), weak, features)


def test_features_without_any_value_tell_nothing() -> None:
    labels, promised, features = window(1)
    empty = features.assign(gone=np.nan, text=None)
    assert labels_were_lost(lost(labels, 1), promised, empty)


def test_rows_without_an_answer_are_left_out_and_few_rows_are_not_judged() -> None:
    labels, promised, features = window(1)
    broken = lost(labels, 1)
    by_others = np.where(np.arange(len(labels)) < 300, np.nan, promised)
    assert lost_label_faults(broken, by_others, features) == ("lost",)
    few = np.where(np.arange(len(labels)) < 150, promised, np.nan)
    assert lost_label_faults(broken, few, features) == ()
    assert lost_label_faults(broken, None, features) == ()
