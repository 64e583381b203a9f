"""Folders of images, a class a sub-folder, as rows of a model that takes images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfx_loop.core.errors import ConfigError, DataError, first_line
from tfx_loop.core.import_path import user_function
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import Array, TensorSpec

_SUFFIXES = (".jpg", ".jpeg", ".png")
# Of a small file that says it is huge, decoding would take all memory: 8K video has 33 megapixels.
_MOST_PIXELS = 64_000_000
# All rows are held in memory, as every other form of rows is.
_MOST_BYTES = 8 << 30
DEFAULT_SCALE = "unit"
# What Keras' applications were trained on: 0 to 1, -1 to 1 (mobilenet), or plain bytes, for models
# that hold a Rescaling.
SCALES: Mapping[str, Callable[[Array], Array]] = {
    "unit": lambda images: images / 255,
    "signed": lambda images: images / 127.5 - 1,
    "bytes": lambda images: images,
}


def is_image_folder(path: Path) -> bool:
    """Says whether a folder has sub-folders with images."""
    return path.is_dir() and bool(_classes(path))


def read_image_folder(
    path: Path, inputs: Sequence[TensorSpec], preprocess: str = DEFAULT_SCALE
) -> Rows:
    """Returns images with the names of their folders as labels, in sorted order.

    Images are read as RGB, or grey for one channel, and brought to the input's size by bilinear
    interpolation, as Keras' image_dataset_from_directory does.

    Args:
        path: The folder.
        inputs: What the model takes: one input of images, [rows, height, width, channels].
        preprocess: A name of `SCALES`, or the import path of a function from images (rows, height,
            width, channels), float32 from 0 to 255, to what the model takes.

    Raises:
        ConfigError: There is no such function, or it returns something else.
        DataError: The model takes no images, or a file is none.
    """
    spec, mode = _images_of(inputs)
    scale = SCALES.get(preprocess) or user_function(preprocess, "preprocess")
    height, width = spec.shape[1:3]
    files = [(file, name) for name, folder in _classes(path).items() for file in folder]
    _check_memory(len(files), spec)
    images = np.stack([_read(file, mode, (width, height)) for file, _ in files])
    try:
        made = np.asarray(scale(images))
    except Exception as error:  # Whatever the user's code raises.
        raise ConfigError(
            f"Expected images from {preprocess}, received {type(error).__name__}: "
            f"{first_line(error)} It is called with {images.shape} float32 from 0 to 255."
        ) from error
    if len(made) != len(images):
        raise ConfigError(
            f"Expected an image for each of {len(images)} from {preprocess}, received {len(made)}."
        )
    labels = np.array([name for _, name in files])
    found = made.astype(spec.dtype) if made.dtype.kind == "f" else made
    note = f"Images of {len(_classes(path))} folders, as {preprocess}, resized to {width}x{height}."
    return Rows(inputs={spec.name: found}, labels=labels, notes=(note,))


def _classes(path: Path) -> dict[str, list[Path]]:
    """Returns the images of each sub-folder that has some, sorted."""
    found = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        if images := sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES):
            found[folder.name] = images
    return found


def _images_of(inputs: Sequence[TensorSpec]) -> tuple[TensorSpec, str]:
    """Returns the input that takes images, and Pillow's mode for its channels."""
    shape = inputs[0].shape if len(inputs) == 1 else ()
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if len(shape) != 4 or None in shape[1:] or shape[3] not in modes:
        raise DataError(
            "Expected a model of one input [rows, height, width, channels] for a folder of images, "
            f"received one that takes {', '.join(map(str, inputs))}. Name a function that makes "
            "its rows with --loader."
        )
    return inputs[0], modes[shape[3]]


def _check_memory(count: int, spec: TensorSpec) -> None:
    size = 4 * count * int(np.prod([length or 1 for length in spec.shape[1:]]))
    if size > _MOST_BYTES:
        raise DataError(
            f"Expected images that take less than {_MOST_BYTES >> 30} GiB as rows, received "
            f"{count:,}, which take {size >> 30} GiB. Give a folder with fewer of them."
        )


def _read(file: Path, mode: str, size: tuple[Any, Any]) -> Array:
    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    f"Expected images of at most {_MOST_PIXELS:,} pixels, received {file} of "
                    f"{image.width} x {image.height}. Make it smaller, or leave it out."
                )
            resized = image.convert(mode).resize(size, Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"Expected a JPEG or PNG in {file}, received: {first_line(error)} Leave it out, or "
            "write it again."
        ) from error
    values = np.asarray(resized, dtype=np.float32)
    return values[..., None] if values.ndim == 2 else values
