"""Rows are split without overlap, each class in proportion, and fitted to what a model takes."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.models.rows.fitting import rows_from_arrays, rows_from_table
from tfx_loop.models.rows.splits import Rows, joined, split, stratified_sample


@dataclass(frozen=True)
class BareTensor:
    name: str
    shape: tuple
    dtype: str = "float32"


def numbered(count, labels=None):
    return Rows(inputs={"x": np.arange(count)}, labels=labels, slices={"s": np.arange(count) % 3})


@settings(max_examples=scaled(50), deadline=None)
@given(st.integers(30, 3_000), st.integers(0, 5), st.integers(1, 12))
def test_the_parts_are_disjoint_and_cover_all_rows(count, seed, classes):
    parts = split(numbered(count, np.arange(count) % classes), seed)
    taken = [part.inputs["x"] for part in (parts.calibration, parts.choosing, parts.reporting)]
    assert sorted(np.concatenate(taken)) == list(range(count))
    assert len(parts.calibration) == min(count // 5, 500)
    assert sum(parts.counts().values()) == count


@settings(max_examples=scaled(30), deadline=None)
@given(st.integers(100, 2_000), st.integers(0, 5))
def test_each_part_has_each_class_in_proportion(count, seed):
    labels = np.random.default_rng(seed).choice(3, size=count, p=[0.7, 0.2, 0.1])
    parts = split(numbered(count, labels), seed)
    for part in (parts.calibration, parts.choosing, parts.reporting):
        for value in range(3):
            expected = (labels == value).mean() * len(part)
            assert abs((part.labels == value).sum() - expected) <= 2


def test_numbers_are_stratified_by_their_size():
    labels = np.random.default_rng(0).lognormal(size=500)
    parts = split(numbered(500, labels), 0)
    for part in (parts.calibration, parts.choosing, parts.reporting):
        assert (part.labels > np.median(labels)).mean() == pytest.approx(0.5, abs=0.03)


def test_parts_joined_again_are_all_rows():
    parts = split(numbered(100, np.arange(100) % 4), 0)
    whole = joined(joined(parts.calibration, parts.choosing), parts.reporting)
    order = np.argsort(whole.inputs["x"])
    assert (whole.labels[order] == np.arange(100) % 4).all()
    assert (whole.slices["s"] == whole.inputs["x"] % 3).all()


def test_the_seed_decides_and_nothing_else():
    rows = numbered(200, np.arange(200) % 2)
    first, again, other = (split(rows, seed).choosing.inputs["x"] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match=r"at least 30 rows .* received 29"):
        split(numbered(29), 0)


def test_a_sample_of_more_than_there_are_is_all_of_them():
    assert len(stratified_sample(numbered(10), 99, 0)) == 10
    with pytest.raises(DataError, match="0 rows"):
        stratified_sample(numbered(0), 5, 0)


def test_a_rare_class_is_drawn_too():
    labels = np.array([0] * 95 + [1] * 5)
    assert stratified_sample(numbered(100, labels), 20, 3).labels.sum() == 1


def test_all_other_numeric_columns_make_up_one_wide_input():
    table = pa.table({"b": [1, 2], "id": ["u", "v"], "a": [0.5, 1.5], "y": ["no", "yes"]})
    rows = rows_from_table(table, [BareTensor("x", (None, 2))], "y")
    assert rows.inputs["x"].tolist() == [[1, 0.5], [2, 1.5]]
    assert rows.inputs["x"].dtype == np.float32
    assert rows.labels.tolist() == ["no", "yes"]
    assert "b, a" in rows.notes[0]


def test_a_numeric_slice_column_is_left_out_where_the_input_is_too_narrow_for_it():
    table = pa.table({"a": [1.0], "shop": [3], "b": [2.0], "y": [0]})
    rows = rows_from_table(table, [BareTensor("x", (None, 2))], "y", ["shop"])
    assert rows.inputs["x"].tolist() == [[1, 2]]
    assert rows.slices["shop"].tolist() == [3]


def test_columns_go_to_the_inputs_of_their_name():
    table = pa.table({"size": [1, 2], "y": [0, 1], "place": [[1.0, 2.0], [3.0, 4.0]]})
    inputs = [BareTensor("place", (None, 2, 1)), BareTensor("size", (None, 1), "int64")]
    rows = rows_from_table(table, inputs, "y")
    assert rows.inputs["place"].shape == (2, 2, 1)
    assert rows.inputs["size"].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ((5, 28, 28), (None, 28, 28, 1)),
        ((5, 28, 28, 1), (None, 28, 28)),
        ((5, 64), (None, 8, 8, 1)),
        ((5, 8, 8), (None, 64)),
        ((5, 7), (None, None)),
        ((5,), (None, 1)),
    ],
)
def test_axes_of_length_one_and_flattened_rows_fit(have, want):
    rows = rows_from_arrays({"x": np.zeros(have)}, [BareTensor("input_1", want)])
    assert rows.inputs["input_1"].ndim == len(want)


@pytest.mark.parametrize(
    ("have", "want"), [((5, 3, 32, 32), (None, 32, 32, 3)), ((5, 27, 28), (None, 28, 28, 1))]
)
def test_other_shapes_are_refused(have, want):
    with pytest.raises(DataError, match=r"Expected rows of shape .* received \(rows, "):
        rows_from_arrays({"x": np.zeros(have)}, [BareTensor("x", want)])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0], "b": [2.0]}, "Expected the column 'y', received a, b"),
        ({"a": [1.0], "y": [2.0]}, "Expected 2 numeric columns .* received 1: a"),
        ({"a": [1.0, None], "b": [1.0, 2.0], "y": [0, 1]}, "no missing values in the column 'a'"),
        ({"a": [1.0, float("nan")], "b": [1.0, 2.0], "y": [0, 1]}, "no missing values in the inp"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0], "y": [0, None]}, "no missing values in the column 'y'"),
        ({"x": ["u"], "y": [1]}, "Expected numbers for the input 'x'"),
        ({"x": [[1.0], [1.0, 2.0]], "y": [0, 1]}, "lists of one length .* from 1 to 2"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(columns, message):
    with pytest.raises(DataError, match=message) as caught:
        rows_from_table(pa.table(columns), [BareTensor("x", (None, 2))], "y")
    assert "\n" not in str(caught.value)


def test_several_inputs_must_all_be_named():
    inputs = [BareTensor("left", (None, 2)), BareTensor("right", (None, 2))]
    with pytest.raises(DataError, match="missing: right"):
        rows_from_arrays({"left": np.zeros((3, 2))}, inputs)


def test_fractions_do_not_become_whole_numbers():
    with pytest.raises(DataError, match="whole numbers of int64"):
        rows_from_arrays({"x": np.array([[0.5]])}, [BareTensor("x", (None, 1), "int64")])


def test_parts_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="x 3, labels 2"):
        Rows(inputs={"x": np.zeros(3)}, labels=np.zeros(2))
