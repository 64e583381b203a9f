"""Signatures that the server answers to, and the fit of a request's tensors to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, Array, TensorSpec, type_name

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
        # A model with a signature for columns, too, takes tf.Examples by its others of text,
        # whatever their input is called.
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
    """Returns the inputs as they were sent, and the number of rows.

    Shapes are the model's to refuse, as in TF Serving: a graph often takes more than its signature
    declares. `fitted` gives the shapes that are declared.

    Raises:
        DataError: Names or types do not fit.
    """
    check_names(signature, tensors)
    for name, spec in signature.inputs.items():
        kind = type_name(tensors[name].dtype)
        if kind != spec.dtype:
            raise DataError(
                f"Expected input {name} to be {shown_dtype(spec.dtype)}, "
                f"received {shown_dtype(kind)}."
            )
    bound = {name: tensors[name] for name in signature.inputs}
    return bound, count_rows(signature, bound)


def count_rows(signature: Signature, inputs: Mapping[str, Array]) -> int:
    """Returns how many instances a request has.

    Inputs of one length are rows. Where lengths differ, those are whose first dimension is open in
    the signature; where these differ, too, the request is one instance.
    """
    sizes = {name: len(values) for name, values in inputs.items() if values.ndim}
    if len(set(sizes.values())) > 1:
        sizes = {name: size for name, size in sizes.items() if _is_open(signature.inputs[name])}
    return next(iter(sizes.values())) if len(set(sizes.values())) == 1 else 1


def fitted(signature: Signature, inputs: Mapping[str, Array]) -> dict[str, Array] | None:
    """Returns the inputs in declared shapes, where a column [n] came for [n, 1] or the reverse.

    Columns come as lists of numbers; which of the two a model declares is its author's taste. None
    where there is nothing to fit.
    """
    found = {name: _fit(inputs[name], spec) for name, spec in signature.inputs.items()}
    changed = any(found[name].ndim != inputs[name].ndim for name in found)
    return found if changed else None


def _fit(values: Array, spec: TensorSpec) -> Array:
    if spec.any_rank:
        return values
    if values.ndim == 1 and len(spec.shape) == 2 and spec.shape[1] in (1, None):
        return values[:, np.newaxis]
    if values.ndim == 2 and len(spec.shape) == 1 and values.shape[1] == 1:
        return values[:, 0]
    return values


def _is_open(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.shape[0] is None


def _listed(names: set[str]) -> str:
    return ",".join(sorted(names))
