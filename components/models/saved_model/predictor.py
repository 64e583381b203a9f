"""A SavedModel opened for prediction in this process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfx_loop.core.errors import DataError, ModelError, first_line
from tfx_loop.models import tensors
from tfx_loop.models.saved_model.graph import (
    check_ops,
    choose_signature,
    read_graph,
    specs,
)
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.tensors import DEFAULT_BATCH_ROWS, Array

# How the lines begin by which TensorFlow says where in a graph an error is.
_PLACES = ("Graph execution error", "Detected at", "<stack", "[[", "Node:", "File ", "(0) ", "(1) ")


class SavedModelPredictor:
    """One signature of a SavedModel."""

    def __init__(self, folder: Path, *, signature: str | None = None) -> None:
        """Loads it.

        Raises:
            ModelUnsafe: Opening it would do what it should not.
            ModelError: It has no such signature, or cannot be loaded.
        """
        graph = read_graph(folder)
        self.signature = choose_signature(graph, folder, signature)
        self.inputs, self.outputs = specs(graph.signature_def[self.signature])
        where = f"signature {self.signature!r} of {folder}"
        tensors.check_batched(self.inputs, where)
        check_ops(graph, folder)
        self.runtime = f"SavedModel on TensorFlow {tf.__version__}"
        self._loaded = load_saved_model(folder)
        self._function = self._loaded.signatures[self.signature]

    def predict(
        self, inputs: Mapping[str, Any], batch_size: int = DEFAULT_BATCH_ROWS
    ) -> dict[str, Array]:
        """Returns the outputs by name; raises as `Predictor.predict`."""
        return tensors.in_batches(self._answer, inputs, self.inputs, batch_size)

    def _answer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        with translated_errors():
            outputs = self._function(**{n: tf.constant(v) for n, v in batch.items()})
        return {spec.name: outputs[spec.name].numpy() for spec in self.outputs}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Says which side is at fault when TensorFlow refuses to run a batch.

    Raises:
        DataError: The rows do not fit.
        ModelError: The model failed on them.
    """
    try:
        yield
    # How kernels refuse shapes and values; any other error is not the rows' doing.
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"The model refuses the rows: {_cause(error)}") from error
    except tf.errors.OpError as error:
        raise ModelError(f"The model failed: {_cause(error)}") from error


def _cause(error: tf.errors.OpError) -> str:
    """Returns the line that says what is wrong; where in the graph it is stands around it."""
    lines = [line.strip() for line in str(error.message).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_PLACES)]
    return first_line(RuntimeError(telling[-1])) if telling else first_line(error)
