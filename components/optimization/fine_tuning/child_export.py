"""Export of a trained child, and the choice of its signatures.

In this order: as the user's own function exports it; with all of the parent's signatures, where
only the weights changed; behind the parent's preprocessing, where it was cut off; behind the
Transform graph, where one is given; else by its own inputs.
Runs where TensorFlow may be imported: in a child process.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import ModelError
from tfx_loop.core.import_path import user_function
from tfx_loop.models.formats import SAVED_MODEL_FILE
from tfx_loop.models.keras.model import concrete_function, keras_specs
from tfx_loop.models.preprocessing.transform_graph import open_transform
from tfx_loop.models.saved_model.graph import read_graph
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.tensors import DEFAULT_SIGNATURE
from tfx_loop.models.write import write_model
from tfx_loop.optimization.fine_tuning import weight_replacement
from tfx_loop.optimization.fine_tuning.job import (
    ChildFiles,
    ExportSources,
    SignatureSource,
    preprocessed_inputs,
)
from tfx_loop.optimization.fine_tuning.keras_model import read
from tfx_loop.optimization.fine_tuning.rows_file import Array

_LOG = logging.getLogger(__name__)
# Rows on which what was written is compared: enough to find wrong weights.
_COMPARED_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class ExportArgs:
    """What an `export_fn(model, args)` is told, in the words of Trainer's `fn_args`.

    Attributes:
        serving_model_dir: Folder that the SavedModel is written to.
        transform_output: Folder of the Transform graph; None where the node got none.
        parent_model_dir: The parent's SavedModel; None where there is none.
    """

    serving_model_dir: str
    transform_output: str | None = None
    parent_model_dir: str | None = None


def write_child(
    model: keras.Model, child: ChildFiles, sources: ExportSources, rows: Mapping[str, Array]
) -> SignatureSource:
    """Writes a trained network as Keras file and as SavedModel, each whole.

    Args:
        model: The network.
        child: Where it goes.
        sources: What the signatures are made from.
        rows: Real rows by input name, on which what was written has to answer as the network.

    Returns:
        Where the signatures come from.

    Raises:
        ModelError: What was written answers otherwise, or the user's function wrote nothing.
    """
    some = {name: values[:_COMPARED_ROWS] for name, values in rows.items()}
    write_model(model, child.keras, rows=some)
    how = _how(sources)
    if how is SignatureSource.INPUTS:
        # A feature of any length cannot be parsed into a dense tensor: such a child takes tensors
        # alone.
        static = all(None not in tensor.shape[1:] for tensor in model.inputs)
        write_model(model, child.saved_model, rows=some, examples=static)
    else:
        _staged(child.saved_model, lambda folder: _export(model, folder, sources, how))
    _LOG.info("export signatures=%s folder=%s", how.value, child.saved_model)
    return how


def _how(sources: ExportSources) -> SignatureSource:
    if sources.export_fn:
        return SignatureSource.EXPORT_FN
    if sources.parent_keras and sources.parent_saved_model:
        return SignatureSource.PARENT
    if sources.preprocessing:
        return SignatureSource.PREPROCESSING
    return SignatureSource.TRANSFORM_GRAPH if sources.transform_output else SignatureSource.INPUTS


def _export(model: keras.Model, folder: str, sources: ExportSources, how: SignatureSource) -> None:
    if how is SignatureSource.EXPORT_FN:
        args = ExportArgs(
            serving_model_dir=folder,
            transform_output=sources.transform_output,
            parent_model_dir=sources.parent_saved_model,
        )
        user_function(sources.export_fn, "export_fn")(model, args)
    elif how is SignatureSource.PARENT:
        assert sources.parent_keras
        assert sources.parent_saved_model
        parent = read(sources.parent_keras, custom_objects=sources.custom_objects)
        weight_replacement.write_with_weights(
            sources.parent_saved_model, folder, named_weights(parent), named_weights(model)
        )
    elif how is SignatureSource.PREPROCESSING:
        assert sources.preprocessing
        behind = _BehindPreprocessing(model, sources)
        tf.saved_model.save(behind, folder, signatures=behind.signatures())
    else:
        assert sources.transform_output
        network = _BehindTransform(model, sources.transform_output, sources.label)
        tf.saved_model.save(network, folder, signatures=network.signatures())


def _staged(folder: Path, write: Callable[[str], None]) -> None:
    """Has a SavedModel written beside its place and renames it when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        staged = Path(scratch) / folder.name
        write(str(staged))
        if not (staged / SAVED_MODEL_FILE).is_file():
            raise ModelError(
                f"Expected a SavedModel in {staged} from export_fn, received none. "
                "Write it to args.serving_model_dir."
            )
        if folder.is_dir():  # TFX makes the folder of an output, empty.
            folder.rmdir()
        # In the same folder, so that renaming is one step of the file system.
        staged.rename(folder)


