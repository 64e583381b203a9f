"""The preprocessing beside a network: where it lies, and what it makes of tf.Examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.models import tensors
from tfx_loop.models.formats import is_saved_model
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf

# Beside the network's file in `Format-Serving/`, and so in a version's folder and in a bundle.
PREPROCESSING_FOLDER = "preprocessing"
# What TFX's examples call the signature that gives the transformed features, label included.
TRANSFORM_SIGNATURE = "transform_features"
# Parsing and tables cost little memory a row; the network's batches are chosen elsewhere.
_BATCH_ROWS = 1024


def preprocessing_of(folder: Path) -> Path | None:
    """Returns the preprocessing in the folder of a network; None where it takes rows as it is."""
    found = folder / PREPROCESSING_FOLDER
    return found if is_saved_model(found) else None


def opened_preprocessing(folder: Path) -> "Preprocessing | None":
    """Returns the preprocessing in the folder of a network, opened; raises as `Preprocessing`."""
    found = preprocessing_of(folder)
    return None if found is None else Preprocessing(found)


class Preprocessing:
    """A preprocessing, opened in this process.

    Attributes:
        examples_input: The input that takes serialized tf.Examples; empty where each feature has
            an input of its own.
        inputs: What it takes.
        outputs: What the network takes.
    """

    def __init__(self, folder: Path) -> None:
        """Loads it.

        Raises:
            ModelUnsafe: Loading or asking it would do what it should not.
            ModelError: It is damaged, or no preprocessing.
        """
        from tfx_loop.models.saved_model import graph as saved_model
        from tfx_loop.models.saved_model.loading import load_saved_model

        graph = saved_model.read_graph(folder)
        if DEFAULT_SIGNATURE not in graph.signature_def:
            raise ModelError(
                f"Expected a preprocessing with the signature {DEFAULT_SIGNATURE!r} in {folder}, "
                "found none. Make the variant again."
            )
        self.inputs, self.outputs = saved_model.specs(graph.signature_def[DEFAULT_SIGNATURE])
        self.examples_input = saved_model.examples_input(graph, DEFAULT_SIGNATURE)
        self.transforms = TRANSFORM_SIGNATURE in graph.signature_def
        self._loaded = load_saved_model(folder)

    def run(self, rows: Mapping[str, Array]) -> dict[str, Array]:
        """Returns what the network takes for rows as they come, by input of the preprocessing.

        Raises:
            DataError: The rows do not fit.
            ModelError: It failed on them.
        """
        return self._batched(DEFAULT_SIGNATURE, rows)

    def columns(self, serialized: Sequence[bytes]) -> dict[str, Array]:
        """Returns what the network takes for serialized tf.Examples; raises as `run`."""
        return self.run(self.rows(serialized))

    def transformed(self, serialized: Sequence[bytes]) -> dict[str, Array]:
        """Returns all transformed features, label included; none where they are not kept."""
        if not self.transforms:
            return {}
        return self._batched(TRANSFORM_SIGNATURE, self.rows(serialized))

    def rows(self, serialized: Sequence[bytes]) -> dict[str, Array]:
        """Returns serialized tf.Examples by input of the preprocessing."""
        return rows_as_they_come(self.inputs, self.examples_input, serialized)

    def _batched(self, signature: str, rows: Mapping[str, Array]) -> dict[str, Array]:
        from tfx_loop.models.saved_model.predictor import translated_errors

        function = self._loaded.signatures[signature]
        parts, counts = [], []
        for batch, count in tensors.chunks(rows, _BATCH_ROWS, None):
            with translated_errors():
                made = function(**{name: _constant(values) for name, values in batch.items()})
            parts.append({name: value.numpy() for name, value in made.items()})
            counts.append(count)
        if not parts:
            raise DataError("Expected rows, received none.")
        return tensors.join(parts, counts)


def rows_as_they_come(
    inputs: Sequence[TensorSpec], examples_input: str, serialized: Sequence[bytes]
) -> dict[str, Array]:
    """Returns serialized tf.Examples by the inputs that take them or their features."""
    if not examples_input:
        return columns_of(inputs, serialized)
    import numpy as np

    return {examples_input: np.array(list(serialized), dtype=object)}


def _constant(values: Array) -> "tf.Tensor":
    import tensorflow as tf

    return tf.constant(values)
