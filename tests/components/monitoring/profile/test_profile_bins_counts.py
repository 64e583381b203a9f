"""Counts on frozen bins are exact, whole, and the same however rows are split."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.profile.bins import (
    BinSettings,
    CategoryBins,
    NumericBins,
    freeze,
    score_bins,
)
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts, count, merge

EDGES = st.sampled_from([0.0, 1.0, -1.0, np.inf, -np.inf])
FLOATS = st.one_of(st.none(), st.floats(width=32), EDGES)
INTEGERS = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 5))
TEXTS = st.one_of(st.none(), st.sampled_from("abcdefg"), st.text(max_size=3))
COLUMNS = st.one_of(
    st.tuples(st.just((FeatureType.NUMERIC, pa.float64())), st.lists(FLOATS, min_size=1)),
    st.tuples(st.just((FeatureType.INTEGER, pa.int64())), st.lists(INTEGERS, min_size=1)),
    st.tuples(st.just((FeatureType.CATEGORICAL, pa.string())), st.lists(TEXTS, min_size=1)),
)


def frozen(kind, column):
    try:
        return freeze(column, kind, BinSettings(max_categories=4))
    except DataError:
        return NumericBins((0.0,), -1.0, 1.0)


@pytest.mark.slow
@settings(max_examples=scaled(150), deadline=None)
@given(COLUMNS, st.data())
def test_any_split_in_any_order_gives_the_counts_of_the_whole(drawn, data):
    (kind, arrow), values = drawn
    whole = pa.array(values, arrow, from_pandas=False)
    bins = frozen(kind, whole)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    parts = [values[a:b] for a, b in pairwise([0, *cuts, len(values)])]
    parts = data.draw(st.permutations(parts))
    merged = count(pa.array([], arrow), kind, bins)
    for part in parts:
        merged = merge(count(pa.array(part, arrow), kind, bins), merged)
    assert merged == count(whole, kind, bins)


@settings(max_examples=scaled(150), deadline=None)
@given(COLUMNS)
def test_bins_and_missing_add_up_to_the_rows(drawn):
    (kind, arrow), values = drawn
    column = pa.array(values, arrow)
    counts = count(column, kind, frozen(kind, column))
    nulls = sum(value is None or value != value for value in values)
    assert counts.missing == nulls
    assert sum(counts.bins) == len(values) - nulls
    assert counts.vector().sum() == counts.rows == len(values)


@settings(max_examples=scaled(100), deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200))
def test_counts_agree_with_the_definition_of_the_bins(values):
    column = pa.array(values)
    bins = freeze(column, FeatureType.NUMERIC, BinSettings())
    limits = [-np.inf, *bins.edges, np.inf]
    expected = [sum(low < v <= high for v in values) for low, high in pairwise(limits)]
    assert list(count(column, FeatureType.NUMERIC, bins).bins) == expected


def test_conservation_failure_is_an_error():
    with pytest.raises(DataError, match="lost or counted twice"):
        ColumnCounts(bins=(1, 2), missing=0, rows=4)


def test_merge_refuses_other_bins():
    with pytest.raises(DataError, match="same bins"):
        merge(ColumnCounts(bins=(1,), missing=0, rows=1), ColumnCounts((1, 0), 0, 1))


def test_numeric_bins_hold_equal_mass():
    values = pa.array(np.random.default_rng(0).lognormal(size=32_000))
    counts = count(values, FeatureType.NUMERIC, freeze(values, FeatureType.NUMERIC, BinSettings()))
    assert set(counts.bins) == {1000}


def test_infinities_fall_into_the_outer_bins_and_are_counted():
    bins = NumericBins((0.0, 1.0), -1.0, 2.0)
    counts = count(pa.array([-np.inf, 0.5, np.inf, np.nan]), FeatureType.NUMERIC, bins)
    assert (counts.bins, counts.missing, counts.infinite) == ((1, 1, 1), 1, 2)
    assert (counts.minimum, counts.maximum) == (0.5, 0.5)


def test_a_constant_has_room_on_both_sides():
    bins = freeze(pa.array([5.0] * 10), FeatureType.NUMERIC, BinSettings())
    counts = count(pa.array([4.999, 5.0, 5.001]), FeatureType.NUMERIC, bins)
    assert counts.bins == (1, 1, 1)


def test_a_spike_at_the_top_is_not_mixed_with_what_lies_beyond():
    bins = freeze(pa.array([0.0] * 50 + [1.0] * 50), FeatureType.NUMERIC, BinSettings())
    counts = count(pa.array([-1.0, 0.0, 0.5, 1.0, 2.0]), FeatureType.NUMERIC, bins)
    assert counts.bins == (1, 1, 2, 1)


def test_values_a_whole_range_beyond_training_are_outside():
    bins = freeze(pa.array([0.0, 10.0]), FeatureType.NUMERIC, BinSettings())
    counts = count(pa.array([-10.0, -10.5, 20.0, 21.0]), FeatureType.NUMERIC, bins)
    assert counts.outside == 2


def test_few_integers_are_categories_and_many_are_numbers():
    few = freeze(pa.array([3, 1, 2, 1]), FeatureType.INTEGER, BinSettings())
    many = freeze(pa.array(range(1000)), FeatureType.INTEGER, BinSettings())
    assert few == CategoryBins((1, 2, 3))
    assert isinstance(many, NumericBins)
    assert count(pa.array([1.0, 2.0, 9.0, np.inf]), FeatureType.INTEGER, few).bins == (1, 1, 0, 2)


def test_rare_strings_and_unknown_ones_are_other():
    column = pa.array(["b", "b", "a", "a", "c", None])
    bins = freeze(column, FeatureType.CATEGORICAL, BinSettings(max_categories=2))
    assert bins.categories == ("a", "b")
    assert count(column, FeatureType.CATEGORICAL, bins).bins == (2, 2, 1)


def test_freeze_refuses_a_column_without_values():
    with pytest.raises(DataError, match="at least one finite value"):
        freeze(pa.array([np.nan, np.inf]), FeatureType.NUMERIC, BinSettings())


@pytest.mark.parametrize("wrong", [{"numeric_bins": 31}, {"numeric_bins": 65}])
def test_bin_settings_say_what_they_allow(wrong):
    with pytest.raises(ConfigError, match="from 32 to 64"):
        BinSettings(**wrong)


@pytest.mark.parametrize("edges", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf)])
def test_edges_must_rise_and_be_finite(edges):
    with pytest.raises(DataError, match="strictly rising"):
        NumericBins(edges, 0.0, 1.0)


def test_score_bins_cover_probabilities_with_200_bins():
    scores = pa.array([0.0, 0.00006, 0.00007, 0.5, 0.5001, 1.0, 1.5])
    counts = count(scores, FeatureType.NUMERIC, score_bins())
    assert len(counts.bins) == 200
    assert (counts.bins[0], counts.bins[1]) == (2, 1)
    assert (counts.bins[99], counts.bins[100]) == (1, 1)
    assert (counts.bins[-1], counts.outside) == (2, 1)


def test_score_bins_are_narrow_where_scores_are_near_certain():
    edges = np.array([0.0, *score_bins().edges, 1.0])
    widths = np.diff(edges)
    assert widths.max() < 0.008
    assert widths[[0, -1]].max() < 6.2e-5
    assert edges == pytest.approx(1 - edges[::-1])
