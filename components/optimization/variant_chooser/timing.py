"""Time of one call of every variant, the trained model among them, measured in turns.

Reports of optimisers time two models each, on another day or machine: only times of one
measurement can be compared. The chooser has no rows, so the models are asked about made-up ones:
the time of a dense network does not depend on the values. What only takes tf.Examples, or stands
behind preprocessing of its own, is not timed.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import detect
from tfx_loop.models.kept_open import kept_predictor
from tfx_loop.models.predictor import Predictor
from tfx_loop.models.preprocessing.folder import PREPROCESSING_FOLDER
from tfx_loop.models.tensors import Array, TensorSpec
from tfx_loop.optimization.reporting import latency

_LOG = logging.getLogger(__name__)
_CHILD = "tfx_loop.optimization.variant_chooser.timing:time_variants"
_ROWS = 8


def latencies(models: Mapping[str, str], worker: Worker, seconds: float = 1.0) -> dict[str, float]:
    """Returns the median milliseconds of one call with one row, by variant.

    Args:
        models: Folder of each variant, by name.
        worker: Opens and asks them.
        seconds: For each model, about.

    Returns:
        A variant that cannot be asked about numbers is left out.

    Raises:
        ChildFailed: The runtime aborted, or took too long.
    """
    payload = {"models": dict(models), "seconds": seconds}
    found: dict[str, float] = worker.call(_CHILD, payload, doing="timing the variants")
    return found


def time_variants(payload: Mapping[str, Any]) -> dict[str, float]:
    """Does what `latencies` asks, in the child."""
    opened: dict[str, Predictor] = {}
    for name, path in payload["models"].items():
        try:
            opened[name] = _asked_about_numbers(path)
        except ModelError as error:
            _LOG.warning("variant_not_timed name=%s why=%s", name, json.dumps(str(error)))
    # Every model is asked about rows of its own, under the names that it gives them.
    timed = {name: _OwnRows(model) for name, model in opened.items()}
    taken = latency.measure(
        # A stand-in for rows: each model is asked about its own.
        timed,
        {"rows": np.zeros(1)},
        batch_sizes=(1,),
        seconds=payload["seconds"],
    )
    return {name: found[0].p50_ms for name, found in taken.items()}


def made_up_rows(inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Returns rows that a model of these inputs takes.

    Raises:
        ModelError: The size of a dimension is not known.
    """
    random, rows = np.random.default_rng(0), {}
    for spec in inputs:
        if not spec.is_static:
            raise ModelError(
                f"Expected inputs of known sizes to time a variant with, received {spec}. Export "
                "the model with the shape of its rows."
            )
        shape = (_ROWS, *(size for size in spec.shape[1:] if size is not None))
        # Whole numbers may be positions in a table, of which there is always a first.
        real = np.issubdtype(np.dtype(spec.dtype), np.floating)
        rows[spec.name] = (random.normal(size=shape) if real else np.zeros(shape)).astype(
            spec.dtype
        )
    return rows


def _asked_about_numbers(path: str) -> Predictor:
    file = detect(path)
    if (file.path.parent / PREPROCESSING_FOLDER).exists():
        raise ModelError(f"The network alone is not what is deployed of {Path(path).name}.")
    model = kept_predictor(file)
    made_up_rows(model.inputs)
    return model


class _OwnRows:
    """A model that is asked about rows of its own, whatever it is given."""

    def __init__(self, model: Predictor) -> None:
        self.inputs, self.outputs, self.runtime = model.inputs, model.outputs, model.runtime
        self._model = model
        self._row = {name: values[:1] for name, values in made_up_rows(model.inputs).items()}

    def predict(self, inputs: Mapping[str, Any], batch_size: int = 1) -> dict[str, Array]:
        """Returns the model's outputs for one row of its own."""
        return self._model.predict(self._row, batch_size=batch_size)
