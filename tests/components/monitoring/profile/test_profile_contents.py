"""The sample of distinct rows is the same however rows are split, and tells what repeats."""

from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.monitoring.profile import row_contents
from tfx_loop.monitoring.profile.row_contents import (
    RowContents,
    content_keys,
    contents_of,
    merge_contents,
)


def keys_of(*columns):
    return content_keys([None if c is None else pa.array(c) for c in columns], len(columns[0]))


def same(left, right):
    return (left.rows, left.bits, left.keys.tolist(), left.counts.tolist()) == (
        right.rows, right.bits, right.keys.tolist(), right.counts.tolist(),
    )  # fmt: skip


@given(st.lists(st.integers(0, 60), max_size=120), st.lists(st.integers(0, 120), max_size=4))
def test_any_split_keeps_the_same_contents(values, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_contents, "KEPT", 8)
        keys = keys_of(np.array(values, np.int64))
        borders = [0, *sorted(min(cut, len(keys)) for cut in cuts), len(keys)]
        parts = [contents_of(keys[a:b]) for a, b in pairwise(borders)]
        whole = contents_of(keys)
        assert same(reduce(merge_contents, parts, RowContents()), whole)
        assert same(reduce(merge_contents, parts[::-1], RowContents()), whole)
        assert len(whole.keys) <= 8
        distinct = np.unique(keys)
        if whole.bits:  # one bit less would keep too many
            assert sum(int(key) < 1 << (65 - whole.bits) for key in distinct) > 8


def test_many_rows_of_few_contents_are_all_kept():
    keys = keys_of(np.random.default_rng(0).integers(0, 1_500, 100_000))
    found = contents_of(keys)
    assert (found.rows, found.bits, len(found.keys)) == (100_000, 0, 1_500)
    assert found.counts.sum() == 100_000


def test_the_share_of_distinct_rows_is_estimated_from_the_kept():
    random = np.random.default_rng(1)
    found = contents_of(keys_of(random.integers(0, 200_000, 300_000)))
    assert 1_000 < len(found.keys) <= row_contents.KEPT
    for rows in (300_000, 100_000):
        drawn = np.unique(random.integers(0, 200_000, rows)).size / rows
        assert found.distinct_share(rows) == pytest.approx(drawn, abs=0.03)


def test_keys_tell_values_from_missing_ones_and_columns_apart():
    keys = keys_of([0.0, None, 1.0, 0.0], [1.0, 1.0, 0.0, None])
    assert len(np.unique(keys)) == 4
    nan = keys_of([np.nan, 2.0])
    assert len(nan) == 1  # a row without any value says nothing
    assert keys_of([2.0], [None]) == keys_of(np.array([2]), None)


def test_a_list_column_counts_as_missing_in_every_shard():
    tags = [["a"], ["a", "b"], []]
    whole = keys_of([1, 2, 3], tags)
    assert whole.tolist() == [
        int(keys_of([n], [t])[0]) for n, t in zip([1, 2, 3], tags, strict=True)
    ]
