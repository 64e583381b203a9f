"""The same row is found by its keys, whatever order, type or number of rows they come in."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.skew_monitor.same_rows import same_rows

few = st.integers(0, 4)
training_keys = st.lists(st.tuples(few, few), unique=True, max_size=12)
served_keys = st.lists(st.tuples(few | st.none(), few), max_size=30)


def columns(rows, second):
    """Two key columns: a text and a whole number of the type given."""
    texts = [None if first is None else str(first) for first, _ in rows]
    return [pa.array(texts, pa.string()), pa.array([number for _, number in rows], second)]


@given(training_keys, served_keys)
def test_rows_are_found_as_a_dictionary_finds_them(ours, theirs):
    expected = {(ours.index(key), place) for place, key in enumerate(theirs) if key in set(ours)}
    found = same_rows(columns(ours, pa.int64()), columns(theirs, pa.int32()))
    assert set(zip(found.training.tolist(), found.served.tolist(), strict=True)) == expected
    assert found.rows == len({place for place, _ in expected})
    assert found.repeated == len(expected) - found.rows


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pa.array([7, 8]), pa.array(["8", "9"])),
        (pa.array([7, 8]), pa.array([8.0, 9.0])),
        (pa.array([7, 8]), pa.array([8.0, None])),
        (pa.array([2**62, 2**62 + 1]), pa.array([2**62 + 1])),
        (pa.array([b"a", b"b"]), pa.array(["b", "c"])),
        (pa.array([["a"], ["b"]]), pa.chunked_array([["b"], ["c"]])),
        (pa.array(["a", "b"]), pa.array(["b", "c"]).dictionary_encode()),
        (pa.array([0, 1], pa.timestamp("ms")), pa.array([1], pa.timestamp("ms"))),
    ],
)
def test_keys_name_the_same_row_in_any_type(ours, theirs):
    found = same_rows([ours], [theirs])
    assert found.training.tolist() == [1]
    assert theirs[int(found.served[0])].is_valid


def test_a_row_without_a_key_is_no_row_s_twin():
    found = same_rows([pa.array([None, None, "a"])], [pa.array([None, "a"])])
    assert (found.training.tolist(), found.served.tolist()) == ([2], [1])


def test_many_keys_do_not_overflow():
    rows = 3_000
    values = pa.array(range(rows))
    found = same_rows([values] * 7, [values] * 7)
    assert found.training.tolist() == found.served.tolist() == list(range(rows))


def test_keys_that_are_not_unique_in_training_are_refused_and_quoted_when_asked():
    keys = [pa.array(["a", "b", "b"]), pa.array([1, 2, 2])]
    with pytest.raises(DataError, match=r"2 rows with one key: not unique. Name one more"):
        same_rows(keys, keys)
    with pytest.raises(DataError, match=r"2 rows with one key \['b', 2\]: not unique"):
        same_rows(keys, keys, quote=True)


def test_a_key_of_another_kind_is_refused():
    struct = pa.array([{"a": 1}])
    with pytest.raises(DataError, match="keys of text or whole numbers"):
        same_rows([struct], [struct])
