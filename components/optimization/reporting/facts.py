"""Facts of a model file: bytes, weights by layer, inputs and outputs, time of a call.

Opening a SavedModel or Keras file means TensorFlow, so all of it happens in the child process:
`describe` is what the child runs, `facts_of` is what its parent asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfx_loop.contracts.optimization_report import Layer, ModelFacts
from tfx_loop.core import json_codec
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.formats import detect
from tfx_loop.models.kept_open import kept_predictor
from tfx_loop.models.rows.arrays import load_arrays
from tfx_loop.models.weights import Weight, weights_of
from tfx_loop.optimization.reporting import latency
from tfx_loop.optimization.reporting.sizes import size_of

_CHILD = "tfx_loop.optimization.reporting.facts:describe"


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """A model whose facts are asked for.

    Attributes:
        path: File or folder.
        mode: How it was made, for the report.
        signature: Of a SavedModel; None for the one that takes numbers.
        custom_objects: Import paths of layers and functions that a Keras file names.
        shown_path: What the report says; the path when empty.
        whole: The model that this is the network of: its weights and bytes count; empty for none.
        sized: The file or folder whose bytes count; empty for the model's own.
    """

    path: str
    mode: str = "float"
    signature: str | None = None
    custom_objects: tuple[str, ...] = ()
    shown_path: str = ""
    whole: str = ""
    sized: str = ""


def facts_of(
    worker: Worker,
    models: Mapping[str, MeasuredModel],
    rows: str | None = None,
    *,
    seconds: float = 1.0,
    doing: str = "measuring the models",
) -> dict[str, ModelFacts]:
    """Returns the facts of each model; their calls are timed in turns, when there are rows.

    Args:
        worker: Runs it.
        models: By name, such as `parent` and `child`.
        rows: An .npz of real rows by input name that all models take; None times nothing.
        seconds: For each model and batch size, about.
        doing: For errors.

    Raises:
        ModelError: A file is damaged or cannot be asked.
        ChildFailed: The runtime aborted, or took too long.
    """
    payload = {
        "models": {name: json_codec.to_json(model) for name, model in models.items()},
        "rows": rows,
        "seconds": seconds,
    }
    found = worker.call(_CHILD, payload, doing=doing)
    return {
        name: json_codec.from_json(ModelFacts, content, f"the facts of {name}")
        for name, content in found.items()
    }


def describe(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Does what `facts_of` asks, in the child; returns ModelFacts as JSON by name."""
    models = {
        name: json_codec.from_json(MeasuredModel, content, name)
        for name, content in payload["models"].items()
    }
    # All open before the first call: they are timed in turns.
    opened = {
        name: kept_predictor(
            detect(model.path), signature=model.signature, custom_objects=model.custom_objects
        )
        for name, model in models.items()
    }
    facts = {name: _facts(model, opened[name]) for name, model in models.items()}
    if payload["rows"]:
        taken = latency.measure(opened, load_arrays(payload["rows"]), seconds=payload["seconds"])
        facts = {name: replace(known, latency=taken[name]) for name, known in facts.items()}
    return {name: json_codec.to_json(known) for name, known in facts.items()}


def _facts(model: MeasuredModel, predictor: Any) -> ModelFacts:
    file = detect(model.whole or model.path)
    weights = weights_of(file, custom_objects=model.custom_objects)
    layers = by_layer(weights)
    parameters = sum(layer.parameters for layer in layers)
    zeros = sum(layer.zeros for layer in layers)
    return ModelFacts(
        path=model.shown_path or str(model.path),
        format=file.format.value,
        mode=model.mode,
        runtime=predictor.runtime,
        size=size_of(model.sized or file.path),
        parameters=parameters,
        sparsity=zeros / parameters if parameters else None,
        layers=layers,
        weight_bytes=sum(weight.size_bytes for weight in weights),
        inputs=tuple(str(tensor) for tensor in predictor.inputs),
        outputs=tuple(str(tensor) for tensor in predictor.outputs),
    )


def by_layer(weights: Sequence[Weight]) -> tuple[Layer, ...]:
    """Returns the weights added up by layer, in the order of the file."""
    groups: dict[str, list[Weight]] = {}
    for weight in weights:
        groups.setdefault(weight.layer, []).append(weight)
    return tuple(_layer(name, group) for name, group in groups.items())


def _layer(name: str, group: Sequence[Weight]) -> Layer:
    # The kernel stands for its layer; biases are smaller.
    largest = max(group, key=lambda weight: weight.parameters)
    return Layer(
        name=name,
        shape=largest.shape,
        parameters=sum(weight.parameters for weight in group),
        zeros=sum(weight.zeros for weight in group),
        dtype=largest.dtype,
    )
