"""How is a network served that was pruned or distilled: under which signatures?

In this order: as the user's own function exports it; with all of the parent's signatures, where
only the weights changed; behind the Transform graph, where one is given; else by its own inputs.
Runs where TensorFlow may be imported: in a child process.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from components.errors import ModelError
from components.fine_tuning import keras_model, same_signatures
from components.fine_tuning.outputs import Served, Signatures
from components.fine_tuning.user_function import user_function
from components.model_formats.predictor import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE

_LOG = logging.getLogger(__name__)
_Tensors: TypeAlias = Mapping[str, tf.Tensor]


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


def export(model: keras.Model, folder: Path | str, served: Served) -> Signatures:
    """Writes the SavedModel whole and returns where its signatures come from.

    Raises:
        ModelError: The user's function wrote no SavedModel.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        staged = Path(scratch) / folder.name
        how = _exported(model, staged, served)
        if not (staged / "saved_model.pb").is_file():
            raise ModelError(
                f"Expected a SavedModel from {served.export_fn}, received none. Write it to "
                "args.serving_model_dir."
            )
        staged.rename(folder)
    _LOG.info("export signatures=%s folder=%s", how.value, folder)
    return how


def _exported(model: keras.Model, folder: Path, served: Served) -> Signatures:
    if served.export_fn:
        args = ExportArgs(
            serving_model_dir=str(folder),
            transform_output=served.transform_output,
            parent_model_dir=served.parent_saved_model,
        )
        user_function(served.export_fn, "export_fn")(model, args)
        return Signatures.EXPORT_FN
    if served.parent_keras and served.parent_saved_model:
        parent = keras_model.read(served.parent_keras)
        before, after = _named_weights(parent), _named_weights(model)
        same_signatures.write_child(served.parent_saved_model, folder, before, after)
        return Signatures.PARENT
    if served.transform_output:
        network: _Network = _BehindTransform(model, served.transform_output, served.label)
    else:
        network = _ByInputs(model)
    tf.saved_model.save(network, str(folder), signatures=network.signatures())
    return Signatures.TRANSFORM_GRAPH if served.transform_output else Signatures.INPUTS


def _named_weights(model: keras.Model) -> list[tuple[str, Any]]:
    return [(weight.name, weight.numpy()) for weight in model.weights]


class _Network(tf.Module):
    """A network whose variables are saved, and not Keras' own functions with them."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._call: Callable[[Any], Any] = lambda inputs: model(inputs, training=False)
        self._weights = model.weights
        self._inputs = {
            name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
            for name, tensor in zip(model.input_names, model.inputs, strict=True)
        }
        self._structure = model.input
        self._outputs = list(model.output_names)

    def signatures(self) -> dict[str, Any]:
        """Returns functions by signature name."""
        raise NotImplementedError

    def _score(self, inputs: _Tensors) -> dict[str, tf.Tensor]:
        ordered = [_shaped(inputs[name], spec) for name, spec in self._inputs.items()]
        outputs = self._call(tf.nest.pack_sequence_as(self._structure, ordered))
        return dict(zip(self._outputs, tf.nest.flatten(outputs), strict=True))

    @tf.function(autograph=False)
    def _from_inputs(self, inputs: _Tensors) -> dict[str, tf.Tensor]:
        return self._score(inputs)

    @tf.function(autograph=False)
    def _from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._score(tf.io.parse_example(examples, self._features()))

    def _features(self) -> dict[str, Any]:
        return {
            name: tf.io.FixedLenFeature(spec.shape[1:], _stored_type(spec.dtype))
            for name, spec in self._inputs.items()
        }

    def _examples_signature(self) -> Any:
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return self._from_examples.get_concrete_function(examples)


class _ByInputs(_Network):
    """The network for its own inputs by name, and for tf.Examples that hold them."""

    def signatures(self) -> dict[str, Any]:
        """Returns one for tf.Examples where the inputs' shapes are known, one for the inputs."""
        columns = self._from_inputs.get_concrete_function(self._inputs)
        if any(None in spec.shape[1:] for spec in self._inputs.values()):
            return {DEFAULT_SIGNATURE: columns}
        return {DEFAULT_SIGNATURE: self._examples_signature(), COLUMNS_SIGNATURE: columns}


class _BehindTransform(_Network):
    """The network behind the Transform graph, for tf.Examples as they come."""

    def __init__(self, model: keras.Model, transform_output: str, label: str | None) -> None:
        import tensorflow_transform as tft

        super().__init__(model)
        output = tft.TFTransformOutput(transform_output)
        self._transform = output.transform_features_layer()
        self._raw = {n: s for n, s in output.raw_feature_spec().items() if n != label}

    def signatures(self) -> dict[str, Any]:
        """Returns one for tf.Examples."""
        return {DEFAULT_SIGNATURE: self._examples_signature()}

    def _features(self) -> dict[str, Any]:
        return self._raw

    def _score(self, inputs: _Tensors) -> dict[str, tf.Tensor]:
        transformed = self._transform(dict(inputs))
        missing = sorted(set(self._inputs) - set(transformed))
        if missing:
            raise ModelError(
                f"Expected the Transform graph to make the inputs {sorted(self._inputs)}, received "
                f"{sorted(transformed)}. Name the label in label_key, or give export_fn."
            )
        return super()._score(transformed)


def _shaped(values: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """Returns values in the type and, where it is known, the shape of an input."""
    if values.dtype != spec.dtype:
        values = tf.cast(values, spec.dtype)
    sizes = spec.shape[1:]
    return values if None in sizes else tf.reshape(values, [-1, *sizes])


def _stored_type(dtype: tf.DType) -> tf.DType:
    """Returns the type that a tf.Example stores a tensor in."""
    if dtype.is_floating:
        return tf.float32
    return tf.string if dtype == tf.string else tf.int64
