"""Preparation for the converter: a SavedModel of one signature, in float32, of fixed sizes.

Runs in a child process, as TensorFlow may abort.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfx_loop.core.errors import ModelError
from tfx_loop.models.fitness_checks import ConvertibleModel, check_convertible
from tfx_loop.models.kept_open import kept_predictor
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.saved_model.single_precision import has_short_floats, write_single_precision
from tfx_loop.models.tensors import TensorSpec

SIGNATURE = "serving_default"


def prepare(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Writes what is converted as a SavedModel with one signature, where it is not one already.

    Args:
        payload: `source`, `signature` (or None), `fixed_batch` (whether the batch is 1), `sizes`
            (shapes of a row by input, for what the model leaves open), `folder` to write to.

    Returns:
        `saved_model` and `signature`, which the other functions take, and `notes`: what was
        settled that the model leaves open.
    """
    found = check_convertible(payload["source"], signature=payload.get("signature"))
    inputs, notes = _settled(found.inputs, payload)
    # TFMA finds a TFLite model's inputs by their names, from which it strips this signature alone.
    if found.signature == SIGNATURE and not payload.get("fixed_batch") and not notes:
        ready = {"saved_model": str(found.file.path), "signature": found.signature}
    else:
        ready = _written_anew(found, inputs, payload["folder"])
    if has_short_floats(Path(ready["saved_model"])):
        wide = f"{payload['folder']}_float32"
        write_single_precision(Path(ready["saved_model"]), SIGNATURE, Path(wide), SIGNATURE)
        ready["saved_model"] = wide
        notes.append("Converted in float32, with the same weights; the model computes in less.")
    return {**ready, "notes": notes}


def _settled(
    inputs: tuple[TensorSpec, ...], payload: Mapping[str, Any]
) -> tuple[tuple[TensorSpec, ...], list[str]]:
    """Returns the inputs as they are converted, and a note where the rows settled their sizes."""
    sizes, settled = payload.get("sizes", {}), []
    for spec in inputs:
        given = tuple(sizes.get(spec.name, ()))
        # The converter would make dynamic tensors of open sizes, which delegates refuse.
        row = given if not spec.is_static and given else spec.shape[1:]
        if None in row:
            raise ModelError(
                f"Expected inputs of {payload['source']} whose batch alone has any size, received "
                f"{spec}. Export it with the sizes that it serves, such as [None, 128]."
            )
        batch = 1 if payload.get("fixed_batch") else None
        settled.append(replace(spec, shape=(batch, *row)))
    fixed = [
        str(replace(new, shape=(None, *new.shape[1:])))
        for old, new in zip(inputs, settled, strict=True)
        if old.shape[1:] != new.shape[1:]
    ]
    told = f"Sizes that the model leaves open are those of the rows: {', '.join(fixed)}."
    return tuple(settled), [told] if fixed else []


def _written_anew(
    found: ConvertibleModel, inputs: tuple[TensorSpec, ...], folder: str
) -> dict[str, Any]:
    """Writes a SavedModel with one signature that takes these inputs."""
    module = tf.Module()
    if found.signature is not None:
        module.model = load_saved_model(found.file.path)
        serve = _of_signature(module.model.signatures[found.signature], inputs)
    else:
        predictor: Any = kept_predictor(found.file)
        module.weights = predictor.model.weights
        serve = predictor.traced(inputs)
    tf.saved_model.save(module, folder, signatures={SIGNATURE: serve})
    return {"saved_model": folder, "signature": SIGNATURE}


def _of_signature(function: Any, inputs: Sequence[TensorSpec]) -> Any:
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]

    def serve(*values: Any) -> Any:
        return function(**{s.name: v for s, v in zip(inputs, values, strict=True)})

    return tf.function(serve, autograph=False).get_concrete_function(*specs)
