"""Effects and tests on counts agree with SciPy, and with their theory."""

import numpy as np
import pytest
from example_counts import scaled
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from tfx_loop.monitoring.drift.statistics import effects, two_sample

COUNTS = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 300), min_size=bins, max_size=bins)] * 2)
)


def both(drawn):
    reference, current = (np.array(side) for side in drawn)
    assume(reference.sum() and current.sum())
    return reference, current


@settings(max_examples=scaled(100), deadline=None)
@given(COUNTS)
def test_psi_is_the_symmetric_relative_entropy(drawn):
    r, c = both(drawn)
    used = r + c > 0
    assume(used.sum() > 1)
    p, q = r[used] + 0.5, c[used] + 0.5
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert effects.psi(r, c) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=scaled(100), deadline=None)
@given(COUNTS)
def test_jensen_shannon_is_scipys(drawn):
    r, c = both(drawn)
    expected = distance.jensenshannon(r, c) ** 2
    assert effects.jensen_shannon(r, c) == pytest.approx(np.nan_to_num(expected), abs=1e-9)


@settings(max_examples=scaled(100), deadline=None)
@given(COUNTS)
def test_kolmogorov_smirnov_is_scipys(drawn):
    r, c = both(drawn)
    x, y = np.repeat(np.arange(len(r)), r), np.repeat(np.arange(len(c)), c)
    expected = stats.ks_2samp(x, y, method="asymp").statistic
    assert effects.kolmogorov_smirnov(r, c) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=scaled(100), deadline=None)
@given(
    st.lists(st.tuples(st.integers(50, 500), st.integers(50, 500)), min_size=2, max_size=12),
)
def test_chi_square_is_scipys_where_no_bin_is_rare(pairs):
    r, c = np.array(pairs).T
    expected = stats.chi2_contingency([r, c], correction=False)
    tested = two_sample.chi_square(r, c)
    assert tested.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert (tested.degrees, tested.p_value) == (
        expected.dof,
        pytest.approx(expected.pvalue, abs=1e-12),
    )


def test_chi_square_pools_rare_bins():
    r, c = np.array([500, 2, 1, 1, 500, 0]), np.array([480, 1, 0, 2, 520, 0])
    tested = two_sample.chi_square(r, c)
    expected = stats.chi2_contingency([[504, 500], [483, 520]], correction=False)
    assert tested.degrees == 1
    assert tested.statistic == pytest.approx(expected.statistic)


@pytest.mark.parametrize("q_values", [two_sample.benjamini_hochberg])
def test_benjamini_hochberg_is_scipys(q_values):
    for seed in range(20):
        p = np.random.default_rng(seed).uniform(size=seed + 1) ** 3
        assert q_values(p) == pytest.approx(stats.false_discovery_control(p))
    assert len(q_values(np.array([]))) == 0


@pytest.mark.parametrize(
    ("reference", "current"),
    [([0, 0], [0, 0]), ([5, 0], [0, 0]), ([0, 0], [0, 7]), ([9, 0], [9, 0])],
)
def test_nothing_to_compare_is_no_effect(reference, current):
    r, c = np.array(reference), np.array(current)
    for effect in (effects.psi, effects.jensen_shannon, effects.kolmogorov_smirnov):
        assert effect(r, c) == 0.0
    for p_value in (
        effects.psi_p_value,
        effects.jensen_shannon_p_value,
        two_sample.kolmogorov_smirnov,
    ):
        assert p_value(r, c) == 1.0
    assert two_sample.chi_square(r, c).p_value == 1.0


def under_no_drift(n, m, repetitions=2_000, bins=33):
    rng = np.random.default_rng(n + m)
    shares = np.full(bins, 1 / bins)
    return zip(
        rng.multinomial(n, shares, repetitions),
        rng.multinomial(m, shares, repetitions),
        strict=True,
    )


@pytest.mark.parametrize(("n", "m"), [(20_000, 1_000), (50_000, 5_000), (2_000, 2_000)])
@pytest.mark.parametrize(
    ("p_value", "least"),
    [
        (lambda r, c: two_sample.chi_square(r, c).p_value, 0.03),
        (effects.psi_p_value, 0.03),
        (effects.jensen_shannon_p_value, 0.03),
        (two_sample.kolmogorov_smirnov, 0.01),
    ],
)
def test_without_drift_p_values_below_five_percent_come_in_five_percent(n, m, p_value, least):
    share = np.mean([p_value(r, c) < 0.05 for r, c in under_no_drift(n, m)])
    assert least <= share <= 0.068


@pytest.mark.parametrize(("n", "m"), [(20_000, 300), (20_000, 1_000), (1_000, 100_000)])
def test_corrected_psi_is_zero_on_average_without_drift(n, m):
    corrected = [effects.psi_corrected(r, c) for r, c in under_no_drift(n, m)]
    plain = [effects.psi(r, c) for r, c in under_no_drift(n, m)]
    assert abs(np.mean(corrected)) < 0.1 * np.mean(plain)


def test_corrected_psi_does_not_depend_on_the_size_of_the_window():
    p = np.arange(1, 33) / np.arange(1, 33).sum()
    q = p[::-1]
    rng = np.random.default_rng(0)
    means = [
        np.mean(
            [
                effects.psi_corrected(rng.multinomial(50_000, p), rng.multinomial(m, q))
                for _ in range(200)
            ]
        )
        for m in (1_000, 50_000)
    ]
    assert means[0] == pytest.approx(means[1], rel=0.05)


def test_coarsening_keeps_rows_and_evens_out_the_reference():
    rng = np.random.default_rng(0)
    r, c = rng.multinomial(50_000, rng.dirichlet(np.ones(200))), rng.integers(0, 9, 200)
    coarse_r, coarse_c = effects.coarsened(r, c, 32)
    assert (coarse_r.sum(), coarse_c.sum()) == (r.sum(), c.sum())
    assert len(coarse_r) == len(coarse_c) <= 32
    assert coarse_r.max() < 2 * 50_000 / 32 + r.max()
