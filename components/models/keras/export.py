"""Keras files that need code or another Keras, exported once as SavedModels, which need neither.

The child process loads them: Keras 3 stands beside tf_keras there, and layers of the user's run.
What comes after it (answers, conversion, facts) works on the SavedModel alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.guard import guard
from tfx_loop.models.guard.keras_file import KerasContent
from tfx_loop.models.keras.file import check_known_class, is_of_keras_3, load_errors_told
from tfx_loop.models.tensors import DEFAULT_SIGNATURE

_EXPORT = "tfx_loop.models.keras.export:export"


def plain_model(
    worker: Worker, file: ModelFile, folder: Path, custom_objects: Sequence[str] = ()
) -> ModelFile:
    """Returns a model that opens without the user's code and without Keras 3.

    Args:
        worker: Loads and exports the file where it needs either.
        file: Any model.
        folder: Gets the SavedModel; its parent exists.
        custom_objects: Import paths `module:Name` of layers and functions that it names.

    Raises:
        ModelUnsafe: It would run code, or read files, that nobody named.
        ModelError: It is damaged, or no model with known inputs.
        ConfigError: A custom object cannot be imported.
    """
    if file.format not in (Format.KERAS, Format.H5):
        return file
    if not custom_objects and not is_of_keras_3(file.path):
        return file
    payload = {
        "path": str(file.path),
        "folder": str(folder),
        "custom_objects": list(custom_objects),
    }
    worker.may_write(folder.parent)
    worker.call(_EXPORT, payload, doing=f"exporting {file.path}")
    return detect(folder)


def export(payload: Mapping[str, Any]) -> None:
    """Does what `plain_model` asks, in the child."""
    file, objects = detect(payload["path"]), tuple(payload["custom_objects"])
    if is_of_keras_3(file.path):
        model = load_keras_3(file, objects)
    else:
        from tfx_loop.models.keras.model import load_keras

        model = load_keras(file, custom_objects=objects)
    save_plain(model, Path(payload["folder"]), str(file.path))


def save_plain(model: Any, folder: Path, where: str = "the model") -> None:
    """Writes a Keras model of this process, of either Keras, as a SavedModel.

    Args:
        model: Of Keras 3 or tf_keras.
        folder: The SavedModel.
        where: What errors call the model.

    Raises:
        ModelError: It is no Keras model with known inputs.
    """
    import tensorflow as tf

    module = tf.Module()
    # By its own classes: which Keras `tf.keras` is differs from process to process.
    if any(base.__module__.startswith("keras.") for base in type(model).__mro__):
        module.model_variables = [variable.value for variable in model.variables]
        serve = _keras_3_function(model, where)
    elif any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__):
        from tfx_loop.models.keras.model import KerasPredictor

        predictor = KerasPredictor.of(model, where)
        module.model_variables = model.variables
        serve = predictor.traced(predictor.inputs)
    else:
        raise ModelError(
            f"Expected a Keras model, or the path of a model, received {type(model).__name__}. "
            "Save it as a SavedModel and give its folder."
        )
    tf.saved_model.save(module, str(folder), signatures={DEFAULT_SIGNATURE: serve})


def load_keras_3(file: ModelFile, custom_objects: Sequence[str] = ()) -> Any:
    """Returns the model of a file that Keras 3 wrote, without loss and optimizer.

    Raises:
        ModelUnsafe, ModelError, ConfigError: As `plain_model`.
    """
    import keras

    from tfx_loop.models.keras.model import imported_objects

    def fits(content: KerasContent) -> None:
        check_known_class(content, file.path, custom_objects)

    objects = imported_objects(custom_objects)
    with (
        guard.admitted(file, custom_objects, fits, compiled=False) as admitted,
        load_errors_told(file.path),
    ):
        return keras.saving.load_model(
            admitted.file.path,
            custom_objects=objects,
            compile=False,
            safe_mode=not admitted.runs_code,
        )


def _keras_3_function(model: Any, where: str) -> Any:
    """Returns a traced function from inputs by name to outputs by the names of their layers."""
    import keras
    import tensorflow as tf

    inputs = getattr(model, "inputs", None)
    if not inputs or not getattr(model, "output_names", None):
        raise ModelError(
            f"Expected a functional or Sequential Keras model with known inputs in {where}, "
            f"received {type(model).__name__} without. Build it with an Input layer."
        )
    names = [tensor.name for tensor in inputs]
    specs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in zip(names, inputs, strict=True)
    }
    outputs = _distinct(model.output_names)

    def answer(by_name: dict[str, Any]) -> dict[str, Any]:
        # Packed as the model was built (list, dict or one tensor), so that nothing is reordered.
        ordered = [by_name[name] for name in names]
        given = model(keras.tree.pack_sequence_as(model.input, ordered), training=False)
        return dict(zip(outputs, keras.tree.flatten(given), strict=True))

    return tf.function(answer, autograph=False).get_concrete_function(specs)


def _distinct(names: Sequence[str]) -> list[str]:
    """Returns the names of outputs; a layer that gives several has them numbered."""
    found: list[str] = []
    for name in names:
        again = sum(each == name for each in names[: len(found)])
        found.append(f"{name}_{again}" if again else name)
    return found
