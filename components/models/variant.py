"""What does a version folder say of the TFLite or SavedModel in it? The note beside the files."""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_json, write_json

FILE_NAME = "variant.json"
FLOAT = "float"
# A TFLite model of which nobody said more.
TFLITE = "tflite"


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a version folder says.

    Attributes:
        variant: Which optimisation of the model it is.
        examples_input: Under which name a TFLite model takes serialized tf.Examples as
            `serving_default`, as the SavedModel did that it replaces; empty where it takes columns.
    """

    variant: str
    examples_input: str = ""


def write_note(folder: Path, note: Note) -> None:
    """Writes the note beside the model's files; other model servers leave it alone."""
    content = {"variant": note.variant, "examples_input": note.examples_input}
    write_json(str(folder / FILE_NAME), content)


def read_note(folder: Path, default: str) -> Note:
    """Returns what a folder says; the variant `default` where it says nothing.

    Raises:
        DataError: The note is damaged.
    """
    try:
        content = read_json(str(folder / FILE_NAME))
    except FileNotFoundError:
        return Note(variant=default)
    variant, examples_input = content.get("variant"), content.get("examples_input", "")
    if not (isinstance(variant, str) and variant and isinstance(examples_input, str)):
        raise DataError(
            f"Expected the variant's name in {folder / FILE_NAME}, received {content}. "
            'Write {"variant": "int8"}, or delete the file.'
        )
    return Note(variant=variant, examples_input=examples_input)
