"""Grid search, keys, registers and drawn values say exactly what their definitions say."""

import numpy as np
import pyarrow as pa
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.bin_lookup import IntegerPlaces, NumericPlaces
from tfx_loop.monitoring.profile.bins import CategoryBins, NumericBins
from tfx_loop.monitoring.profile.build import ProfileRequest, build, slice_rows
from tfx_loop.monitoring.profile.derived_columns import LENGTH, TOKEN, VALUE, aspect_of
from tfx_loop.monitoring.profile.distinct_values import estimate, from_text, registers_of, to_text
from tfx_loop.monitoring.profile.row_keys import mixed, text_keys

EDGES = st.lists(
    st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-2, 2)),
    min_size=1,
    max_size=64,
    unique=True,
)


@settings(max_examples=scaled(200))
@given(EDGES, st.lists(st.floats(allow_nan=False), max_size=30), st.sampled_from([32, 64]))
def test_grid_search_is_bisection(edges, values, width):
    dtype = np.float32 if width == 32 else np.float64
    edges = np.sort(np.array(edges)) + 0.0
    edges = edges[np.concatenate([[True], np.diff(edges) > 0])]
    with np.errstate(over="ignore"):
        near = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
        given_values = np.concatenate([near, values]).astype(dtype)
    bins = NumericBins(tuple(edges.tolist()), 0.0, 1.0)
    expected = np.searchsorted(edges, given_values.astype(np.float64), side="left")
    assert NumericPlaces(bins, dtype)(given_values).tolist() == expected.tolist()


def test_the_grid_is_used_for_equal_mass_bins():
    edges = np.quantile(np.random.default_rng(0).lognormal(size=9_999), np.arange(1, 32) / 32)
    assert NumericPlaces(NumericBins(tuple(edges), 0.0, 1.0), np.float32)._grid is not None


@given(
    st.lists(st.integers(-(2**52), 2**52) | st.integers(-9, 9), unique=True, max_size=20),
    st.lists(st.integers(-12, 12) | st.sampled_from([np.inf, -np.inf]), max_size=20),
)
def test_whole_numbers_find_their_category(categories, values):
    places = IntegerPlaces(CategoryBins(tuple(categories)))(np.array(values, dtype=np.float64))
    known = {category: place for place, category in enumerate(categories)}
    assert places.tolist() == [known.get(value, len(categories)) for value in values]


@pytest.mark.slow
@given(st.lists(st.one_of(st.none(), st.text(max_size=40), st.text(min_size=500)), max_size=12))
def test_equal_texts_have_equal_keys_wherever_they_stand(texts):
    keys = text_keys(pa.array(texts, pa.string()))
    alone = [int(text_keys(pa.array([text], pa.string()))[0]) for text in texts]
    assert keys.tolist() == alone
    sliced = text_keys(pa.array(["before", *texts], pa.string()).slice(1))
    assert sliced.tolist() == alone


def test_different_texts_have_different_keys():
    texts = [f"request-{number:07d}" for number in range(200_000)]
    assert len(np.unique(text_keys(pa.array(texts)))) == 200_000
    assert text_keys(pa.array(["a", "a\0", "", "\0"])).tolist() != 4 * [0]
    assert len(set(text_keys(pa.array(["a", "a\0", "", "\0"])).tolist())) == 4


@pytest.mark.parametrize("count", [0, 1, 30, 1_000, 100_000])
def test_distinct_values_are_estimated(count):
    found = [
        estimate(registers_of(mixed(np.arange(n * 10**7, n * 10**7 + count, dtype=np.uint64))))
        for n in range(8)
    ]
    assert np.mean(found) == pytest.approx(count, rel=0.05, abs=0.02)
    assert max(abs(value - count) for value in found) <= 0.2 * count


