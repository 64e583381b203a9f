"""Folders of images become rows as the model takes them; what is no image is one line."""

import numpy as np
import pytest
from PIL import Image

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.rows.image_folder import is_image_folder, read_image_folder
from tfx_loop.models.tensors import TensorSpec

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
