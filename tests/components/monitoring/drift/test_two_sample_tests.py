"""The tests on counts: few false alarms, and more power than the exact KS."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.monitoring.drift.statistics import two_sample
from tfx_loop.monitoring.drift.statistics.single_feature import compare
from tfx_loop.monitoring.drift.statistics.two_sample import weighted_chi_square_tail
from tfx_loop.monitoring.profile.bins import BinSettings
from tfx_loop.monitoring.profile.build import profile_feature
from tfx_loop.monitoring.profile.counts import count


def test_equal_weights_give_a_chi_square():
    for terms in (1, 3, 40):
        for value in (0.3 * terms, terms, 4.0 * terms, 10.0 * terms):
            expected = stats.chi2.sf(value, terms)
            found = weighted_chi_square_tail(np.ones(terms), value)
            assert found == pytest.approx(expected, rel=0.12 if terms > 1 else 0.25)


@pytest.mark.slow
def test_unequal_weights_agree_with_simulation():
    weights = 1 / (np.arange(1, 20) * np.arange(2, 21))
    drawn = np.random.default_rng(0).chisquare(1, (400_000, 19)) @ weights
    for value in (0.5, 1.0, 2.5, 4.0, 6.0):
        found = weighted_chi_square_tail(weights, value)
        assert found == pytest.approx(np.mean(drawn > value), rel=0.15)


def test_anderson_darling_is_scipys_on_fine_bins():
    random = np.random.default_rng(3)
    for shift in (0.0, 0.05, 0.1):
        left, right = random.normal(size=4_000), random.normal(shift, 1, 4_000)
        edges = np.quantile(left, np.linspace(0, 1, 400)[1:-1])
        counts = [np.bincount(np.searchsorted(edges, s), minlength=399) for s in (left, right)]
        with np.testing.suppress_warnings() as warned:
            warned.filter(UserWarning)
            expected = stats.anderson_ksamp([left, right]).significance_level
        found = two_sample.anderson_darling(*counts)
        if 0.001 < expected < 0.25:
            assert found == pytest.approx(expected, rel=0.25)
        else:
            assert (found > 0.2) if expected >= 0.25 else (found < 0.002)


SHAPES = {
    "normal": lambda n, r: r.normal(size=n),
    "spike": lambda n, r: np.where(r.random(n) < 0.8, 0.0, r.exponential(size=n)),
    "gaps": lambda n, r: np.where(r.random(n) < 0.3, np.nan, r.normal(size=n)),
    "poisson": lambda n, r: r.poisson(3, n),
    "hours": lambda n, r: r.integers(0, 24, n),
    "rare": lambda n, r: r.random(n) < 0.02,
    "many": lambda n, r: [f"c{i}" for i in r.zipf(1.5, n) % 1_000],
    "even": lambda n, r: [f"c{i}" for i in r.integers(0, 200, n)],
}


def p_values(shape, n, m, windows, change=lambda values: values):
    found = []
    for seed in range(windows):
        random = np.random.default_rng([n, m, seed])
        profile = profile_feature("x", pa.array(SHAPES[shape](n, random)), BinSettings())
        current = pa.array(change(SHAPES[shape](m, random)))
        counts = count(current, profile.type, profile.bins)
        found.append(compare(FeatureDrift(feature="x", type=""), profile, counts).p_value)
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(200, 200), (2_000, 300), (300, 2_000)])
@pytest.mark.parametrize("shape", SHAPES)
def test_without_drift_the_p_value_is_a_p_value(shape, n, m):
    """Of 150 windows at most 16 are below 0.05: more than 1 in 1,000 times by chance."""
    found = p_values(shape, n, m, 150)
    assert np.sum(found < 0.05) <= 16
    assert np.sum(found < 0.005) <= 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (lambda values: values + 0.1, 2_000),
        (lambda values: values + 0.2, 600),
        (lambda values: values + 0.5, 150),
        (lambda values: values * 1.2, 1_500),
        (lambda values: values * 1.5, 300),
    ],
)
def test_power_is_at_least_that_of_the_exact_ks_test(change, rows):
    ours = p_values("normal", rows, rows, 80, change)
    exact = []
    for seed in range(80):
        random = np.random.default_rng([rows, rows, seed])
        left = random.normal(size=rows)
        exact.append(stats.ks_2samp(left, change(random.normal(size=rows))).pvalue)
    level = 0.005
    assert np.mean(ours < level) > 0.1
    assert np.mean(ours < level) >= np.mean(np.array(exact) < level)


def test_one_category_of_hundreds_that_doubled_is_found():
    reference = np.full(300, 100)
    current = np.array([175, *np.full(299, 100)])
    assert two_sample.chi_square(reference, current).p_value > 0.5
    assert two_sample.most_changed_cell(reference, current) < 0.05


def test_categories_that_luck_chose_are_not_told_from_the_rest():
    """300 equal categories, the 50 most frequent of the reference with a bin of their own."""
    random = np.random.default_rng(1)
    first = random.multinomial(9_000, np.full(300, 1 / 300))
    second = random.multinomial(9_000, np.full(300, 1 / 300))
    top = np.argsort(-first)[:50]
    r = np.append(first[top], np.delete(first, top).sum())
    c = np.append(second[top], np.delete(second, top).sum())
    assert two_sample.chi_square(r, c).p_value < 0.001
    assert two_sample.chi_square(*two_sample.settled(r, c)).p_value > 0.01


def test_combined_needs_no_independence():
    assert two_sample.combined([(0.01, 0.75), (0.5, 0.25)]) == pytest.approx(0.01 / 0.75)
    assert two_sample.combined([(0.9, 0.75), (0.9, 0.25)]) == 1.0
    assert two_sample.combined([]) == 1.0