def named_weights(model: keras.Model) -> list[tuple[str, Array]]:
    """Returns name and value of every weight."""
    return [(weight.name, weight.numpy()) for weight in model.weights]


class _BehindPreprocessing(tf.Module):
    """The network behind the preprocessing that was cut off another one."""

    def __init__(self, model: keras.Model, sources: ExportSources) -> None:
        super().__init__()
        assert sources.preprocessing
        inputs, outputs = keras_specs(model)
        # Clients know the one answer by the parent's name.
        known = _output_names(sources.parent_saved_model)
        if len(known) == len(outputs) == 1:
            outputs = (replace(outputs[0], name=known[0]),)
        self._network: Callable[..., Any] = concrete_function(model, inputs, outputs)
        self._weights = model.weights
        self._shapes = {spec.name: (spec.shape[1:], spec.dtype) for spec in inputs}
        self._before = load_saved_model(Path(sources.preprocessing))

    def signatures(self) -> dict[str, Any]:
        """Returns the parent's, as far as they are those of TFX's examples."""
        known = dict(self._before.signatures)
        front = known.pop(DEFAULT_SIGNATURE)
        _, inputs = front.structured_input_signature
        sources = preprocessed_inputs(list(self._shapes), front.structured_outputs)

        def answer(**rows: tf.Tensor) -> dict[str, tf.Tensor]:
            made = front(**rows)
            found: dict[str, tf.Tensor] = self._network(
                {n: _shaped(made[sources[n]], *shape) for n, shape in self._shapes.items()}
            )
            return found

        self._answer = tf.function(answer, autograph=False)
        # A saved function is saved again as what it calls: wrapped, as signatures have to be.
        others = {name: tf.function(_named(each)) for name, each in known.items()}
        # Kept on the module, or the saved graph would refer to functions that nobody holds.
        self._others = others
        return {
            DEFAULT_SIGNATURE: self._answer.get_concrete_function(**inputs),
            **{
                name: others[name].get_concrete_function(**each.structured_input_signature[1])
                for name, each in known.items()
            },
        }


def _output_names(saved_model: str | None) -> list[str]:
    if saved_model is None:
        return []
    graph = read_graph(Path(saved_model))
    known = graph.signature_def
    return sorted(known[DEFAULT_SIGNATURE].outputs) if DEFAULT_SIGNATURE in known else []


def _named(function: Any) -> Callable[..., Any]:
    def call(**rows: tf.Tensor) -> Any:
        return function(**rows)

    return call


def _shaped(values: tf.Tensor, sizes: tuple[int | None, ...], dtype: str) -> tf.Tensor:
    # tf.Transform makes float32 and int64, whatever the network was built for.
    values = tf.cast(values, dtype)
    return values if None in sizes else tf.reshape(values, [-1, *sizes])


class _BehindTransform(tf.Module):
    """The network behind the Transform graph, for tf.Examples as they come."""

    def __init__(self, model: keras.Model, transform_output: str, label: str | None) -> None:
        super().__init__()
        output = open_transform(transform_output)
        inputs, outputs = keras_specs(model)
        self._names = [spec.name for spec in inputs]
        # Only its variables are saved: the network itself would bring Keras' own functions along.
        self._network: Callable[..., Any] = concrete_function(model, inputs, outputs)
        self._weights = model.weights
        self._transform = output.transform_features_layer()
        # Rows to be scored have no label, and parsing would refuse them for it.
        self._raw = {n: s for n, s in output.raw_feature_spec().items() if n != label}
        self._shapes = {spec.name: (spec.shape[1:], spec.dtype) for spec in inputs}

    def signatures(self) -> dict[str, Any]:
        """Returns one for tf.Examples."""
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {DEFAULT_SIGNATURE: self._from_examples.get_concrete_function(examples)}

    @tf.function(autograph=False)
    def _from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        transformed = self._transform(dict(tf.io.parse_example(examples, self._raw)))
        missing = sorted(set(self._names) - set(transformed))
        if missing:
            raise ModelError(
                f"Expected the Transform graph to make the inputs {self._names}, received "
                f"{sorted(transformed)}. Name the label in label_key, or give export_fn."
            )
        answer: dict[str, tf.Tensor] = self._network(
            {name: _shaped(transformed[name], *self._shapes[name]) for name in self._names}
        )
        return answer
