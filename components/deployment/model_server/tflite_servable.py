"""A version that is a TFLite model, served as a SavedModel is.

As TF Serving does with --prefer_tflite_model, save that whole-number inputs and outputs stand for
the floats that the model was trained on, and that a model which replaces one for tf.Examples takes
them too: clients, the prediction log and its monitors need not know which variant answers. A
network that was cut out of a model is asked behind the preprocessing beside it, a SavedModel.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfx_loop.contracts.variant_note import VariantNote
from tfx_loop.core.errors import DataError, ModelError, ServingError
from tfx_loop.deployment.model_server.batching import batch_rules
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.preprocessing.folder import opened_preprocessing
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE, Array, TensorSpec

_PREDICT_METHOD = "tensorflow/serving/predict"


class TFLiteServable:
    """One loaded version. Safe for many threads, which wait for each other."""

    def __init__(self, version: int, file: Path, note: VariantNote) -> None:
        """Loads it.

        Args:
            version: Its number.
            file: The .tflite file.
            note: What its folder says of it.

        Raises:
            ModelError: It cannot be served.
        """
        self.version = version
        self.variant = note.variant
        # Its inputs are named, and what it takes tf.Examples for.
        self.parsed_features: dict[str, str] = {}
        self._predictor = open_predictor(ModelFile(file, Format.TFLITE))
        outputs = self._predictor.outputs
        self._examples_input = note.examples_input
        self._preprocessing = opened_preprocessing(file.parent)
        asked = self._asked(note)
        self.signature_defs = {
            name: meta_graph_pb2.SignatureDef(
                inputs=_infos(inputs), outputs=_infos(outputs), method_name=_PREDICT_METHOD
            )
            for name, inputs in asked.items()
        }
        self.signatures = {
            name: Signature(name=name, inputs=_specs(inputs), outputs=_specs(outputs))
            for name, inputs in asked.items()
        }
        self.batching = batch_rules(self)

    def _asked(self, note: VariantNote) -> dict[str, tuple[TensorSpec, ...]]:
        """Returns the inputs by signature."""
        if self._preprocessing is not None:
            # What the network takes are no features that a client or the log knows.
            return {DEFAULT_SIGNATURE: self._preprocessing.inputs}
        columns = self._predictor.inputs
        # Its inputs are columns, so it answers to both names that a SavedModel may have for them.
        asked = {DEFAULT_SIGNATURE: columns, COLUMNS_SIGNATURE: columns}
        if note.examples_input:
            examples = TensorSpec(name=note.examples_input, shape=(None,), dtype="string")
            asked[DEFAULT_SIGNATURE] = (examples,)
        return asked

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs by name, as arrays.

        Raises:
            DataError: The model refuses the values.
            ServingError: The model failed.
        """
        if any(values.ndim == 0 or len(values) == 0 for values in inputs.values()):
            raise DataError("Expected at least one row in every input of a TFLite model.")
        rows = len(next(iter(inputs.values())))
        if self._preprocessing is not None:
            inputs = self._preprocessing.run(inputs)
        elif self._examples_input and signature_name == DEFAULT_SIGNATURE:
            inputs = columns_of(self._predictor.inputs, inputs[self._examples_input].tolist())
        try:
            return self._predictor.predict(inputs, batch_size=rows)
        except ModelError as error:
            raise ServingError(f"The model failed: {error}") from error


def _specs(tensors: Iterable[TensorSpec]) -> dict[str, TensorSpec]:
    # A fixed batch size is no limit here: rows are asked in batches of that size.
    return {t.name: replace(t, shape=(None, *t.shape[1:])) for t in tensors}


def _infos(tensors: Iterable[TensorSpec]) -> dict[str, meta_graph_pb2.TensorInfo]:
    return {
        tensor.name: meta_graph_pb2.TensorInfo(
            name=tensor.name,
            dtype=tf.as_dtype(tensor.dtype).as_datatype_enum,
            tensor_shape=tf.TensorShape([None, *tensor.shape[1:]]).as_proto(),
        )
        for tensor in tensors
    }
