"""The note `variant.json` beside a served model: which variant it is, and what it takes."""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import DataError
from tfx_loop.core.json_file import JsonFile

FLOAT = "float"
# A TFLite model of which nobody said more.
TFLITE = "tflite"


@dataclass(frozen=True, kw_only=True)
class VariantNote:
    """What a version folder says of the model in it.

    Attributes:
        variant: Which optimisation of the model it is.
        examples_input: Under which name a TFLite model takes serialized tf.Examples as
            `serving_default`, as the SavedModel did that it replaces; empty where it takes columns.
    """

    variant: str
    examples_input: str = ""

    def __post_init__(self) -> None:
        if not self.variant:
            raise DataError("Expected the name of a variant, received an empty one.")


# People write it by hand, too, so it carries no version.
VARIANT_NOTE = JsonFile(
    name="variant.json",
    kind=VariantNote,
    title="the note of a variant",
    remedy='Write {"variant": "int8"}, or delete the file.',
    version=None,
)


def read_note(folder: Path, default: str) -> VariantNote:
    """Returns what a folder says; the variant `default` where it says nothing.

    Raises:
        DataError: The note is damaged.
    """
    return VARIANT_NOTE.find(folder) or VariantNote(variant=default)
