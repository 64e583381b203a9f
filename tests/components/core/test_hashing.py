"""A choice by hash: uniform, repeatable, and apart from every other choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.hashing import hash_fractions

KEYS = [f"row-{number}" for number in range(20_000)]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_fractions_are_uniform(seed):
    fractions = hash_fractions(KEYS, seed, "split")
    assert fractions.min() >= 0
    assert fractions.max() < 1
    # Kolmogorov-Smirnov against the uniform: 1.63 / sqrt(n) is passed once in a hundred.
    steps = np.arange(len(KEYS)) / len(KEYS)
    assert np.abs(np.sort(fractions) - steps).max() < 1.63 / np.sqrt(len(KEYS))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((0, "flights"), (0, "split")),
        ((0, "split"), (1, "split")),
        ((1, "a:1"), (1, "a")),
    ],
)
def test_choices_of_other_purpose_or_seed_are_independent(left, right):
    kept = hash_fractions(KEYS, *left) < 0.2
    held_out = hash_fractions(KEYS, *right) < 0.2
    # Of a fifth that is kept a fifth is held out, not all of it and not none of it.
    assert held_out[kept].mean() == pytest.approx(0.2, abs=0.03)
    assert held_out[~kept].mean() == pytest.approx(0.2, abs=0.02)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20), st.integers(-5, 5), st.text())
def test_a_key_falls_where_it_falls_whatever_the_other_keys_are(keys, seed, purpose):
    together = hash_fractions(keys, seed, purpose)
    alone = [hash_fractions([key], seed, purpose)[0] for key in keys]
    assert together.tolist() == alone


def test_fractions_are_the_same_in_every_release():
    """Held-out rows must stay held out when the package is upgraded."""
    fractions = hash_fractions(["a", "b"], 0, "split")
    assert fractions == pytest.approx(FROZEN, abs=0)


def test_no_keys_give_no_fractions():
    assert hash_fractions([], 0, "split").shape == (0,)


FROZEN = [0.5881640919983401, 0.9030309245332239]
