"""Blocks of rows that depend on each other are the same bits however rows are sharded."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.bins import BinSettings
from tfx_loop.monitoring.profile.build import ProfileRequest, build, profile_feature
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.row_blocks import (
    MOST_BLOCKS,
    MOST_CELLS,
    RowBlocks,
    cells_of,
    count_blocks,
    from_packed,
    merge_blocks,
    to_packed,
)
from tfx_loop.monitoring.profile.window_json import from_bytes, to_bytes
from tfx_loop.monitoring.profile.window_profile import empty, merge

CELLS = {"x": np.array([0, 0, 1, 2])}


def counted(times):
    times = np.asarray(times, dtype=np.int64)
    return count_blocks(times, {"x": times % 4}, CELLS)


def same(left, right):
    return (
        left.bits == right.bits
        and np.array_equal(left.keys, right.keys)
        and all(np.array_equal(left.counts[name], right.counts[name]) for name in left.counts)
    )


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**7), max_size=80), min_size=1, max_size=5))
def test_shards_merge_to_the_blocks_of_the_whole_in_any_order(shards):
    whole = counted([time for shard in shards for time in shard])
    forward = backward = RowBlocks()
    for shard in shards:
        forward = merge_blocks(forward, counted(shard))
    for shard in reversed(shards):
        backward = merge_blocks(counted(shard), backward)
    assert same(whole, forward)
    assert same(whole, backward)
    assert len(whole.keys) <= MOST_BLOCKS


def test_blocks_of_time_are_as_short_as_make_no_more_than_64():
    blocks = counted(np.arange(64_000))
    assert (blocks.bits, len(blocks.keys)) == (10, 63)
    assert blocks.counts["x"].sum() == 64_000
    assert counted(np.arange(64)).bits == 0


def test_blocks_on_other_cells_are_refused():
    other = count_blocks(np.array([1]), {"x": np.array([0])}, {"x": np.array([0, 1, 1, 2])})
    with pytest.raises(DataError, match="same cells"):
        merge_blocks(counted([1]), other)


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        (np.random.default_rng(0).normal(size=5_000), MOST_CELLS),
        (np.random.default_rng(0).poisson(20, 5_000), MOST_CELLS),
        (np.random.default_rng(0).integers(0, 4, 5_000), 5),
        (np.random.default_rng(0).choice(list("abc"), 5_000), 4),
        ([f"c{i}" for i in np.random.default_rng(0).zipf(1.5, 5_000) % 200], MOST_CELLS),
    ],
)
def test_cells_are_few_in_order_and_of_like_mass(values, cells):
    profile = profile_feature("x", pa.array(values), BinSettings())
    places = cells_of(profile)
    assert len(places) == len(profile.bins) + 1
    # All in use, and `missing` alone in the last.
    assert sorted(set(places.tolist())) == list(range(places.max() + 1))
    assert places.max() <= cells
    assert np.sum(places == places[-1]) == 1
    if cells == MOST_CELLS and not isinstance(values, list):
        rows = np.bincount(places[:-1], profile.counts.bins)
        assert rows.max() < 3 * 5_000 / MOST_CELLS


def batches(seed=0, rows=3_000):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 200, rows)
    return pa.RecordBatch.from_pydict(
        {
            "request_id": [f"r{seed}-{number}" for number in range(rows)],
            "event_time_ms": random.integers(0, 10**9, rows),
            "customer": [f"g{number}" if number else None for number in groups],
            "x": np.random.default_rng(1).normal(size=200)[groups],
            "plan": random.choice(list("abc"), rows),
        }
    )


@pytest.mark.parametrize("size", [97, 1_000])
def test_a_window_with_groups_and_times_has_the_same_bytes_however_it_is_cut(size):
    whole = batches()
    reference, _ = build(pa.Table.from_batches([whole]).select(["x", "plan"]), ProfileRequest())
    profiler = Profiler(reference, Layout(group="customer", in_order=True, sample_rows=50))
    found = empty(reference)
    for start in reversed(range(0, whole.num_rows, size)):
        found = merge(profiler.profile(whole.slice(start, size)), found)
    assert to_bytes(found) == to_bytes(profiler.profile(whole))
    again = from_bytes(to_bytes(found))
    assert to_bytes(again) == to_bytes(found)
    assert same(again.times, found.times)
    assert again.groups.counts["x"].sum() == whole.num_rows
    # One block a group, but for those of no group, which are their own.
    assert 60 <= len(found.groups.keys) <= MOST_BLOCKS


def test_without_a_named_group_nothing_is_kept():
    whole = batches()
    reference, _ = build(pa.Table.from_batches([whole]).select(["x"]), ProfileRequest())
    found = Profiler(reference, Layout()).profile(whole)
    assert not found.groups
    assert not found.times
    assert b"groups" not in to_bytes(found)


def test_packed_blocks_take_at_most_a_kilobyte_a_feature():
    random = np.random.default_rng(0)
    for rows in (20_000, 1_000_000):
        groups = random.integers(0, 64, rows)
        cells = {f"x{place}": np.arange(MOST_CELLS + 1) for place in range(4)}
        places = {name: random.integers(0, MOST_CELLS, rows) for name in cells}
        packed = to_packed(count_blocks(groups, places, cells))
        assert len(packed["numbers"]) / 4 <= 1_024
        assert same(from_packed(packed), count_blocks(groups, places, cells))
