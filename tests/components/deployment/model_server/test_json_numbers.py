"""The short way of reading numbers: what it takes, it reads as the long way does."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server import json_tensors
from tfx_loop.deployment.model_server.json_numbers import numbers
from tfx_loop.models.tensors import TensorSpec

VALUES = st.one_of(
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.integers(-100, 100),
    st.booleans(),
    st.none(),
    st.text(max_size=2),
)
LISTS = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=4),
    st.lists(st.floats(width=32), min_size=1, max_size=4),
    st.recursive(st.lists(VALUES, max_size=3), lambda inner: st.lists(inner, max_size=3)),
)


def read_slowly(value, spec):
    with mock.patch.object(json_tensors, "numbers", return_value=None):
        return json_tensors._tensor("x", value, spec)


@given(value=LISTS, dtype=st.sampled_from(["float32", "float64", "int32", "int64", "string"]))
def test_what_is_read_quickly_is_read_the_same_slowly(value, dtype):
    spec = TensorSpec(name="x", shape=(None,), dtype=dtype)
    quick = numbers(value, spec)
    if quick is None:
        return
    slow = read_slowly(value, spec)
    assert quick.dtype == slow.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(quick, slow)


@pytest.mark.parametrize("value", [[[0.5, 2.0], [3, -1.5]], [1.5], [[[0.25]]]])
def test_rows_of_numbers_are_read_quickly(value):
    spec = TensorSpec(name="x", shape=(None,), dtype="float32")
    np.testing.assert_array_equal(numbers(value, spec), np.array(value, "float32"))


@pytest.mark.parametrize(
    "value", [[True], [1.0, True], [None], ["1"], [[1.0], [1.0, 2.0]], 1.0, []]
)
def test_what_is_no_number_is_left_to_a_closer_look(value):
    assert numbers(value, TensorSpec(name="x", shape=(None,), dtype="float32")) is None


def test_true_is_no_number_of_a_request():
    body = b'{"instances": [1.0, true]}'
    request = json_tensors.parse_request(body)
    with pytest.raises(DataError, match="not of expected type"):
        read_slowly(request.content, TensorSpec(name="x", shape=(None,), dtype="float32"))
