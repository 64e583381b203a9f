"""Columns are typed and flattened as the frozen bins need them."""

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.columns import FeatureType, fits, flat, numbers, strings, type_of


def test_flat_unpacks_lists_of_one_value_and_keeps_gaps():
    column = pa.chunked_array([[[1], None, []], [[4]]], pa.large_list(pa.int64()))
    assert flat(column).to_pylist() == [1, None, None, 4]


def test_flat_respects_slices_of_lists():
    column = pa.array([[1], [], [3], [4]], pa.list_(pa.int64())).slice(1, 2)
    assert flat(column).to_pylist() == [None, 3]


def test_flat_keeps_a_null_inside_a_list():
    assert flat(pa.array([[None], [2.0]], pa.list_(pa.float32()))).to_pylist() == [None, 2.0]


def test_flat_refuses_several_values_a_row():
    with pytest.raises(DataError, match="up to 2"):
        flat(pa.array([[1], [2, 3]]))


def test_flat_reads_dictionaries_and_empty_columns():
    assert flat(pa.array(["a", "b", "a"]).dictionary_encode()).to_pylist() == ["a", "b", "a"]
    assert len(flat(pa.chunked_array([], pa.float64()))) == 0


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.0], pa.float32(), FeatureType.NUMERIC),
        ([1], pa.int64(), FeatureType.INTEGER),
        ([True], pa.bool_(), FeatureType.BOOLEAN),
        (["a"], pa.string(), FeatureType.CATEGORICAL),
        ([b"a"], pa.large_binary(), FeatureType.CATEGORICAL),
        ([None], pa.null(), None),
    ],
)
def test_type_of(values, kind, expected):
    assert type_of(pa.array(values, kind)) is expected


def test_type_of_refuses_what_no_feature_is():
    with pytest.raises(DataError, match="timestamp"):
        type_of(pa.array([0], pa.timestamp("ms")))


def test_numbers_are_rounded_to_what_a_tf_example_stores():
    from_json = numbers(pa.array([0.7, None, np.nan, np.inf]), FeatureType.NUMERIC)
    from_example = numbers(pa.array([0.7], pa.float32()), FeatureType.NUMERIC)
    assert from_json[0] == from_example[0]
    assert np.isnan(from_json[1:3]).all()
    assert from_json[3] == np.inf


def test_numbers_beyond_float32_stay_finite():
    assert np.isfinite(numbers(pa.array([1e300, -1e300]), FeatureType.NUMERIC)).all()


def test_integers_are_not_rounded():
    assert numbers(pa.array([2**24 + 1]), FeatureType.INTEGER)[0] == 2**24 + 1


@pytest.mark.parametrize(
    ("column", "expected", "fitting"),
    [
        (pa.array([5]), FeatureType.NUMERIC, True),
        (pa.array([5.0, np.nan]), FeatureType.INTEGER, True),
        (pa.array([5.5]), FeatureType.INTEGER, False),
        (pa.array(["5"]), FeatureType.NUMERIC, False),
        (pa.array([5]), FeatureType.CATEGORICAL, False),
        (pa.array([True]), FeatureType.INTEGER, True),
        (pa.array([0, 1, None]), FeatureType.BOOLEAN, True),
        (pa.array([0, 2]), FeatureType.BOOLEAN, False),
        (pa.array(["true"]), FeatureType.BOOLEAN, False),
        (pa.nulls(3), FeatureType.CATEGORICAL, True),
        (pa.array([0], pa.timestamp("ms")), FeatureType.INTEGER, False),
    ],
)
def test_fits(column, expected, fitting):
    assert fits(column, expected) is fitting


def test_strings_escape_bytes_that_are_no_utf8():
    assert strings(pa.array([b"\xff", b"ok", None])).to_pylist() == ["\\xff", "ok", None]
