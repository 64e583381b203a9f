"""What does a model take? Asked in the child, where TensorFlow is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.tensors import TensorSpec

_CHILD = "tfx_loop.optimization.fine_tuning.describing:describe"


def inputs_of(
    worker: Worker, path: Path | str, custom_objects: Sequence[str] = ()
) -> tuple[TensorSpec, ...]:
    """Returns the inputs of a model, under the names by which it is asked.

    Raises:
        ModelError: It is no model that can be asked with numbers.
    """
    payload = {"model": str(path), "custom_objects": list(custom_objects)}
    return specs_from_json(worker.call(_CHILD, payload, doing=f"reading {path}"))


def describe(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Does what `inputs_of` asks, in the child."""
    predictor = open_predictor(payload["model"], custom_objects=payload["custom_objects"])
    return specs_to_json(predictor.inputs)


def specs_to_json(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    """Returns tensors as JSON."""
    return [{"name": s.name, "shape": list(s.shape), "dtype": s.dtype} for s in specs]


def specs_from_json(content: Sequence[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    """Returns the tensors that `specs_to_json` wrote."""
    return tuple(
        TensorSpec(name=entry["name"], shape=tuple(entry["shape"]), dtype=entry["dtype"])
        for entry in content
    )
