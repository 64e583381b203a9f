"""The one place that loads SavedModels into TensorFlow, behind the guard."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.saved_model.graph import SERVE_TAG


def load_saved_model(folder: Path) -> Any:
    """Returns a SavedModel of this machine as TensorFlow loads it, with the tag `serve`.

    Raises:
        ModelUnsafe: Loading or asking it would do what it should not.
        ModelError: It is damaged.
    """
    with guard.admitted(ModelFile(folder, Format.SAVED_MODEL)) as admitted:
        try:
            return tf.saved_model.load(str(admitted.file.path), tags=[SERVE_TAG])
        except Exception as error:  # Whatever a damaged folder makes TensorFlow raise.
            raise ModelError(
                f"Expected a whole SavedModel in {folder}, received {type(error).__name__}: "
                f"{first_line(error)} Export it again."
            ) from error


def argument_names(function: Any) -> list[str]:
    """Returns the names of a loaded signature's inputs, in the order of its tensors.

    The tensors' own names are no help: TensorFlow writes them in lower case.
    """
    return list(function._arg_keywords)
