"""Models written whole or not at all, and only if they answer as their parent does.

Each form is written beside its place, loaded back, asked about real rows, compared with its parent,
and only then renamed.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.contracts.optimization_report import Parity
from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.models.formats import SAVED_MODEL_FILE
from tfx_loop.models.parity import MAX_DIFFERENCE, compare, limit_of_rounding
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE, Array, TensorSpec

if TYPE_CHECKING:
    import tf_keras as keras

# What TFX's own Trainers call the input, so that clients of theirs need no change.
_EXAMPLES_INPUT = "examples"

Export = Callable[[Any, str], None]


def write_model(
    model: "keras.Model",
    path: str | Path,
    *,
    rows: Mapping[str, Array],
    examples: bool = False,
    export: Export | None = None,
    max_difference: float = MAX_DIFFERENCE,
    custom_objects: Sequence[str] = (),
) -> Parity:
    """Writes a tf_keras model, in the form that the name says, and returns how like it that is.

    Args:
        model: Functional or Sequential.
        path: `….keras`, `….h5`, or a folder for a SavedModel; what is there is replaced whole.
        rows: Real rows by input name, to compare on.
        examples: For a SavedModel: `serving_default` takes serialized tf.Examples with a feature
            for each input, as TFX wants it, and `serving_columns` takes the tensors. Otherwise
            `serving_default` takes the tensors.
        export: For a SavedModel: `export(model, folder)` writes it instead, with signatures of
            the user's; one must take the rows.
        max_difference: Largest difference of an output that is let pass: absolute, or, where
            outputs are larger than 1, as a fraction of the largest.
        custom_objects: Import paths `module:Name` of layers that a Keras file names.

    Raises:
        ModelError: What was written does not load, or answers otherwise; nothing is left of it.
        ConfigError: The name does not say a form.
    """
    from tfx_loop.models.keras.model import KerasPredictor

    target = Path(path)
    expected = KerasPredictor.of(model).predict(rows)
    write = _writer(model, target, examples, export)
    return _publish(target, write, rows, expected, max_difference, custom_objects)


def write_tflite(
    content: bytes,
    path: str | Path,
    *,
    rows: Mapping[str, Array],
    parent: Mapping[str, Array],
    max_difference: float | None = None,
) -> Parity:
    """Writes a converted model and returns how far its answers are from its parent's.

    Args:
        content: What the converter returned.
        path: `….tflite`, or `tflite` as TFMA calls it.
        rows: Real rows by input name.
        parent: The parent's outputs for them.
        max_difference: As for `write_model`; None for any, as quantisation makes a difference
            that a budget judges.

    Raises:
        ModelError: What was written does not load or run, or differs too much; nothing is left.
    """
    return _publish(
        Path(path), lambda f: _write_bytes(Path(f), content), rows, parent, max_difference
    )


def save_saved_model(model: "keras.Model", folder: str, examples: bool = False) -> None:
    """Writes a SavedModel with signatures by name and without Keras' own functions."""
    import tensorflow as tf

    from tfx_loop.models.keras.model import concrete_function, keras_specs

    inputs, outputs = keras_specs(model)
    columns = concrete_function(model, inputs, outputs)
    holder = tf.Module()
    # tf.Module tracks them, so the SavedModel holds its variables without Keras' own objects.
    holder.weights = model.weights
    signatures = {DEFAULT_SIGNATURE: columns}
    if examples:
        signatures = {
            DEFAULT_SIGNATURE: _from_examples(columns, inputs),
            COLUMNS_SIGNATURE: columns,
        }
    tf.saved_model.save(holder, folder, signatures=signatures)


def _writer(
    model: "keras.Model", target: Path, examples: bool, export: Export | None
) -> Callable[[str], None]:
    if target.suffix in (".keras", ".h5"):
        return model.save  # type: ignore[no-any-return]
    if target.suffix in (".tflite", ".pb"):
        raise ConfigError(
            f"Expected a name that ends in .keras or .h5, or a folder for a SavedModel, received "
            f"{target.name!r}. A TFLite model is written by write_tflite."
        )
    if export is not None:
        return partial(export, model)
    return partial(save_saved_model, model, examples=examples)


def _from_examples(columns: Callable[..., Any], inputs: tuple[TensorSpec, ...]) -> Any:
    import tensorflow as tf

    # tf.Example knows floats of 32 bits and integers of 64; the model's own type comes by a cast.
    wide = {spec.name: "float32" if "float" in spec.dtype else "int64" for spec in inputs}
    features = {
        spec.name: tf.io.FixedLenFeature(spec.shape[1:], wide[spec.name]) for spec in inputs
    }

    def answer(examples: Any) -> Any:
        parsed = tf.io.parse_example(examples, features)
        return columns({s.name: tf.cast(parsed[s.name], s.dtype) for s in inputs})

    # Parsing has no Python loop to rewrite, and AutoGraph takes seconds to find that out.
    return tf.function(answer, autograph=False).get_concrete_function(
        tf.TensorSpec([None], tf.string, name=_EXAMPLES_INPUT)
    )


def _publish(
    target: Path,
    write: Callable[[str], None],
    rows: Mapping[str, Array],
    expected: Mapping[str, Array],
    max_difference: float | None,
    custom_objects: Sequence[str] = (),
) -> Parity:
    """Writes beside the target, checks, renames."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that the rename stays within one file system and is atomic.
    staged = target.with_name(f".staging-{target.name}")
    _remove(staged)
    try:
        write(str(staged))
        found = open_predictor(staged, custom_objects=custom_objects)
        parity = compare(expected, found.predict(rows))
        # `not <=` and not `>`: a NaN difference must fail as well.
        limit = None if max_difference is None else limit_of_rounding(expected, max_difference)
        if limit is not None and not parity.max_difference <= limit:
            raise ModelError(
                f"Expected {target} to answer as its parent within {limit:g}, received a "
                f"difference of {parity.max_difference:g} on {parity.rows} rows. It was not "
                "written; save it in another form."
            )
        # Synced before the rename: after a crash the name leads to whole content or to the old.
        _sync(staged)
        _replace(staged, target)
    finally:
        _remove(staged)
    return parity


def _replace(staged: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(staged, target)
        return
    if any(target.iterdir()) and not (target / SAVED_MODEL_FILE).is_file():
        raise ConfigError(
            f"Expected an empty or a SavedModel's folder at {target}, received another. "
            "Name one that does not hold other things."
        )
    # A folder cannot be renamed over one that has files: the old one steps aside first.
    replaced = target.with_name(f".replaced-{target.name}")
    _remove(replaced)
    os.rename(target, replaced)
    os.rename(staged, target)
    _remove(replaced)


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _sync(path: Path) -> None:
    for entry in (*path.rglob("*"), path) if path.is_dir() else (path,):
        storage.sync(entry)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
