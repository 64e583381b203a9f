"""Checks that a model is fit for conversion or for training; each obstacle is one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import ModelError
from tfx_loop.models import tensors
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.kept_open import kept_keras
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.models.weights import check_finite, keras_weights, weights_of


@dataclass(frozen=True, kw_only=True)
class ConvertibleModel:
    """A model that the converter can take.

    Attributes:
        file: Where it is.
        signature: Which signature of a SavedModel is converted; None for a Keras file.
        inputs: What it takes.
        outputs: What it gives.
    """

    file: ModelFile
    signature: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def check_convertible(
    path: str | Path | ModelFile,
    *,
    signature: str | None = None,
    custom_objects: Sequence[str] = (),
) -> ConvertibleModel:
    """Returns what the converter will see of a SavedModel or Keras file.

    Args:
        path: The model.
        signature: As for `open_predictor`.
        custom_objects: As for `open_predictor`.

    Raises:
        ModelError: It is corrupt, has no numeric signature, an operation that TensorFlow does not
            know, or weights that are not finite.
    """
    file = path if isinstance(path, ModelFile) else detect(path)
    if file.format is Format.TFLITE:
        raise ModelError(
            f"Expected a SavedModel, .keras or .h5 to convert, received the TFLite model "
            f"{file.path}. Give the model that it was converted from."
        )
    if file.format is Format.SAVED_MODEL:
        found = _convertible_saved_model(file, signature)
        weights = weights_of(file)
    else:
        from tfx_loop.models.keras.model import keras_specs

        model = kept_keras(file, custom_objects)
        inputs, outputs = keras_specs(model, str(file.path))
        hint = "Give the network that takes numbers, without the layers that read text."
        tensors.check_numeric((*inputs, *outputs), str(file.path), hint)
        found = ConvertibleModel(file=file, signature=None, inputs=inputs, outputs=outputs)
        weights = keras_weights(model)
    # Calibration would turn one NaN into ranges that quantise everything to nothing.
    check_finite(weights, file.path)
    return found


def check_trainable(path: str | Path | ModelFile, custom_objects: Sequence[str] = ()) -> ModelFile:
    """Returns the Keras file that training-time techniques can work on.

    Raises:
        ModelError: It is no functional or Sequential tf_keras model, or its weights are not finite.
    """
    from tfx_loop.models.keras.model import keras_specs, load_keras

    file = path if isinstance(path, ModelFile) else detect(path)
    if file.format not in (Format.KERAS, Format.H5):
        raise ModelError(
            f"Expected a .keras or .h5 file to train on, received {file.path} in the form "
            f"{file.format.value}. Let the Trainer save the tf_keras model as "
            "Format-Keras/model.keras beside its SavedModel, or use post-training techniques."
        )
    model = load_keras(file, custom_objects=custom_objects)
    keras_specs(model, str(file.path))
    check_finite(keras_weights(model), file.path)
    return file


def _convertible_saved_model(file: ModelFile, signature: str | None) -> ConvertibleModel:
    from tfx_loop.models.saved_model import graph as saved_model

    graph = saved_model.read_graph(file.path)
    chosen = saved_model.choose_signature(graph, file.path, signature)
    inputs, outputs = saved_model.specs(graph.signature_def[chosen])
    tensors.check_batched(inputs, f"signature {chosen!r} of {file.path}")
    saved_model.check_ops(graph, file.path)
    return ConvertibleModel(file=file, signature=chosen, inputs=inputs, outputs=outputs)
