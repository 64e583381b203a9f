"""One interface to models of any form: floats in, floats out, by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.tensors import DEFAULT_BATCH_ROWS, Array, TensorSpec

__all__ = ["Predictor", "TensorSpec", "open_predictor"]


class Predictor(Protocol):
    """One opened model."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""

    @property
    def runtime(self) -> str:
        """What runs it, such as `LiteRT 2.3.0 with XNNPACK`."""

    def predict(
        self, inputs: Mapping[str, Any], batch_size: int = DEFAULT_BATCH_ROWS
    ) -> dict[str, Array]:
        """Returns the outputs by name, one row for each row of the inputs.

        Raises:
            DataError: The inputs do not fit.
            ModelError: The model failed on them.
        """


def open_predictor(
    path: str | Path | ModelFile,
    *,
    signature: str | None = None,
    threads: int = 1,
    custom_objects: Sequence[str] = (),
) -> Predictor:
    """Returns a model, opened in this process.

    Args:
        path: A SavedModel folder, a TFX Model artifact, a .keras, .h5 or .tflite file.
        signature: Of a SavedModel or .tflite. None takes `serving_default` if it takes numbers,
            else `serving_columns`, else the only one that does.
        threads: For LiteRT; TensorFlow's threads are the process's.
        custom_objects: Import paths `module:Name` of layers and functions that a Keras file names.

    Raises:
        ModelError: It is no model that can be asked with numbers; one line says why.
    """
    file = path if isinstance(path, ModelFile) else detect(path)
    if file.format is Format.TFLITE:
        from tfx_loop.models.tflite_predictor import TFLitePredictor

        return TFLitePredictor(file.path, signature=signature, threads=threads)
    if file.format is Format.SAVED_MODEL:
        from tfx_loop.models.saved_model.predictor import SavedModelPredictor

        return SavedModelPredictor(file.path, signature=signature)
    from tfx_loop.models.keras.model import KerasPredictor

    return KerasPredictor(file, custom_objects=custom_objects)
