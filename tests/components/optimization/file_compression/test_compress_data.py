"""Files of users become the model's rows, or one line says why not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.file_compression.data import check_file, read_classes, read_rows
from tfx_loop.optimization.file_compression.python_api import data_file
from tfx_loop.optimization.metrics.labels import ClassNames, encode_labels

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


def known_scores(truth, width, certainty):
    """Returns probabilities of a model that gives the right class this much more than the rest."""
    columns = max(width, 2)
    scores = (1 - certainty) / columns + certainty * np.eye(columns)[truth]
    return scores if width > 1 else scores[:, 1:]


@pytest.mark.parametrize(
    ("labels", "width", "expected", "said"),
    [
        (["dog", "cat", "cow"] * 4, 3, [2, 0, 1] * 4, "cat is 0, cow is 1, dog is 2"),
        ([3, 1, 2], 3, [2, 0, 1], "1 is 0, 2 is 1, 3 is 2"),
        ([0, 2, 0], 3, [0, 2, 0], None),
        ([0.0, 1.0, 2.0], 3, [0, 1, 2], None),
        (["no", "yes"] * 5, 1, [0, 1] * 5, "no is 0, yes is 1"),
        # Whole numbers as text are numbers: "10" is no third class between "1" and "2".
        (list(map(str, range(12))), 12, list(range(12)), None),
        ([" 1", "2", "3"], 3, [0, 1, 2], "1 is 0, 2 is 1, 3 is 2"),
        (["0.0", "1.0", "1.0"], 1, [0, 1, 1], None),
        (["0.5", "-1.5", "2e3"], 1, [0.5, -1.5, 2000.0], None),
        ([-1, 1], 1, [0, 1], "-1 is 0, 1 is 1"),
        ([True, False], 1, [1, 0], None),
        ([0, 1, 1], 1, [0, 1, 1], None),
        ([0.5, 1.5, 2.25], 1, [0.5, 1.5, 2.25], None),
        ([[1], [0]], 1, [1, 0], None),
        ([[0, 1], [1, 0]], 2, [[0, 1], [1, 0]], None),
    ],
)
def test_labels_are_read_in_the_one_way_there_is(labels, width, expected, said):
    # Of a model that answers as the expected numbers say, by half of the probability.
    scores = np.full((len(labels), width), 0.5 / width)
    if np.ndim(expected) == 1 and set(expected) <= set(range(max(width, 2))):
        scores = known_scores(np.array(expected), width, 0.5)
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
        # Masks of a segmentation, as files keep them.
        ([b"\x89PNG\r", b"\x89PNG\n"], 2, "the label 'y', received bytes that are no text"),
    ],
)
def test_labels_with_no_one_reading_are_refused(labels, width, message):
    with pytest.raises(DataError, match=message):
        encode_labels(np.array(labels), np.zeros((len(labels), width)), "y")


def test_names_as_bytes_are_names():
    names = ClassNames(given=("dog", "cat"))
    for kind in (object, "S"):
        found, _ = encode_labels(np.array([b"cat", b"dog"], kind), np.eye(2), "y", names)
        assert found.tolist() == [1, 0]


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


def test_names_of_a_model_that_knows_nothing_are_refused():
    rng = np.random.default_rng(1)
    names = rng.choice(["a", "b"], size=300)
    with pytest.raises(DataError, match=r"leave open which output stands for which.*--classes"):
        encode_labels(names, rng.random((300, 1)), "y")


def test_a_rare_class_that_is_never_answered_is_numbered_by_its_probabilities():
    rng = np.random.default_rng(2)
    x = rng.normal(size=3000)
    probability = 1 / (1 + np.exp(5 - 1.5 * x))
    truth = (rng.random(3000) < probability).astype(int)
    assert (probability > 0.5).sum() < 30
    found, note = encode_labels(np.where(truth == 1, "fraud", "ok"), probability[:, None], "y")
    assert (found == truth).all()
    assert "ok is 0, fraud is 1" in note


@pytest.mark.parametrize("accuracy", [0.998, 0.8, 0.5])
def test_names_in_any_order_are_numbered_rightly_or_refused(accuracy):
    """300 random orders of ten names: not one is numbered wrongly, and good models are read."""
    read = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        names = np.array([f"kind {i}" for i in range(10)])[rng.permutation(10)]
        truth = rng.integers(0, 10, size=500)
        answers = np.where(rng.random(500) < accuracy, truth, rng.integers(0, 10, size=500))
        try:
            found, _ = encode_labels(names[truth], known_scores(answers, 10, 0.7), "y")
        except DataError:
            continue
        assert (found == truth).all()
        read += 1
    assert read == 300 if accuracy > 0.9 else True


def test_names_are_those_that_the_user_gives():
    names = ClassNames(given=("cow", "cat", "dog"))
    found, note = encode_labels(np.array(["cat", "cow"]), np.zeros((2, 3)), "y", names)
    assert found.tolist() == [1, 0]
    assert note == "Classes of y, as given: cow is 0, cat is 1, dog is 2."
    with pytest.raises(DataError, match="among cow, cat, dog, received pig"):
        encode_labels(np.array(["pig", "cow"]), np.zeros((2, 3)), "y", names)
    with pytest.raises(DataError, match="Expected 4 different class names, one for each output"):
        encode_labels(np.array(["cat", "cow"]), np.zeros((2, 4)), "y", names)


def test_names_of_the_model_are_taken_unless_its_answers_speak_against_them():
    truth = np.arange(60) % 3
    labels = np.array(["low", "medium", "high"])[truth]
    scores = known_scores(truth, 3, 0.3)
    of_model = ClassNames(of_model=lambda _: [("low", "medium", "high"), ("a", "b", "c")])
    found, note = encode_labels(labels, scores, "y", of_model)
    assert (found == truth).all()
    assert "as the model names them" in note
    # A feature's vocabulary with the same words, in an order of its own.
    of_feature = ClassNames(of_model=lambda _: [("high", "low", "medium")])
    found, note = encode_labels(labels, scores, "y", of_feature)
    assert (found == truth).all()
    assert "as the model answers" in note


def test_a_file_of_class_names_is_read_or_refused_in_a_line(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("cow\n\n cat \ndog\n")
    assert read_classes(path) == ("cow", "cat", "dog")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="Expected class names as UTF-8 text"):
        read_classes(path)
    with pytest.raises(ConfigError, match="received: No such file"):
        read_classes(tmp_path / "none.txt")


def tuple_of_rows(path):
    """A loader that gives what Keras' datasets give."""
    assert path.endswith("anything")
    return np.ones((4, 3)), np.arange(4)


