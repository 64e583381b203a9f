"""Answers of a model to serialised tf.Examples, by whatever signature it has."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError, LoopError, first_line
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.tensors import DEFAULT_SIGNATURE
from tfx_loop.models.time_blocks import Floats

# Rows of one call: some MB of activations at most.
_BATCH = 1024


class ExamplePredictor:
    """A model, opened when it is first asked."""

    def __init__(self, model_uri: str, output: str) -> None:
        """Opens nothing yet.

        Args:
            model_uri: Folder of the model.
            output: The output that is the answer; empty takes the only one.
        """
        self._uri, self._output = model_uri, output
        self._ask: Any = None

    def __call__(self, examples: Sequence[bytes]) -> Floats:
        """Returns the output for each row, float64 [rows, numbers], flat where that is one.

        Raises:
            DataError: The model cannot be opened or does not answer these rows.
        """
        try:
            if self._ask is None:
                with tempfile.TemporaryDirectory(prefix="loop-asked-") as scratch:
                    self._ask = _opened(detect(local_folder(self._uri, Path(scratch))))
            parts = [
                self._answer(examples[start : start + _BATCH])
                for start in range(0, len(examples), _BATCH)
            ]
        except LoopError as error:
            raise DataError(first_line(error)) from error
        except Exception as error:  # Whatever a model makes TensorFlow raise.
            raise DataError(f"{type(error).__name__}: {first_line(error)}") from error
        return np.concatenate(parts) if parts else np.zeros(0)

    def _answer(self, examples: Sequence[bytes]) -> Floats:
        outputs = self._ask(examples)
        names = sorted(outputs)
        output = self._output or (names[0] if len(names) == 1 else "")
        if output not in outputs:
            raise DataError(f"it has no output {output!r} but {names}")
        answer = np.asarray(outputs[output], dtype=np.float64)
        # A scalar, or one answer for a whole batch, would be broadcast over the rows and judged as
        # theirs.
        if not answer.shape or len(answer) != len(examples):
            raise DataError(f"it answers {answer.shape} to {len(examples)} rows, not each of them")
        answer = answer.reshape(len(examples), -1)
        return np.asarray(answer[:, 0] if answer.shape[1] == 1 else answer)


def _opened(file: ModelFile) -> Any:
    """Returns what takes serialised tf.Examples and gives arrays by output."""
    if file.format is Format.SAVED_MODEL:
        import tensorflow as tf

        from tfx_loop.models.saved_model.graph import examples_input, read_graph
        from tfx_loop.models.saved_model.loading import load_saved_model
        from tfx_loop.models.saved_model.predictor import translated_errors

        graph = read_graph(file.path)
        known = DEFAULT_SIGNATURE in graph.signature_def
        if known and (name := examples_input(graph, DEFAULT_SIGNATURE)):
            loaded = load_saved_model(file.path)
            signature = loaded.signatures[DEFAULT_SIGNATURE]

            def asked(examples: Sequence[bytes]) -> dict[str, Any]:
                with translated_errors():
                    outputs = signature(**{name: tf.constant(list(examples))})
                return {key: value.numpy() for key, value in outputs.items()}

            # The signature alone does not keep the variables of its model alive.
            asked.model = loaded  # type: ignore[attr-defined]
            return asked
    # Any other model takes numbers by input: the Examples are parsed here, by the names of its
    # inputs.
    predictor = open_predictor(file)
    return lambda examples: predictor.predict(columns_of(predictor.inputs, examples))
