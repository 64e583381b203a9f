"""JPEG and PNG as rows of a model that takes images: folders of them, and columns of a table.

A folder has a sub-folder for each class. A column holds the files' bytes, as tf.Examples of TFDS
and the datasets of Hugging Face do.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from tfx_loop.core.errors import ConfigError, DataError, first_line
from tfx_loop.core.import_path import user_function
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import Array, TensorSpec

_SUFFIXES = (".jpg", ".jpeg", ".png")
_FIRST_BYTES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
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
    spec = _image_input(inputs)
    files = [(file, name) for name, folder in _classes(path).items() for file in folder]
    found = _decoded([(str(file), file) for file, _ in files], spec, preprocess)
    labels = np.array([name for _, name in files])
    note = f"Images of {len(_classes(path))} folders, {_prepared(spec, preprocess)}."
    return Rows(inputs={spec.name: found}, labels=labels, notes=(note,))


def image_column(table: Any, inputs: Sequence[TensorSpec], others: Sequence[str] = ()) -> str:
    """Returns the column with JPEG or PNG that an input of images can take; empty for none.

    Args:
        table: A pyarrow Table.
        inputs: What the model takes.
        others: Columns that are labels or slices.

    Raises:
        DataError: Several columns hold images, and none has the input's name.
    """
    takes = [tensor for tensor in inputs if _mode(tensor)]
    if len(takes) != 1:
        return ""
    found = [
        name
        for name in table.column_names
        if name not in others and _first(table.column(name)).startswith(_FIRST_BYTES)
    ]
    if len(found) > 1 and takes[0].name not in found:
        raise DataError(
            f"Expected one column of images for the input {takes[0].name!r}, received "
            f"{', '.join(found)}. Leave out all but one, or give one the input's name."
        )
    return takes[0].name if takes[0].name in found else "".join(found)


def read_image_column(
    table: Any, column: str, inputs: Sequence[TensorSpec], preprocess: str = DEFAULT_SCALE
) -> tuple[str, Array, str]:
    """Returns the input that takes a column's images, these as it takes them, and a note.

    Args:
        table: A pyarrow Table.
        column: What `image_column` found.
        inputs: What the model takes.
        preprocess: As for `read_image_folder`.

    Raises:
        ConfigError, DataError: As `read_image_folder`.
    """
    spec = next(tensor for tensor in inputs if _mode(tensor))
    encoded = _bytes_of(table.column(column))
    if encoded.null_count:
        raise DataError(
            f"Expected an image in each row of the column {column!r}, received none in "
            f"{encoded.null_count:,}. Leave these rows out."
        )
    # One after the other: a table of encoded images may be larger than what they are resized to.
    files = [
        (f"row {number} of the column {column!r}", value) for number, value in enumerate(encoded)
    ]
    found = _decoded(files, spec, preprocess)
    return spec.name, found, f"Images of the column {column}, {_prepared(spec, preprocess)}."


def _decoded(files: Sequence[tuple[str, Any]], spec: TensorSpec, preprocess: str) -> Array:
    """Returns images of files, or of Arrow's values, as the model takes them."""
    scale = SCALES.get(preprocess) or user_function(preprocess, "preprocess")
    height, width = spec.shape[1:3]
    _check_memory(len(files), spec)
    images = np.stack([_read(name, file, _mode(spec), (width, height)) for name, file in files])
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
    return made.astype(spec.dtype) if made.dtype.kind == "f" else made


def _prepared(spec: TensorSpec, preprocess: str) -> str:
    height, width = spec.shape[1:3]
    return f"as {preprocess}, resized to {width}x{height}"


def _bytes_of(column: Any) -> Any:
    """Returns a column of bytes; that of a dataset of Hugging Face is a field beside the path."""
    place = column.type.get_field_index("bytes") if pa.types.is_struct(column.type) else -1
    return column if place < 0 else pc.struct_field(column, [place])


def _first(column: Any) -> bytes:
    column = _bytes_of(column)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return b""
    return next((bytes(value.as_py()[:8]) for value in column if value.is_valid), b"")


def _classes(path: Path) -> dict[str, list[Path]]:
    """Returns the images of each sub-folder that has some, sorted."""
    found = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        if images := sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES):
            found[folder.name] = images
    return found


def _mode(tensor: TensorSpec) -> str:
    """Returns Pillow's mode for an input of images; empty for an input of something else."""
    shape = tensor.shape
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    return "" if len(shape) != 4 or None in shape[1:] else modes.get(shape[3] or 0, "")


def _image_input(inputs: Sequence[TensorSpec]) -> TensorSpec:
    if len(inputs) != 1 or not _mode(inputs[0]):
        raise DataError(
            "Expected a model of one input [rows, height, width, channels] for a folder of images, "
            f"received one that takes {', '.join(map(str, inputs))}. Name a function that makes "
            "its rows with --loader."
        )
    return inputs[0]


def _check_memory(count: int, spec: TensorSpec) -> None:
    size = 4 * count * int(np.prod([length or 1 for length in spec.shape[1:]]))
    if size > _MOST_BYTES:
        raise DataError(
            f"Expected images that take less than {_MOST_BYTES >> 30} GiB as rows, received "
            f"{count:,}, which take {size >> 30} GiB. Give fewer of them."
        )


def _read(name: str, file: Any, mode: str, size: tuple[Any, Any]) -> Array:
    source = file if isinstance(file, Path) else io.BytesIO(file.as_py())
    try:
        with Image.open(source, formats=("JPEG", "PNG")) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    f"Expected images of at most {_MOST_PIXELS:,} pixels, received {name} of "
                    f"{image.width} x {image.height}. Make it smaller, or leave it out."
                )
            resized = image.convert(mode).resize(size, Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"Expected a JPEG or PNG in {name}, received: {_said(error)} Leave it out, or "
            "write it again."
        ) from error
    values = np.asarray(resized, dtype=np.float32)
    return values[..., None] if values.ndim == 2 else values


def _said(error: Exception) -> str:
    # Pillow names an object of Python where it read from memory.
    return "no image that it can decode." if "<_io.BytesIO" in str(error) else first_line(error)
