"""Predictions made in the child process; arrays travel there and back as .npz."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.core import json_codec
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.fitness_checks import check_convertible
from tfx_loop.models.formats import detect
from tfx_loop.models.kept_open import kept_predictor
from tfx_loop.models.rows.arrays import load_arrays, save_arrays
from tfx_loop.models.tensors import Array, TensorSpec

_ANSWERS = "tfx_loop.models.inference:answer"
_CONVERTIBLE = "tfx_loop.models.inference:convertible"
_INPUTS = "tfx_loop.models.inference:inputs"


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model that an optimiser can start from.

    Attributes:
        path: File or folder.
        format: Its form, as `Format`'s value.
        signature: Which signature of a SavedModel; None for a Keras file.
        inputs: What it takes.
        outputs: What it gives.
    """

    path: str
    format: str
    signature: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


def source_of(
    worker: Worker, path: str, *, signature: str | None = None, custom_objects: tuple[str, ...] = ()
) -> ModelSource:
    """Returns what the converter will see of a model.

    Raises:
        ModelError: The model is unfit; one line says why.
    """
    payload = {"path": path, "signature": signature, "custom_objects": list(custom_objects)}
    found = worker.call(_CONVERTIBLE, payload, doing=f"reading {path}")
    source: ModelSource = json_codec.from_json(ModelSource, found, path)
    return source


def inputs_of(
    worker: Worker, path: str | Path, custom_objects: Sequence[str] = ()
) -> tuple[TensorSpec, ...]:
    """Returns the inputs of any model, under the names by which it is asked.

    Raises:
        ModelError: It is no model that can be asked with numbers.
    """
    payload = {"path": str(path), "custom_objects": list(custom_objects)}
    found = worker.call(_INPUTS, payload, doing=f"reading {path}")
    specs: tuple[TensorSpec, ...] = json_codec.from_json(tuple[TensorSpec, ...], found, str(path))
    return specs


def outputs_of(
    worker: Worker,
    path: str,
    inputs: Mapping[str, Array],
    *,
    signature: str | None = None,
    custom_objects: tuple[str, ...] = (),
    folder: str | None = None,
) -> dict[str, Array]:
    """Returns the outputs by name, one row each.

    Args:
        worker: Runs the model.
        path: The model.
        inputs: Rows by input name.
        signature: As for `source_of`.
        custom_objects: As for `source_of`.
        folder: Where the arrays travel through; one of the worker when None.

    Raises:
        DataError: The rows do not fit the model.
        ModelError: The model cannot be asked.
    """
    # Through the pipe, as JSON, rows would be many times their size.
    with tempfile.TemporaryDirectory(prefix="loop-rows-", dir=folder or worker.folder) as scratch:
        rows, answers = Path(scratch) / "rows.npz", Path(scratch) / "answers.npz"
        save_arrays(rows, inputs)
        payload = {
            "path": path,
            "signature": signature,
            "custom_objects": list(custom_objects),
            "rows": str(rows),
            "answers": str(answers),
        }
        worker.may_write(scratch)
        worker.call(_ANSWERS, payload, doing=f"running {path}")
        return load_arrays(answers)


def answer(payload: Mapping[str, Any]) -> None:
    """Does what `outputs_of` asks, in the child."""
    # Kept open: a search asks its parent once for each rung, and loading takes seconds.
    predictor = kept_predictor(
        detect(payload["path"]),
        signature=payload["signature"],
        custom_objects=tuple(payload["custom_objects"]),
    )
    given = predictor.predict(load_arrays(payload["rows"]))
    save_arrays(payload["answers"], given)


def inputs(payload: Mapping[str, Any]) -> Any:
    """Does what `inputs_of` asks, in the child."""
    file = detect(payload["path"])
    predictor = kept_predictor(file, custom_objects=tuple(payload["custom_objects"]))
    return json_codec.to_json(predictor.inputs)


def convertible(payload: Mapping[str, Any]) -> Any:
    """Does what `source_of` asks, in the child."""
    found = check_convertible(
        payload["path"],
        signature=payload["signature"],
        custom_objects=tuple(payload["custom_objects"]),
    )
    return json_codec.to_json(
        ModelSource(
            path=str(found.file.path),
            format=found.file.format.value,
            signature=found.signature,
            inputs=found.inputs,
            outputs=found.outputs,
        )
    )
