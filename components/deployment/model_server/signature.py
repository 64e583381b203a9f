"""Signatures that the server answers to, and the fit of a request's tensors to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, Array, TensorSpec

EXAMPLES_INPUT = "examples"
# TensorFlow's names of types, as its error messages show them.
_SHOWN = {"float32": "float", "float64": "double", "float16": "half"}


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One way of asking a model.

    Attributes:
        name: Its key in the SavedModel.
        inputs: By name.
        outputs: By name.
        parses_examples: Whether its graph takes serialised tf.Examples apart.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    parses_examples: bool = False

    def takes_examples(self, has_columns_signature: bool) -> bool:
        """Says whether its one input is serialised tf.Examples."""
        if len(self.inputs) != 1:
            return False
        ((name, spec),) = self.inputs.items()
        if spec.dtype != "string":
            return False
        if self.parses_examples or name == EXAMPLES_INPUT:
            return True
        return has_columns_signature and self.name != COLUMNS_SIGNATURE


def shown_dtype(name: str) -> str:
    """Returns TensorFlow's display name of a type."""
    return _SHOWN.get(name, name)


def check_names(signature: Signature, names: Iterable[str]) -> None:
    """Checks that a request names each input once, and nothing else.

    Raises:
        DataError: In the words of TF Serving.
    """
    sent, wanted = set(names), set(signature.inputs)
    if sent == wanted:
        return
    raise DataError(
        f"input size does not match signature: {len(sent)}!={len(wanted)} "
        f"len({{{_listed(sent)}}}) != len({{{_listed(wanted)}}}). "
        f"Sent extra: {{{_listed(sent - wanted)}}}. "
        f"Missing but required: {{{_listed(wanted - sent)}}}."
    )


def bind(signature: Signature, tensors: Mapping[str, Array]) -> tuple[dict[str, Array], int]:
    """Returns the inputs in the shapes that the model declares, and the number of rows.

    A column [n] fits where [n, 1] is declared, and the other way round.

    Raises:
        DataError: Names, types or shapes do not fit, batches differ in length or are empty.
    """
    check_names(signature, tensors)
    bound = {name: _fit(name, tensors[name], spec) for name, spec in signature.inputs.items()}
    batched = {name: len(bound[name]) for name in signature.inputs if bound[name].ndim > 0}
    if len(set(batched.values())) > 1:
        sizes = ", ".join(f"{name}: {batched[name]}" for name in sorted(batched))
        raise DataError(f"All inputs must have the same batch size, got {sizes}.")
    rows = next(iter(batched.values()), 1)
    if rows == 0:
        raise DataError("The batch is empty: expected at least one row in every input.")
    return bound, rows


def _fit(name: str, values: Array, spec: TensorSpec) -> Array:
    kind = "string" if values.dtype.kind in "OSU" else values.dtype.name
    if kind != spec.dtype:
        raise DataError(
            f"Expected input {name} to be {shown_dtype(spec.dtype)}, received {shown_dtype(kind)}."
        )
    if spec.any_rank:
        return values
    # Columns come as lists of numbers; which of the two the model declares is its author's taste.
    if values.ndim == 1 and len(spec.shape) == 2 and spec.shape[1] in (1, None):
        values = values[:, np.newaxis]
    elif values.ndim == 2 and len(spec.shape) == 1 and values.shape[1] == 1:
        values = values[:, 0]
    fits = values.ndim == len(spec.shape) and all(
        wanted is None or size == wanted
        for size, wanted in zip(values.shape, spec.shape, strict=True)
    )
    if not fits:
        shown = ",".join("?" if size is None else str(size) for size in spec.shape)
        raise DataError(f"Expected input {name} of shape [{shown}], received {list(values.shape)}.")
    return values


def _listed(names: set[str]) -> str:
    return ",".join(sorted(names))
