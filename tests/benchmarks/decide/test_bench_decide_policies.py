"""The benchmark's arithmetic: replays by hand, hindsight against every schedule."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.decide.policies import (
    PolicyChoice,
    always,
    best_in_hindsight,
    drift_rule,
    every,
    loss_rule,
    never,
    replay,
    schedules,
    unit_loss,
)

INITIAL = 2


@st.composite
def loss_matrices(draw) -> np.ndarray:
    """Losses of champions trained through each window in every later one, else NaN."""
    count = draw(st.integers(INITIAL + 2, 9))
    values = draw(
        st.lists(
            st.integers(1, 40).map(lambda tenths: tenths / 10),
            min_size=count * count,
            max_size=count * count,
        )
    )
    mean = np.array(values).reshape(count, count)
    trained, served = np.indices(mean.shape)
    return np.where((served > trained) & (trained >= INITIAL - 1), mean, np.nan)


def of_schedule(schedule: tuple[bool, ...]):
    """A rule that follows a schedule."""
    return lambda choice: schedule[choice.number - 1]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(loss_matrices(), st.floats(0.0, 2.0))
def test_hindsight_is_the_cheapest_of_all_schedules(mean, cost) -> None:
    best = best_in_hindsight(mean, INITIAL, cost).total(cost)
    totals = [
        replay(mean, INITIAL, of_schedule(schedule)).total(cost)
        for schedule in schedules(INITIAL, mean.shape[1])
    ]
    assert best == pytest.approx(min(totals))


@pytest.mark.slow
@given(loss_matrices(), st.floats(0.0, 2.0), st.integers(1, 4))
def test_hindsight_is_never_dearer_than_a_policy(mean, cost, period) -> None:
    best = best_in_hindsight(mean, INITIAL, cost).total(cost)
    for rule in (never, always, every(period)):
        assert best <= replay(mean, INITIAL, rule).total(cost) + 1e-9


def test_labels_come_one_window_late() -> None:
    mean = np.full((6, 6), 9.0)
    mean[1, 2:], mean[2, 4:], mean[3, 5:] = 4.0, 2.0, 1.0
    seen: list[PolicyChoice] = []

    def rule(choice: PolicyChoice) -> bool:
        seen.append(choice)
        return True

    replayed = replay(mean, 2, rule)
    # Windows 2 and 3 are served by the first champion; after 3 the labels of 2 are there.
    assert seen == [PolicyChoice(1, 1, 2, 3), PolicyChoice(2, 2, 3, 4)]
    assert replayed.trained_after == (2, 3)
    assert replayed.loss == pytest.approx((4 + 4 + 2 + 1) / 4.0)
    assert replayed.total(0.5) == pytest.approx(replayed.loss + 1.0)


def test_flights_have_eight_choices() -> None:
    assert replay(np.ones((12, 12)), 2, always).trainings == 8
    assert sum(1 for _ in schedules(2, 12)) == 2**8


def test_never_costs_one_unit_a_window() -> None:
    mean = np.arange(49.0).reshape(7, 7)
    assert replay(mean, 3, never).total(0.1) == pytest.approx(4.0)
    assert unit_loss(mean, 3) == pytest.approx(mean[2, 3:].mean())


def test_every_other_choice() -> None:
    assert replay(np.ones((12, 12)), 2, every(2)).trained_after == (3, 5, 7, 9)


def test_loss_rule_needs_a_rise_beyond_noise() -> None:
    mean = np.array([[0.5, 0.52, 0.9]])
    rule = loss_rule(
        mean, np.full((1, 3), 0.3), np.full(3, 400), np.array([0.5]), np.array([0.01]), 3.0
    )
    assert not rule(PolicyChoice(1, 0, 1, 2))
    assert rule(PolicyChoice(1, 0, 2, 3))


def test_drift_rule_looks_at_the_window_just_served() -> None:
    rule = drift_rule(np.array([[0.0, 0.0, 0.3]]), 0.1)
    assert rule(PolicyChoice(1, 0, 1, 2))
    assert not rule(PolicyChoice(1, 0, 0, 1))


def test_psi_finds_the_feature_that_moved() -> None:
    from tests.benchmarks.decide.drift_scores import psi_matrix
    from tests.benchmarks.decide.streams import Stream

    rng = np.random.default_rng(0)
    window = np.repeat(np.arange(4), 2000)
    rows = pd.DataFrame(
        {
            "still": rng.normal(size=8000),
            "moves": rng.normal(size=8000) + (window == 3),
            "label": 0.0,
            "window": window,
        }
    )
    stream = Stream(
        name="s",
        kind="none",
        seed=0,
        rows=rows,
        initial_windows=2,
        training_windows=0,
        champion="logistic",
    )
    found = psi_matrix(stream)
    assert found[1, 2] < 0.05
    assert found[1, 3] > 0.3


@pytest.mark.e2e
def test_quick_run_prints_and_writes_tables(tmp_path, capsys) -> None:
    from tests.benchmarks.decide.__main__ import main

    main(["--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "decide.md").read_text() + "\n"
    assert "### A training costs 0.02 of a window's loss" in printed
    assert "best in hindsight" in printed
    assert (tmp_path / "decide.json").stat().st_size > 1000


def test_reinstated_version_serves_the_next_window_and_costs_little() -> None:
    mean = np.full((7, 7), 9.0)
    mean[1, 2:], mean[2, 3:] = 4.0, 8.0
    seen = []

    def reinstate(champion: int, served: tuple[int, ...], label_window: int) -> int | None:
        seen.append((champion, served, label_window))
        return 1 if champion == 2 else None

    replayed = replay(mean, 2, lambda choice: choice.number == 1, reinstate)
    # Windows 2 and 3 by the first, window 4 by the second, from 5 on the first again.
    assert seen == [(1, (1,), 2), (2, (1, 2), 3), (1, (1, 2), 4)]
    assert replayed.loss == pytest.approx((4 + 4 + 8 + 4 + 4) / 4.0)
    assert replayed.reinstated_after == (3,)
    assert replayed.total(0.5) == pytest.approx(replayed.loss + 0.5 + 0.001)
