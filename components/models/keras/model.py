"""A Keras file opened for prediction, without the time that AutoGraph takes."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.models import tensors
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.guard import guard
from tfx_loop.models.guard.guard import AdmittedModel
from tfx_loop.models.guard.keras_file import KerasContent
from tfx_loop.models.keras.file import check_loadable, load_errors_told
from tfx_loop.models.saved_model.predictor import translated_errors
from tfx_loop.models.tensors import DEFAULT_BATCH_ROWS, Array, TensorSpec


def load_keras(
    path: str | Path | ModelFile, *, custom_objects: Sequence[str] = (), compiled: bool = False
) -> keras.Model:
    """Returns the functional or Sequential tf_keras model of a .keras or .h5 file.

    Args:
        path: The file.
        custom_objects: Import paths `module:Name` of layers and functions that it names.
        compiled: Whether to bring its loss, optimizer and metrics back too.

    Raises:
        ModelUnsafe: It would run code, or read files, that nobody named.
        ModelError: It is damaged, of Keras 3, or subclassed.
        ConfigError: A custom object cannot be imported.
    """
    file = path if isinstance(path, ModelFile) else detect(path)
    if file.format not in (Format.KERAS, Format.H5):
        raise ModelError(
            f"Expected a .keras or .h5 file, received {file.path} in the form {file.format.value}. "
            "Give the Keras model that it was exported from."
        )

    def fits(content: KerasContent) -> None:
        check_loadable(content, file.path, custom_objects)

    with guard.admitted(file, custom_objects, fits, compiled=compiled) as admitted:
        return _load(admitted, file.path, custom_objects, compiled)


def _load(
    admitted: AdmittedModel, where: Path, custom_objects: Sequence[str], compiled: bool
) -> keras.Model:
    objects = imported_objects(custom_objects)
    with load_errors_told(where):
        return keras.models.load_model(
            admitted.file.path,
            custom_objects=objects,
            compile=compiled,
            safe_mode=not admitted.runs_code,
        )


class KerasPredictor:
    """A functional or Sequential Keras model."""

    def __init__(self, file: ModelFile, *, custom_objects: Sequence[str] = ()) -> None:
        """Loads it; raises as `load_keras`."""
        self.model = load_keras(file, custom_objects=custom_objects)
        self._prepare(str(file.path))

    @classmethod
    def of(cls, model: keras.Model, where: str = "the model") -> "KerasPredictor":
        """Returns a predictor of a model in memory, which keeps its present weights.

        Args:
            model: The model.
            where: What errors call it.
        """
        made = cls.__new__(cls)
        made.model = model
        made._prepare(where)
        return made

    def _prepare(self, where: str) -> None:
        self.inputs, self.outputs = keras_specs(self.model, where)
        hint = "Give the network that takes numbers, without the layers that read text."
        tensors.check_numeric((*self.inputs, *self.outputs), where, hint)
        self.runtime = f"Keras {keras.__version__} on TensorFlow {tf.__version__}"
        self._function = concrete_function(self.model, self.inputs, self.outputs)

    def predict(
        self, inputs: Mapping[str, Any], batch_size: int = DEFAULT_BATCH_ROWS
    ) -> dict[str, Array]:
        """Returns the outputs by name; raises as `Predictor.predict`."""
        return tensors.in_batches(self._answer, inputs, self.inputs, batch_size)

    def traced(self, inputs: Sequence[TensorSpec]) -> Any:
        """Returns the function from inputs to outputs by name, traced for these shapes."""
        if tuple(inputs) == self.inputs:
            # The usual shapes are traced already, and a second trace takes seconds.
            return self._function
        return concrete_function(self.model, inputs, self.outputs)

    def _answer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        with translated_errors():
            outputs = self._function({n: tf.constant(v) for n, v in batch.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def keras_specs(
    model: keras.Model, where: str = "the model"
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns inputs and outputs under the names that Keras gives them in a SavedModel.

    Raises:
        ModelError: It is subclassed or not built, or takes sparse or ragged tensors.
    """
    if not model.inputs or not getattr(model, "_is_graph_network", False):
        raise ModelError(
            f"Expected a functional or Sequential Keras model with known inputs in {where}, "
            f"received {type(model).__name__} without. Build it with an Input layer."
        )
    # input_names, not the tensors' names: those are what a SavedModel's signature is called by.
    sides = ((model.inputs, model.input_names), (model.outputs, model.output_names))
    inputs, outputs = (tuple(map(_spec, values, names)) for values, names in sides)
    return inputs, outputs


def concrete_function(
    model: keras.Model, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Any:
    """Returns a traced function from inputs by name to outputs by name.

    AutoGraph would rewrite all of Keras to find no loop in it (seconds); only a model with a layer
    that needs it is traced with it.
    """
    signature = {
        spec.name: tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs
    }

    def answer(by_name: dict[str, Any]) -> dict[str, Any]:
        # Packed as the model was built (list, dict or one tensor), so that nothing is reordered.
        ordered = [by_name[spec.name] for spec in inputs]
        given = model(tf.nest.pack_sequence_as(model.input, ordered), training=False)
        return dict(zip((s.name for s in outputs), tf.nest.flatten(given), strict=True))

    try:
        return tf.function(answer, autograph=False).get_concrete_function(signature)
    except tf.errors.OperatorNotAllowedInGraphError:
        # A layer with Python conditions on tensors needs AutoGraph after all.
        return tf.function(answer).get_concrete_function(signature)


def _spec(tensor: Any, name: str) -> TensorSpec:
    if not isinstance(tensor.type_spec, tf.TensorSpec):
        raise ModelError(
            f"Expected dense tensors, received {name!r} as {type(tensor.type_spec).__name__}. "
            "Densify it before the model."
        )
    return TensorSpec(name=name, shape=tuple(tensor.shape), dtype=tf.as_dtype(tensor.dtype).name)


def imported_objects(paths: Sequence[str]) -> dict[str, Any]:
    """Returns the layers and functions behind import paths `module:Name`, by name.

    Raises:
        ConfigError: One cannot be imported.
    """
    # Keras looks a custom object up by its class name, as the file's configuration spells it.
    return {path.rpartition(":")[2]: _import(path) for path in paths}


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"Expected custom_objects as 'module:Name', received {path!r}: {error}. "
            "Check the name, and that its module is on the Python path."
        ) from error
