"""Labels of earlier windows say how far off this one's estimate is, and how sure that is."""

import numpy as np
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.monitoring.drift.quality.label_offset import WindowEstimate, corrected

CHANCE = 0.01
shares = st.floats(0.0, 1.0)


def window(realised=None, estimated=0.7, chance=CHANCE):
    return WindowEstimate(estimated=estimated, chance=chance, realised=realised)


def test_without_labels_the_estimate_stays_and_is_less_certain_with_every_window():
    found = [corrected([window()] * number, window()) for number in (0, 4, 20)]
    assert all(f.value == 0.7 for f in found)
    widths = [f.high - f.low for f in found]
    assert 2 * 1.96 * CHANCE < widths[0] < widths[1] < widths[2]


def test_a_few_rows_behind_the_map_widen_until_labels_come():
    unsure, sure = (corrected([], window(), map_error=error) for error in (0.05, 0.0))
    assert unsure.high - unsure.low > 1.5 * (sure.high - sure.low)
    past = [window(0.7)] * 20
    unsure, sure = (corrected(past, window(), map_error=error) for error in (0.05, 0.0))
    assert unsure.high - unsure.low == pytest.approx(sure.high - sure.low, rel=0.05)


def test_a_constant_offset_is_learned_and_a_single_miss_is_mostly_chance():
    assert corrected([window(0.6)] * 12, window()).value == pytest.approx(0.6, abs=0.003)
    one = corrected([*[window(0.7)] * 11, window(0.68)], window())
    assert 0.69 < one.value < 0.7


def test_windows_that_scatter_do_not_drag_the_estimate_along():
    offs = [0.05 * (-1) ** number for number in range(20)]
    found = corrected([window(0.7 + off) for off in offs], window())
    assert found.value == pytest.approx(0.7, abs=0.015)
    assert found.low < 0.65
    assert found.high > 0.75


def test_the_labels_of_this_window_are_not_looked_at():
    past = [window(0.65)] * 3
    assert corrected(past, window(0.1)) == corrected(past, window())


def test_a_window_without_chance_is_no_certainty():
    found = corrected([window(0.6, chance=0.0)] * 3, window(chance=0.0))
    assert np.isfinite([found.value, found.low, found.high]).all()
    assert found.low < found.high


@settings(deadline=None, max_examples=scaled(60))
@given(
    st.lists(st.tuples(shares, st.none() | shares, st.floats(0, 0.2)), max_size=24),
    shares,
    st.floats(0, 0.2),
)
def test_the_interval_holds_the_value_and_both_are_shares(past, estimated, map_error):
    windows = [window(real, value, chance) for value, real, chance in past]
    found = corrected(windows, window(estimated=estimated), map_error)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("walk", "scatter", "gained"), [(0, 0, 1.1), (0, 0.03, 1.1), (0.015, 0, 0.7), (0.01, 0.02, 0.9)]
)
def test_intervals_hold_most_labels_and_what_can_be_gained_is(walk, scatter, gained):
    inside, by_chance, off, alone = [], [], [], []
    for seed in range(25):
        random = np.random.default_rng(seed)
        level = np.cumsum(random.normal(0, walk, 24))
        real = 0.7 + level + random.normal(0, np.hypot(scatter, CHANCE), 24)
        for now in range(4, 24, 3):
            # The labels of the window before have not come.
            found = corrected([*(window(value) for value in real[: now - 1]), window()], window())
            inside.append(found.low <= real[now] <= found.high)
            off.append(abs(found.value - real[now]))
            alone.append(abs(0.7 - real[now]))
            by_chance.append(alone[-1] <= 1.96 * CHANCE)
    assert np.mean(inside) > 0.88
    assert np.mean(off) < gained * np.mean(alone)
    if walk or scatter:
        assert np.mean(by_chance) < 0.65
