"""A version that is a SavedModel, with all its signatures."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfx_loop.contracts.variant_note import FLOAT
from tfx_loop.core.errors import DataError, ServingError, first_line
from tfx_loop.deployment.model_server.batching import batch_rules
from tfx_loop.deployment.model_server.fitted_shapes import FittedShapes
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.formats import is_saved_model
from tfx_loop.models.saved_model.graph import (
    keeps_state,
    parses_examples,
    public_signatures,
    read_graph,
    specs,
)
from tfx_loop.models.saved_model.parsed_features import parsed_features
from tfx_loop.models.saved_model.session import open_signatures
from tfx_loop.models.tensors import Array


class SavedModelServable:
    """One loaded version: its signatures, and what they answer. Safe for many threads."""

    def __init__(self, version: int, path: Path, variant: str = FLOAT) -> None:
        """Loads it.

        Args:
            version: Its number.
            path: The folder with saved_model.pb.
            variant: Which optimisation of the model it is.

        Raises:
            DataError: There is no SavedModel, or one without signatures.
            ModelUnsafe: Loading or asking it would do what it should not.
            ModelError: It is damaged, or has no graph to serve.
        """
        self.version = version
        self.variant = variant
        if not is_saved_model(path):
            # The words of TF Serving.
            raise DataError(
                f"Could not find SavedModel .pb at supplied export directory path: {path}. "
                "Check that it holds a whole SavedModel."
            )
        graph = read_graph(path)
        self.signature_defs = dict(graph.signature_def)
        self.parsed_features = parsed_features(graph)
        self.signatures = {
            name: _signature(name, definition, parses_examples(graph, name))
            for name, definition in public_signatures(graph).items()
        }
        if not self.signatures:
            raise DataError(f"Expected a SavedModel with signatures in {path}, found none.")
        self._shapes = FittedShapes(self.signatures, self._run)
        self._called = open_signatures(path, {n: self.signature_defs[n] for n in self.signatures})
        stateful = [name for name in self.signatures if keeps_state(graph, name)]
        self.batching = batch_rules(self, stateful)

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs of a signature by name, as arrays.

        Raises:
            DataError: The model refuses the values.
            ServingError: The model failed.
        """
        return self._shapes.run(signature_name, inputs)

    def _run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return self._called.run(signature_name, inputs)
        except tf.errors.InvalidArgumentError as error:
            raise DataError(f"The model refuses the request: {first_line(error)}") from error
        except UnicodeDecodeError as error:
            # TensorFlow quotes a value of the request in its message, and it is no text.
            raise DataError("The model refuses the request: a value is no valid input.") from error
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise ServingError(f"The model failed: {first_line(error)}") from error


def _signature(name: str, definition: meta_graph_pb2.SignatureDef, of_examples: bool) -> Signature:
    inputs, outputs = specs(definition)
    return Signature(
        name=name,
        inputs={spec.name: spec for spec in inputs},
        outputs={spec.name: spec for spec in outputs},
        parses_examples=of_examples,
    )
