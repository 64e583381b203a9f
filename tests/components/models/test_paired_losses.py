"""What a paired interval says of a challenger, and that it says so by chance seldom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.models.paired_losses import ComparisonWord, ModelComparison, compare

BLOCK = np.repeat(np.arange(32), 30)
SHARED = np.random.default_rng(0).normal(0.5, 0.1, 960)


def word(shift: float, noise: float = 0.02, margin: float = 0.01, blocks=BLOCK) -> ComparisonWord:
    """What is said of a challenger that loses `shift` more a row."""
    challenger = SHARED + shift + np.random.default_rng(1).normal(0, noise, 960)
    return compare(SHARED, challenger, blocks, margin).word


def test_words_follow_the_interval_and_the_margin() -> None:
    assert word(-0.02) is ComparisonWord.BETTER
    assert word(0.0) is ComparisonWord.NOT_WORSE
    assert word(0.0, noise=1.0) is ComparisonWord.CANNOT_TELL
    assert word(0.02) is ComparisonWord.WORSE
    # The user's margin: a fifth of the loss more is allowed.
    assert word(0.02, margin=0.2) is ComparisonWord.NOT_WORSE
    assert word(-0.5, blocks=np.zeros(960, dtype=int)) is ComparisonWord.CANNOT_TELL


@given(st.floats(-0.3, 0.3), st.floats(0.0, 0.5), st.integers(0, 50))
def test_word_agrees_with_the_numbers_beside_it(shift: float, margin: float, seed: int) -> None:
    challenger = SHARED + shift + np.random.default_rng(seed).normal(0, 0.3, 960)
    found = compare(SHARED, challenger, BLOCK, margin)
    assert found.low is not None
    assert found.high is not None
    saved = found.champion_loss - found.challenger_loss
    assert found.low <= saved + 1e-12 <= found.high + 2e-12
    allowed = margin * found.champion_loss
    expected = {
        ComparisonWord.BETTER: found.low > 0,
        ComparisonWord.WORSE: found.high < -allowed,
        ComparisonWord.NOT_WORSE: -allowed <= found.low <= 0,
        ComparisonWord.CANNOT_TELL: found.low < -allowed <= found.high,
    }
    assert expected[found.word]
    assert f"{abs(saved) / found.champion_loss:.1%}" in found.told
    assert f"{found.challenger_loss:.4f}" in found.told


def test_equal_models_are_called_better_or_worse_by_chance_alone() -> None:
    words = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        # What the rows of a block share makes rows dependent: blocks are what is independent.
        drawn = rng.normal(0, 0.05, (2, 32))[:, BLOCK] + rng.normal(0.5, 0.1, (2, 960))
        words.append(compare(drawn[0], drawn[1], BLOCK, 0.0).word)
    false = sum(each in (ComparisonWord.BETTER, ComparisonWord.WORSE) for each in words)
    # 5 % of 400 are 20; 3.3 standard errors of that above it.
    assert false <= 34


def test_newest_and_worse_slices_are_told() -> None:
    better, worse = (
        compare(SHARED, SHARED + shift + np.random.default_rng(2).normal(0, 0.01, 960), BLOCK, 0.0)
        for shift in (-0.05, 0.05)
    )
    told = ModelComparison(overall=better, newest=worse, slices={"a=1": better, "a=2": worse}).told
    assert told.startswith("better: ")
    assert "; on the newest: worse: " in told
    assert told.endswith("worse on a=2")


def test_no_blocks_no_interval() -> None:
    found = compare(SHARED, SHARED, np.zeros(960, dtype=int), 0.0)
    assert (found.low, found.high) == (None, None)
    assert "too few blocks" in found.told
    assert found.champion_loss == pytest.approx(found.challenger_loss)
