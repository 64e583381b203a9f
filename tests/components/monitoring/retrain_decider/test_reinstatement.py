"""A version that served before is taken back when it is clearly better, and only then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.retrain_decider.reinstatement import (
    ReinstatementSettings,
    hold_contest,
    version_pool,
)

BLOCK = np.arange(960) * 32 // 960
SETTINGS = ReinstatementSettings()


def losses(seed: int, mean: float = 0.5) -> np.ndarray:
    """Losses of 960 rows; what a window's rows share is shared by all versions."""
    shared = np.random.default_rng(0).normal(0, 0.05, 960)
    return mean + shared + np.random.default_rng(seed).normal(0, 0.02, 960)


def chosen(others, shortfalls=None, settings=SETTINGS):
    short = shortfalls or {}
    return hold_contest(losses(1), others, lambda v: short.get(v, 0.0), BLOCK, settings)


def test_clearly_hold_contest_serves_again() -> None:
    found = chosen({1: losses(2, 0.45), 2: losses(3, 0.42), 3: losses(4, 0.5)})
    assert found.winner == 2
    assert found.winning is not None
    assert found.winning.saving == pytest.approx(0.08, abs=0.005)
    assert found.champion_loss == pytest.approx(0.5, abs=0.01)
    # One of three by chance: the normal quantile of 1 - 0.05 / 3.
    assert found.asked_z == pytest.approx(2.128, abs=0.001)


def test_saving_too_small_to_matter_or_by_chance_changes_nothing() -> None:
    assert chosen({1: losses(2, 0.495)}).winner is None
    noisy = np.random.default_rng(3).normal(0.48, 2.0, 960)
    assert chosen({1: noisy}).winner is None
    assert chosen({}).winner is None
    # The same rows answered alike: no error to measure by.
    assert chosen({1: losses(1)}).winner is None


def test_version_that_was_much_worse_before_is_not_taken_back_unless_it_is_the_newest() -> None:
    better = losses(2, 0.45)
    assert chosen({1: better, 4: losses(3)}, {1: 0.2}).winner is None
    assert chosen({1: better, 4: losses(3)}, {1: 0.09}).winner == 1
    assert chosen({1: losses(3), 4: better}, {4: 0.2}).winner == 4


@given(st.sets(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 6), st.data())
def test_pool_is_the_first_and_the_newest_without_the_champion(served, size, data) -> None:
    champion = data.draw(st.sampled_from(sorted(served)))
    pool = version_pool(served, champion, size)
    others = sorted(served - {champion})
    assert champion not in pool
    assert len(pool) == min(size, len(others))
    if len(others) > size > 1:
        assert pool == (others[0], *others[-(size - 1) :])


def test_earlier_windows_are_asked_only_where_the_answer_counts() -> None:
    asked = []
    found = hold_contest(
        losses(1),
        {1: losses(2, 0.45), 2: losses(3), 4: losses(4, 0.45)},
        lambda version: asked.append(version) or 0.0,
        BLOCK,
        SETTINGS,
    )
    assert asked == [1]
    assert [each.shortfall for each in found.versions] == [0.0, None, None]


def test_chance_passes_seldom() -> None:
    passed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        champion, *others = rng.normal(0.5, 0.3, (6, 960))
        found = hold_contest(
            champion,
            dict(enumerate(others)),
            lambda version: 0.0,
            BLOCK,
            ReinstatementSettings(least_saving=0.0),
        )
        passed += found.winner is not None
    # At most 5 % by Bonferroni; 3 standard errors of 200 draws above it.
    assert passed <= 19


@pytest.mark.parametrize(
    "given", [{"pool_versions": -1}, {"false_share": 0.0}, {"least_saving": -0.1}]
)
def test_settings_that_cannot_work(given) -> None:
    with pytest.raises(ConfigError):
        ReinstatementSettings(**given)
