"""Files of users become the model's rows, or one line says why not."""

import numpy as np
import pandas as pd
import pytest

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.file_compression.data import check_file, read_rows
from tfx_loop.optimization.metrics.labels import encode_labels

WIDE = (TensorSpec(name="input_1", shape=(None, 3), dtype="float32"),)
IMAGE = (TensorSpec(name="image", shape=(None, 4, 4, 1), dtype="float32"),)


def test_an_npz_of_images_without_a_channel_axis_fits(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.ones((5, 4, 4), np.uint8), y=np.arange(5), place=[b"a"] * 5)
    rows = read_rows(tmp_path / "d.npz", IMAGE, None, ("place",))
    assert rows.inputs["image"].shape == (5, 4, 4, 1)
    assert rows.inputs["image"].dtype == np.float32
    assert rows.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(rows.slices["place"]) == 5


def test_arrays_are_taken_by_the_inputs_names(tmp_path):
    inputs = (WIDE[0], TensorSpec(name="file", shape=(None, 1), dtype="int64"))
    np.savez(tmp_path / "d.npz", input_1=np.ones((5, 3)), y=np.arange(5), other=np.ones(5))
    with pytest.raises(DataError, match="missing: file"):
        read_rows(tmp_path / "d.npz", inputs, None, ())


@pytest.mark.parametrize("suffix", ["csv", "parquet", "csv.gz"])
def test_tables_in_several_formats_are_the_same_rows(tmp_path, suffix):
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [1, 2], "c": [3.0, 4.0], "kind": ["x", "y"]})
    path = tmp_path / f"d.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    rows = read_rows(path, WIDE, "kind", ())
    assert rows.inputs["input_1"].tolist() == [[1.5, 1, 3], [2.5, 2, 4]]
    assert rows.labels.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((5, 3))}, "Expected the array 'y' in .*, received x"),
        ({"x": np.ones((5, 3)), "y": np.ones(4)}, "same number of rows"),
        ({"x": np.ones((5, 4)), "y": np.ones(5)}, "Expected rows of shape"),
        ({"x": np.full((5, 3), np.nan), "y": np.ones(5)}, "no missing values in the input"),
        ({"x": np.full((5, 3), 1e300), "y": np.ones(5)}, "too large for float32"),
        ({"x": np.ones((5, 3)), "y": [1, np.nan, 1, 1, 1]}, "no missing values in the label"),
        ({"x": np.ones((0, 3)), "y": np.ones(0)}, "Expected rows in"),
        ({"x": np.ones((5, 3)), "y": np.array([None] * 5)}, "Python objects are not read"),
    ],
)
def test_an_npz_that_does_not_fit_is_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_rows(tmp_path / "d.npz", WIDE, None, ())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"text"])
def test_a_damaged_npz_is_one_line(tmp_path, content):
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DataError, match="Expected arrays of numbers"):
        read_rows(tmp_path / "d.npz", WIDE, None, ())


def test_a_file_is_checked_before_the_model_is_opened(tmp_path):
    pd.DataFrame({"a": [1], "b": [2]}).to_csv(tmp_path / "d.csv", index=False)
    np.savez(tmp_path / "d.npz", x=np.ones(2), y=np.ones(2))
    check_file(tmp_path / "d.csv", "a", ["b"])
    check_file(tmp_path / "d.npz", None, ["x"])
    with pytest.raises(ConfigError, match=r"--label.*Name one of a, b"):
        check_file(tmp_path / "d.csv", None, ())
    with pytest.raises(DataError, match=r"column 'c', received a, b"):
        check_file(tmp_path / "d.csv", "a", ["c"])
    with pytest.raises(DataError, match=r"array 'c' in .*, received x, y\. Name one of these"):
        check_file(tmp_path / "d.npz", None, ["c"])


def test_no_file_is_one_line(tmp_path):
    for name in ("none.npz", "none.csv"):
        with pytest.raises(DataError, match=f"at .*{name}, found none"):
            read_rows(tmp_path / name, WIDE, "y", ())


@pytest.mark.parametrize(
    ("labels", "width", "expected", "said"),
    [
        (["dog", "cat", "cow"] * 2, 3, [2, 0, 1] * 2, "cat is 0, cow is 1, dog is 2"),
        ([3, 1, 2], 3, [2, 0, 1], "1 is 0, 2 is 1, 3 is 2"),
        ([0, 2, 0], 3, [0, 2, 0], None),
        ([0.0, 1.0, 2.0], 3, [0, 1, 2], None),
        (["no", "yes"], 1, [0, 1], "no is 0, yes is 1"),
        ([-1, 1], 1, [0, 1], "-1 is 0, 1 is 1"),
        ([True, False], 1, [1, 0], None),
        ([0, 1, 1], 1, [0, 1, 1], None),
        ([0.5, 1.5, 2.25], 1, [0.5, 1.5, 2.25], None),
        ([[1], [0]], 1, [1, 0], None),
        ([[0, 1], [1, 0]], 2, [[0, 1], [1, 0]], None),
    ],
)
def test_labels_are_read_in_the_one_way_there_is(labels, width, expected, said):
    scores = np.full((len(labels), width), 1 / width)
    found, note = encode_labels(np.array(labels), scores, "y")
    assert found.tolist() == expected
    assert (note is None) if said is None else (said in note)


@pytest.mark.parametrize(
    ("labels", "width", "message"),
    [
        (["a", "b", "c"], 2, "at most 2 classes in 'y' for 2 outputs, received 3: a, b, c"),
        (["a", "b"], 3, "received 2 values: a, b"),
        ([0, 1, 7], 4, "class numbers 0 to 3"),
        ([0.5, 1.5, 2.5], 3, "class numbers 0 to 2"),
        (["a", "b", "c"], 1, "two classes in 'y' for a model with one output"),
        ([1, 1, 1], 1, "two different labels in 'y', received only 1"),
    ],
)
def test_labels_with_no_one_reading_are_refused(labels, width, message):
    with pytest.raises(DataError, match=message):
        encode_labels(np.array(labels), np.zeros((len(labels), width)), "y")


@pytest.mark.parametrize("width", [1, 3])
def test_names_are_numbered_as_the_model_answers_where_sorting_makes_no_sense(width):
    names = np.array(["benign", "malignant"] if width == 1 else ["cow", "cat", "dog"])
    truth = np.random.default_rng(0).integers(0, max(width, 2), size=200)
    if width == 1:
        scores = np.where(truth == 0, 0.9, 0.1)[:, None]  # the model was trained with benign as 1
        expected = 1 - truth
    else:
        scores, expected = np.eye(3)[truth] * 5.0, truth
    found, note = encode_labels(names[truth], scores, "y")
    assert (found == expected).all()
    assert "as the model answers" in note


def test_names_stay_sorted_where_the_model_knows_nothing():
    rng = np.random.default_rng(1)
    names = rng.choice(["a", "b"], p=[0.9, 0.1], size=300)
    _, note = encode_labels(names, rng.random((300, 1)), "y")
    assert note == "Classes of y, sorted: a is 0, b is 1."
