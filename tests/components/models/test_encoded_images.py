"""Encoded images become rows as the model takes them; what is no image is one line."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.rows.encoded_images import is_image_folder, read_image_folder
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.file_compression.data import read_rows

TAKES = (TensorSpec(name="image", shape=(None, 6, 4, 3), dtype="float32"),)


@pytest.fixture
def folder(tmp_path):
    for number, (name, suffix) in enumerate([("cat", "png"), ("cat", "jpg"), ("dog", "PNG")]):
        (tmp_path / name).mkdir(exist_ok=True)
        image = np.full((12, 8, 3), 100 * number, dtype=np.uint8)
        form = "JPEG" if suffix == "jpg" else "PNG"
        Image.fromarray(image).save(tmp_path / name / f"{number}.{suffix}", form)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    return tmp_path


def test_each_sub_folder_is_a_class(folder):
    assert is_image_folder(folder)
    rows = read_image_folder(folder, TAKES)
    assert rows.labels.tolist() == ["cat", "cat", "dog"]
    images = rows.inputs["image"]
    assert (images.shape, images.dtype) == ((3, 6, 4, 3), np.float32)
    assert np.allclose(images.mean(axis=(1, 2, 3)), [0, 100 / 255, 200 / 255], atol=0.01)
    assert "resized to 4x6" in rows.notes[0]


def halved(images):
    return images / 2


@pytest.mark.parametrize(
    ("preprocess", "last"),
    [("bytes", 200.0), ("signed", 200 / 127.5 - 1), (f"{__name__}:halved", 100.0)],
)
def test_images_are_scaled_by_name_or_by_a_function(folder, preprocess, last):
    images = read_image_folder(folder, TAKES, preprocess).inputs["image"]
    assert images[2, 0, 0, 0] == pytest.approx(last, abs=1e-3)


def test_one_channel_is_grey(folder):
    grey = (TensorSpec(name="x", shape=(None, 3, 3, 1), dtype="float32"),)
    assert read_image_folder(folder, grey).inputs["x"].shape == (3, 3, 3, 1)


def test_what_does_not_fit_is_one_line(folder):
    numbers = (TensorSpec(name="x", shape=(None, 4), dtype="float32"),)
    with pytest.raises(DataError, match="Expected a model of one input"):
        read_image_folder(folder, numbers)
    with pytest.raises(ConfigError, match="Expected a function 'nothing'"):
        read_image_folder(folder, TAKES, f"{__name__}:nothing")
    with pytest.raises(ConfigError, match="Expected preprocess as"):
        read_image_folder(folder, TAKES, "squared")
    whole = (folder / "cat" / "0.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"GIF89a", b""):
        (folder / "cat" / "0.png").write_bytes(content)
        with pytest.raises(DataError, match=r"Expected a JPEG or PNG in .*0\.png") as caught:
            read_image_folder(folder, TAKES)
        assert "\n" not in str(caught.value)


def test_an_image_that_would_fill_the_memory_is_not_decoded(folder):
    Image.new("1", (20_000, 5_000)).save(folder / "cat" / "huge.png")
    with pytest.raises(DataError, match="at most 64,000,000 pixels"):
        read_image_folder(folder, TAKES)


def test_files_alone_and_tables_are_no_image_folders(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "rows.parquet").write_bytes(b"")
    (tmp_path / "a.png").write_bytes(b"")
    assert not is_image_folder(tmp_path)
    assert not is_image_folder(tmp_path / "a.png")


def encoded(grey, form="PNG", size=(8, 12)):
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(file, form)
    return file.getvalue()


def parquet(tmp_path, **columns):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    return path


PLAIN = [encoded(0), encoded(100, "JPEG", (5, 5)), encoded(200)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("image/encoded", PLAIN),
        ("image", PLAIN),
        # As Hugging Face's datasets write images.
        ("picture", [{"bytes": value, "path": f"{i}.png"} for i, value in enumerate(PLAIN)]),
    ],
)
def test_a_column_of_encoded_images_goes_to_the_input_of_images(tmp_path, column, values):
    path = parquet(tmp_path, **{column: values, "label": [2, 0, 1], "width": [12, 5, 12]})
    rows = read_rows(path, TAKES, "label", ["width"])
    assert rows.labels.tolist() == [2, 0, 1]
    assert rows.slices["width"].tolist() == [12, 5, 12]
    assert rows.inputs["image"].shape == (3, 6, 4, 3)
    assert np.allclose(rows.inputs["image"].mean(axis=(1, 2, 3)) * 255, [0, 100, 200], atol=2)
    assert f"column {column}, as unit, resized to 4x6" in rows.notes[0]


def test_numbers_beside_an_image_go_to_an_input_of_their_own(tmp_path):
    inputs = (*TAKES, TensorSpec(name="age", shape=(None, 1), dtype="float32"))
    path = parquet(tmp_path, png=PLAIN, age=[1.0, 2.0, 3.0], label=[0, 1, 0])
    rows = read_rows(path, inputs, "label", [])
    assert rows.inputs["age"].ravel().tolist() == [1, 2, 3]
    assert rows.inputs["image"].shape == (3, 6, 4, 3)


def test_columns_of_images_that_do_not_fit_are_one_line(tmp_path):
    with pytest.raises(DataError, match="one column of images for the input 'image', received a, "):
        read_rows(parquet(tmp_path, a=PLAIN, b=PLAIN, y=[0, 1, 0]), TAKES, "y", [])
    cut = [PLAIN[0], PLAIN[1], PLAIN[2][:40]]
    with pytest.raises(DataError, match=r"JPEG or PNG in row 2 of the column 'a'") as caught:
        read_rows(parquet(tmp_path, a=cut, y=[0, 1, 0]), TAKES, "y", [])
    assert "BytesIO" not in str(caught.value)
    with pytest.raises(DataError, match="image in each row of the column 'a', received none in 1"):
        read_rows(parquet(tmp_path, a=[*PLAIN[:2], None], y=[0, 1, 0]), TAKES, "y", [])


@pytest.mark.tensorflow
@pytest.mark.slow
def test_tf_examples_with_encoded_images_are_read(tmp_path):
    import tensorflow as tf

    path = tmp_path / "rows.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, image in enumerate(PLAIN):
            example = tf.train.Example()
            feature = example.features.feature
            feature["image/encoded"].bytes_list.value.append(image)
            feature["image/format"].bytes_list.value.append(b"png")
            feature["image/class/label"].int64_list.value.append(number)
            writer.write(example.SerializeToString())
    rows = read_rows(path, TAKES, "image/class/label", [])
    assert rows.labels.tolist() == [0, 1, 2]
    assert rows.inputs["image"][2, 0, 0, 0] == pytest.approx(200 / 255, abs=1e-3)
