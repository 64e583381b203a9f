"""Which optimisation of a model lies in a version folder? The folder itself says so."""

from pathlib import Path

from components.errors import DataError
from components.storage import read_json, write_json

FILE_NAME = "variant.json"
FLOAT = "float"
# A TFLite model of which nobody said more.
TFLITE = "tflite"


def write_variant(folder: Path, variant: str) -> None:
    """Notes the variant beside the model's files; model servers leave the file alone."""
    write_json(str(folder / FILE_NAME), {"variant": variant})


def read_variant(folder: Path, default: str) -> str:
    """Returns the variant that a folder notes, or `default` where it notes none.

    Raises:
        DataError: The note is damaged.
    """
    try:
        variant = read_json(str(folder / FILE_NAME)).get("variant")
    except FileNotFoundError:
        return default
    if not isinstance(variant, str) or not variant:
        raise DataError(
            f"Expected a variant's name in {folder / FILE_NAME}, received {variant!r}. "
            'Write {"variant": "int8"}, or delete the file.'
        )
    return variant
