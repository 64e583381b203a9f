"""The form of a model at a path, told from what the files hold, not from their names alone."""

import zipfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tfx_loop.core.errors import ModelError

SERVING_FOLDER = "Format-Serving"
KERAS_FOLDER = "Format-Keras"
SAVED_MODEL_FILE = "saved_model.pb"
# TFMA looks for the first name, TF Serving for the second.
SERVED_TFLITE_NAME = "model.tflite"
TFLITE_NAMES = ("tflite", SERVED_TFLITE_NAME)
_KERAS_NAMES = ("model.keras", "model.h5")
# Signatures at the begin of each form; a .keras file is a ZIP archive.
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_TFLITE_MAGIC = b"TFL3"
_KNOWN = "a SavedModel folder, a TFX Model, .keras, .h5 or .tflite"


class Format(str, Enum):
    """How a model is stored."""

    SAVED_MODEL = "saved_model"
    KERAS = "keras"
    H5 = "h5"
    TFLITE = "tflite"


_SUFFIXES = {
    ".keras": Format.KERAS,
    ".h5": Format.H5,
    ".hdf5": Format.H5,
    ".tflite": Format.TFLITE,
}


@dataclass(frozen=True)
class ModelFile:
    """One model on this machine.

    Attributes:
        path: The file; of a SavedModel the folder.
        format: How it is stored.
    """

    path: Path
    format: Format


def detect(path: str | Path) -> ModelFile:
    """Returns the model that a path leads to.

    Args:
        path: A SavedModel folder (or its saved_model.pb), a TFX Model artifact's folder, a folder
            with one model file, or a .keras, .h5 or .tflite file.

    Raises:
        ModelError: There is none, it is empty, or its content is not what its name says.
    """
    place = Path(str(path).removeprefix("file://"))
    try:
        if place.is_dir():
            return _in_folder(place)
        return _of_file(place)
    except OSError as error:
        raise ModelError(
            f"Expected {_KNOWN} at {place}, received: {error.strerror or error}. Check the path."
        ) from error


def is_saved_model(folder: Path) -> bool:
    """Says whether a folder holds a SavedModel."""
    return (folder / SAVED_MODEL_FILE).is_file()


def tflite_file(folder: Path) -> Path | None:
    """Returns the TFLite model in a folder, under TFX's or TF Serving's name; None without one."""
    return next((folder / name for name in TFLITE_NAMES if (folder / name).is_file()), None)


def keras_model_of(uri: str | Path) -> Path | None:
    """Returns the Keras model that a Trainer left beside the SavedModel of a TFX Model; or None."""
    folder = Path(str(uri).removeprefix("file://")) / KERAS_FOLDER
    return next((folder / name for name in _KERAS_NAMES if (folder / name).is_file()), None)


def _in_folder(folder: Path) -> ModelFile:
    if (folder / SERVING_FOLDER).is_dir():
        return _in_folder(folder / SERVING_FOLDER)
    if is_saved_model(folder):
        return _of_file(folder / SAVED_MODEL_FILE)
    if (lite := tflite_file(folder)) is not None:
        return _of_file(lite)
    files = sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES and p.is_file())
    if len(files) == 1:
        return _of_file(files[0])
    found = ", ".join(p.name for p in (files or sorted(folder.iterdir()))[:5]) or "nothing"
    remedy = "Name one of them" if files else "Check the path"
    raise ModelError(f"Expected {_KNOWN} at {folder}, received a folder with {found}. {remedy}.")


def _of_file(path: Path) -> ModelFile:
    # Opening a pipe would wait for whoever writes to it, and a device may never end.
    if path.exists() and not path.is_file():
        raise ModelError(f"Expected {_KNOWN} at {path}, received no plain file. Check the path.")
    with open(path, "rb") as file:
        # Both signatures that are looked for lie within the first 8 bytes.
        head = file.read(8)
    if not head:
        raise ModelError(
            f"Expected a model in {path}, received an empty file. Was it written to the end? "
            "Write it again."
        )
    # A protocol buffer has no signature of its own, so its name is all there is to go by.
    if path.name == SAVED_MODEL_FILE:
        return ModelFile(path.parent, Format.SAVED_MODEL)
    found = _by_content(path, head)
    named = _SUFFIXES.get(path.suffix)
    # A name that contradicts the content is a mistake that some loader would meet later.
    if found is None or (named is not None and named is not found):
        what = f"a file in the form {found.value}" if found else "other content"
        expected = f"the form {named.value}" if named else _KNOWN
        raise ModelError(
            f"Expected {expected} in {path}, received {what}. Was it written or copied to the end "
            "under its right name? Write it again."
        )
    return ModelFile(path, found)


def _by_content(path: Path, head: bytes) -> Format | None:
    if head == _HDF5_MAGIC:
        return Format.H5
    # FlatBuffers put the file identifier behind the four bytes of the root's offset.
    if head[4:8] == _TFLITE_MAGIC:
        return Format.TFLITE
    if zipfile.is_zipfile(path):
        return Format.KERAS
    return None
