"""The sequential test keeps its promise about false alarms, and sees a rise across windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.quality_monitor.sequential import (
    SequentialSettings,
    SequentialState,
    follow,
)

SETTINGS = SequentialSettings(promised=0.2, promised_rows=20_000, rows_between_false_alarms=20_000)


def brier(rows, mean, seed):
    return np.random.default_rng(seed).beta(2 * mean, 2 * (1 - mean), rows)


def step_by_step(errors, settings):
    """The definition, row by row: evidence is max(evidence, 1) times the factor."""
    from tfx_loop.monitoring.quality_monitor.sequential import _BETS

    logs = [0.0] * len(_BETS)
    for row, error in enumerate(errors, start=1):
        for place, bet in enumerate(_BETS):
            factor = 1 + bet / settings.bound * (error - settings.bound)
            logs[place] = max(logs[place], 0.0) + float(np.log(factor))
        if np.mean(np.exp(logs)) >= settings.rows_between_false_alarms:
            return row
    return None


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised():
    alarms = sum(
        follow(brier(20_000, 0.2, seed), SETTINGS, SequentialState()).alarm_at_row is not None
        for seed in range(40)
    )
    assert alarms <= 20  # 1 in 20,000 rows on average at most; in fact far fewer


def test_a_rise_is_seen_soon_after_it_began():
    errors = np.concatenate([brier(10_000, 0.2, 1), brier(3_000, 0.26, 2)])
    state = follow(errors, SETTINGS, SequentialState())
    assert state.alarm_at_row is not None
    assert 10_000 < state.alarm_at_row < 12_500
    assert state.rows_since_quiet == pytest.approx(3_000, abs=1_500)


def test_a_small_rise_that_no_single_window_shows_is_seen_in_the_end():
    errors = brier(60_000, 0.22, 3)
    assert follow(errors, SETTINGS, SequentialState()).alarm_at_row is not None


def test_better_answers_are_no_alarm():
    state = follow(brier(50_000, 0.1, 4), SETTINGS, SequentialState())
    assert state.alarm_at_row is None
    assert state.evidence < 3


@given(st.integers(0, 5_000), st.integers(0, 1_000))
def test_windows_may_be_cut_anywhere(cut, seed):
    errors = np.concatenate([brier(3_000, 0.2, seed), brier(2_000, 0.3, seed + 1)])
    whole = follow(errors, SETTINGS, SequentialState())
    parts = follow(errors[cut:], SETTINGS, follow(errors[:cut], SETTINGS, SequentialState()))
    assert parts.alarm_at_row == whole.alarm_at_row
    assert parts.rows == whole.rows
    np.testing.assert_allclose(parts.log_evidence, whole.log_evidence, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_vectors_do_what_the_definition_says(seed):
    errors = np.concatenate([brier(500, 0.2, seed), brier(1_500, 0.35, seed)])
    assert follow(errors, SETTINGS, SequentialState()).alarm_at_row == step_by_step(
        errors, SETTINGS
    )


def test_a_promise_from_few_rows_is_taken_with_more_caution():
    few = SequentialSettings(promised=0.2, promised_rows=100)
    many = SequentialSettings(promised=0.2, promised_rows=100_000)
    assert few.bound > many.bound > 0.2


def test_bad_input_is_one_line():
    with pytest.raises(DataError, match=r"received 0\.5 to 1\.5"):
        follow([0.5, 1.5], SETTINGS, SequentialState())
    with pytest.raises(DataError, match="received nan to nan"):
        follow([0.5, float("nan")], SETTINGS, SequentialState())
    with pytest.raises(ConfigError, match="promised must be a mean error between 0 and 1, got 0"):
        SequentialSettings(promised=0.0, promised_rows=1)
    with pytest.raises(ConfigError, match="promised_rows must be at least 1"):
        SequentialSettings(promised=0.1, promised_rows=0)
    with pytest.raises(ConfigError, match="at least 100, got 5"):
        SequentialSettings(promised=0.1, promised_rows=9, rows_between_false_alarms=5)