def test_registers_are_maxima_and_are_written_whole():
    keys = mixed(np.arange(5_000, dtype=np.uint64))
    halves = np.maximum(registers_of(keys[:2_000]), registers_of(keys[1_000:]))
    assert halves.tolist() == registers_of(keys).tolist()
    assert from_text(to_text(halves)).tolist() == halves.tolist()
    exact = [
        next(r for r in range(1, 57) if r == 56 or (int(k) >> 9) >> (55 - r) & 1) for k in keys
    ]
    places = [int(key) & 511 for key in keys]
    expected = np.zeros(512, dtype=np.uint8)
    np.maximum.at(expected, places, exact)
    assert expected.tolist() == registers_of(keys).tolist()


def test_lists_are_counted_by_length_and_one_value_a_row():
    lists = pa.array([["a", "b"], [], None, ["c"], ["b", "a"]])
    assert aspect_of(lists, LENGTH).to_pylist() == [2, 0, None, 1, 2]
    drawn = aspect_of(lists, VALUE).to_pylist()
    assert drawn[1:4] == [None, None, "c"]
    assert drawn[0] in ("a", "b")
    assert drawn[0] == drawn[4]


def test_the_drawn_value_is_uniform_over_the_list():
    rng = np.random.default_rng(0)
    rows = [rng.choice(10_000, 3, replace=False).tolist() for _ in range(6_000)]
    drawn = aspect_of(pa.array(rows), VALUE).to_pylist()
    places = np.bincount([row.index(value) for row, value in zip(rows, drawn, strict=True)])
    assert abs(places - 2_000).max() < 150


def test_text_is_counted_by_length_and_one_word_a_row():
    texts = pa.array(["Hello  world", "hello WORLD ", "", None, "é"])
    assert aspect_of(texts, LENGTH).to_pylist() == [12, 12, 0, None, 1]
    words = aspect_of(texts, TOKEN).to_pylist()
    assert words[0] == words[1]
    assert words[2:4] == ["", None]
    with pytest.raises(DataError, match="Expected text"):
        aspect_of(pa.array([1, 2]), TOKEN)


def test_other_words_move_the_tokens_of_a_text():
    def notes(vocabulary, seed):
        rng = np.random.default_rng(seed)
        return [" ".join(rng.choice(vocabulary, 6)) for _ in range(2_000)]

    first = [f"w{number}" for number in range(100)]
    table = pa.table({"note": notes(first, 0)})
    reference, _ = build(table, ProfileRequest())
    token = next(f for f in reference.features if f.aspect == TOKEN)
    assert {f.name for f in reference.features} == {"note#length", "note#token"}
    assert (token.column, token.counts.bins[-1]) == ("note", 0)
    from tfx_loop.monitoring.profile.profiler import profile_batch

    def distance(texts):
        batch = pa.RecordBatch.from_pydict({"note": texts})
        bins = profile_batch(batch, reference).total("note#token").counts.bins
        return np.abs(np.subtract(bins, token.counts.bins)).sum() / 2_000

    assert distance(notes(first, 1)) < 0.25
    assert distance(notes(first[:30] + [f"v{n}" for n in range(70)], 2)) > 0.4


def test_texts_in_lists_of_one_count_as_texts_do():
    from tfx_loop.monitoring.profile.profiler import profile_batch

    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), rng.integers(3, 12))) for _ in range(500)]
    reference, _ = build(pa.table({"note": texts}), ProfileRequest())
    # As a log has the bytes of tf.Examples; a row of several is one that does not fit.
    listed = [[text.encode()] for text in texts]
    plain, packed, several = (
        profile_batch(pa.RecordBatch.from_pydict({"note": rows}), reference)
        for rows in (texts, listed, [*listed[:-1], [b"a b", b"c"]])
    )
    for name in ("note#length", "note#token"):
        assert packed.total(name).counts == plain.total(name).counts
        assert several.total(name).counts.unfit == 1
        assert sum(several.total(name).counts.bins) == 499


def test_slices_need_few_values():
    assert slice_rows("x", pa.array([1.0, 2.0, 1.0, None])) == {"1": 2, "2": 1}
    assert slice_rows("x", pa.array([True, False, True])) == {"0": 1, "1": 2}
    for column in (pa.array(range(65)), pa.nulls(3)):
        with pytest.raises(DataError, match="slice_features"):
            slice_rows("x", column)
