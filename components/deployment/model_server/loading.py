"""Version folders opened as what they hold: a SavedModel or a TFLite model."""

from pathlib import Path

from tfx_loop.contracts.variant_note import FLOAT, TFLITE, read_note
from tfx_loop.deployment.model_server.logging_gateway import Servable
from tfx_loop.deployment.model_server.saved_model_servable import SavedModelServable
from tfx_loop.deployment.model_server.tflite_servable import TFLiteServable
from tfx_loop.models.formats import is_saved_model, tflite_file


def load_version(version: int, folder: Path, prefer_tflite: bool = False) -> Servable:
    """Returns the servable of a version folder.

    Args:
        version: Its number.
        folder: With saved_model.pb, `model.tflite` (TF Serving's name) or `tflite` (TFX's).
        prefer_tflite: Which of them where both are there; as TF Serving's --prefer_tflite_model.

    Raises:
        DataError: There is no SavedModel to serve.
        ModelError: The model is damaged or cannot be served.
    """
    file = tflite_file(folder)
    if file is not None and (prefer_tflite or not is_saved_model(folder)):
        return TFLiteServable(version, file, read_note(folder, TFLITE))
    return SavedModelServable(version, folder, read_note(folder, FLOAT).variant)
