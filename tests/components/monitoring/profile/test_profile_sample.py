"""The training sample is uniform, seeded, and independent of the order of rows."""

import numpy as np
import pyarrow as pa
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.profile.sample import row_hashes, sample

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(width=32)),
        st.integers(0, 3),
        st.one_of(st.none(), st.sampled_from(["", "a", "b"])),
    ),
    min_size=1,
    max_size=40,
)


def as_table(rows):
    numbers, codes, texts = zip(*rows, strict=True)
    return pa.table(
        {
            "number": pa.array(numbers, pa.float64()),
            "code": pa.array(codes, pa.int64()),
            "text": pa.array(texts, pa.string()),
        }
    )


def canonical(table):
    return [tuple(map(repr, row.values())) for row in table.to_pylist()]


def as_hashed(table):
    """The rows as the hash sees them: -0.0 is 0.0, and NaN is missing."""
    same = {"-0.0": "0.0", "nan": "None"}
    return [[same.get(cell, cell) for cell in row] for row in canonical(table)]


@pytest.mark.slow
@settings(max_examples=scaled(100), deadline=None)
@given(ROWS, st.data())
def test_the_same_rows_in_any_order_give_the_same_sample(rows, data):
    shuffled = data.draw(st.permutations(rows))
    most = data.draw(st.integers(1, len(rows)))
    taken = sample(as_table(rows), most, seed=7)
    again = sample(as_table(shuffled).select(["text", "number", "code"]), most, seed=7)
    assert as_hashed(taken) == as_hashed(again.select(["number", "code", "text"]))
    assert taken.num_rows == most


def test_equal_rows_are_drawn_one_by_one():
    table = pa.table({"x": pa.array([1] * 9_000 + [2] * 1_000)})
    taken = sample(table, 1_000, seed=3)
    ones = taken.column("x").to_pylist().count(1)
    assert 850 <= ones <= 950


def test_the_sample_is_uniform():
    table = pa.table({"x": np.arange(10_000)})
    hits = np.zeros(10_000)
    for seed in range(50):
        hits[sample(table, 2_000, seed).column("x").to_numpy()] += 1
    assert hits.sum() == 100_000
    assert abs(hits.var() - 50 * 0.2 * 0.8) < 0.6
    assert abs(hits[:5_000].mean() - 10) < 0.15


def test_another_seed_draws_other_rows():
    table = pa.table({"x": np.arange(1_000)})
    first, second = (set(sample(table, 100, s).column("x").to_pylist()) for s in (1, 2))
    assert len(first & second) < 40


def test_no_collisions_among_neighbouring_values():
    table = pa.table({"a": np.repeat(np.arange(300), 300), "b": np.tile(np.arange(300), 300)})
    assert len(np.unique(row_hashes(table))) == 90_000


def test_a_sample_needs_rows():
    with pytest.raises(ConfigError, match="at least 1"):
        sample(pa.table({"x": [1]}), 0, seed=0)
