"""What does a version folder hold, a SavedModel or a TFLite model, and which variant is it?"""

from pathlib import Path

from tfx_loop.deployment.model_server.logging_gateway import Servable
from tfx_loop.deployment.model_server.saved_model import SavedModel
from tfx_loop.deployment.model_server.tflite_model import TFLiteModel
from tfx_loop.models.formats import is_saved_model, tflite_file
from tfx_loop.models.variant import FLOAT, TFLITE, read_note


def load_version(version: int, folder: Path, prefer_tflite: bool = False) -> Servable:
    """Returns the servable of a version folder.

    Args:
        version: Its number.
        folder: With saved_model.pb, `model.tflite` (TF Serving's name) or `tflite` (TFX's).
        prefer_tflite: Which of them where both are there; as TF Serving's --prefer_tflite_model.

    Raises:
        DataError: There is no SavedModel to serve.
        ModelError: The TFLite model cannot be served.
    """
    file = tflite_file(folder)
    if file is not None and (prefer_tflite or not is_saved_model(folder)):
        return TFLiteModel(version, file, read_note(folder, TFLITE))
    return SavedModel(version, folder, read_note(folder, FLOAT).variant)