def named_rows(path):
    return {"x": {"input_1": np.ones((4, 3))}, "y": np.arange(4), "place": np.array(list("aabb"))}


def no_rows(path):
    return [np.ones((4, 3))]


@pytest.mark.parametrize("loader", ["tuple_of_rows", "named_rows"])
def test_a_loader_s_arrays_are_the_rows(loader):
    slices = ("place",) if loader == "named_rows" else ()
    rows = read_rows(
        Path("anything"), WIDE, None, slices, loader=f"{__name__}:{loader}", preprocess="unit"
    )
    assert rows.inputs["input_1"].shape == (4, 3)
    assert rows.labels.tolist() == [0, 1, 2, 3]
    assert list(rows.slices) == list(slices)


def test_a_loader_that_gives_no_rows_is_one_line():
    with pytest.raises(ConfigError, match=r"Expected arrays by name, or \(x, y\), from") as caught:
        read_rows(Path("anything"), WIDE, None, (), loader=f"{__name__}:no_rows")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        (np.ones((5, 3)), np.arange(5)),
        ({"input_1": np.ones((5, 3))}, np.arange(5)),
        {"x": np.ones((5, 3)), "y": np.arange(5)},
        [(np.ones((2, 3)), np.arange(2)), (np.ones((3, 3)), np.arange(2, 5))],
        pd.DataFrame({"a": np.ones(5), "b": np.ones(5), "c": np.ones(5), "y": np.arange(5)}),
        pa.table({"a": np.ones(5), "b": np.ones(5), "c": np.ones(5), "y": np.arange(5)}),
    ],
    ids=["tuple", "named", "mapping", "batches", "pandas", "arrow"],
)
def test_rows_in_memory_reach_the_model_as_those_of_a_file(tmp_path, data):
    rows = read_rows(data_file(data, tmp_path), WIDE, "y", ())
    assert rows.inputs["input_1"].tolist() == [[1, 1, 1]] * 5
    assert rows.labels.tolist() == [0, 1, 2, 3, 4]


def test_a_folder_of_images_takes_no_label(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    check_file(tmp_path, None, ())
    with pytest.raises(ConfigError, match="Expected no --label and no --slice"):
        check_file(tmp_path, "animal", ())
