"""Rows of tf.Examples as a signature of a SavedModel takes them: whole, or column by column.

A signature that takes Examples apart is given them as they are. Any other is given the features
that its inputs are called after, or that the user names for them; one input whose name no feature
has takes the one feature that fits it, as the bytes of an image do. A number or a text that a row
lacks is 0 or empty: what counts is that the server answers as the model does here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError, ModelRejected
from tfx_loop.models.rows.examples import columns_of, parse_examples
from tfx_loop.models.saved_model.graph import parses_examples, public_signatures, read_graph, specs
from tfx_loop.models.tensors import (
    COLUMNS_SIGNATURE,
    DEFAULT_SIGNATURE,
    EXAMPLES_SIGNATURE,
    Array,
    TensorSpec,
)
from tfx_loop.models.tensors import fixed_batch as fixed_batch_of

# Names by convention: TensorFlow's, that of many pipelines for tf.Examples, that of Keras' export.
_USUAL = (DEFAULT_SIGNATURE, EXAMPLES_SIGNATURE, "serve", COLUMNS_SIGNATURE)
_EMPTY = {"bytes_list": [b""], "float_list": [0.0], "int64_list": [0]}

Sources = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class GoldenRows:
    """Rows for a signature.

    Attributes:
        signature: Its name.
        arguments: Arrays by input, for a call in this process.
        instances: The same rows as a client of a server sends them.
    """

    signature: str
    arguments: Mapping[str, Array]
    instances: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class GoldenTerms:
    """Which rows are asked, and how.

    Attributes:
        rows: How many.
        signature_name: The signature of a SavedModel; empty for the first that the Examples suit,
            in the order of how common their names are.
        features: By input the features that it takes, where their names differ.
        as_examples: Whether a TFLite model is asked with Examples too; otherwise with columns.
    """

    rows: int
    signature_name: str = ""
    features: Sources = field(default_factory=dict)
    as_examples: bool = False


def golden_rows(folder: Path, examples: Sequence[bytes], terms: GoldenTerms) -> GoldenRows:
    """Returns rows for a signature of a SavedModel, out of serialized Examples.

    Raises:
        ModelError: It is no whole SavedModel.
        ModelRejected: There is no such signature, or the Examples hold no rows for one.
    """
    graph = read_graph(folder)
    known, wanted = public_signatures(graph), terms.signature_name
    if wanted and wanted not in known:
        raise ModelRejected(
            f"Expected the signature {wanted!r} in the model, received {', '.join(sorted(known))}. "
            "Set signature_name to one of these."
        )
    usual = [name for name in _USUAL if name in known]
    refused = []
    for name in [wanted] if wanted else [*usual, *sorted(known.keys() - set(usual))]:
        inputs, _ = specs(known[name])
        try:
            if len(inputs) == 1 and inputs[0].dtype == "string" and parses_examples(graph, name):
                return _whole(name, inputs[0], examples[: terms.rows])
            return _by_column(name, inputs, examples, terms)
        except DataError as error:
            refused.append(f"{name!r}: {error}")
    raise ModelRejected(
        f"Expected a signature that takes the Examples or features of them, received "
        f"{'; '.join(refused) or 'no signatures'}"
    )


def _whole(name: str, spec: TensorSpec, examples: Sequence[bytes]) -> GoldenRows:
    # Some declare [n, 1], as a Keras layer's input has it.
    array = np.asarray(examples, dtype=object).reshape(-1, *spec.shape[1:])
    return GoldenRows(signature=name, arguments={spec.name: array}, instances=array.tolist())


def _by_column(
    name: str, inputs: Sequence[TensorSpec], examples: Sequence[bytes], terms: GoldenTerms
) -> GoldenRows:
    for spec in inputs:
        if not spec.shape and not spec.any_rank:
            raise DataError(f"Expected inputs with a row for each Example, received {spec}.")
    parsed = parse_examples(examples)
    kinds = _kinds(parsed)
    named = {
        spec.name: _features_of(spec, inputs, parsed, kinds, terms.features) for spec in inputs
    }
    filled = [_filled(example, named, inputs, kinds) for example in parsed]
    complete = [example.SerializeToString() for example in filled if example is not None]
    # A batch of one size is filled with the rows that there are, again and again.
    size = fixed_batch_of(inputs) or min(terms.rows, len(complete))
    if not complete:
        raise DataError(
            f"Expected Examples with all of {', '.join(map(str, inputs))}, received none among "
            f"{len(examples)}."
        )
    chosen = [complete[place % len(complete)] for place in range(size)]
    columns = columns_of(inputs, chosen, named)
    lists = {name: array.tolist() for name, array in columns.items()}
    instances = [{name: values[i] for name, values in lists.items()} for i in range(size)]
    return GoldenRows(signature=name, arguments=columns, instances=instances)


def _kinds(examples: Sequence[Any]) -> dict[str, str]:
    """Returns the kind of each feature; empty text where no Example has a value of it."""
    found: dict[str, str] = {}
    for example in examples:
        for name, feature in example.features.feature.items():
            found[name] = found.get(name) or feature.WhichOneof("kind") or ""
    return found


def _features_of(
    spec: TensorSpec,
    inputs: Sequence[TensorSpec],
    examples: Sequence[Any],
    kinds: Mapping[str, str],
    sources: Sources,
) -> Sequence[str]:
    """Returns the features that an input takes."""
    named = sources.get(spec.name, (spec.name,))
    if all(name in kinds for name in named):
        return named
    if spec.name not in sources and len(inputs) == 1:
        fitting = [name for name in sorted(kinds) if _fits(spec, name, kinds[name], examples)]
        if len(fitting) == 1:
            return fitting
    raise DataError(
        f"Expected features for the input {spec}, received {', '.join(sorted(kinds)) or 'none'}. "
        f"Name them: golden_features={{{spec.name!r}: [...]}}."
    )


def _fits(spec: TensorSpec, name: str, kind: str, examples: Sequence[Any]) -> bool:
    if (kind == "bytes_list") != (spec.dtype == "string") or not kind:
        return False
    size = _row_size(spec)
    counts = {len(getattr(e.features.feature[name], kind).value) for e in examples} - {0}
    return bool(counts) and (size is None or counts == {size})


def _filled(
    example: Any, named: Sources, inputs: Sequence[TensorSpec], kinds: Mapping[str, str]
) -> Any | None:
    """Returns the Example with the single values that it lacks; None where it lacks more."""
    for spec in inputs:
        for name in named[spec.name]:
            held = example.features.feature[name]
            if held.WhichOneof("kind") and getattr(held, held.WhichOneof("kind")).value:
                continue
            if _row_size(spec) not in (None, len(named[spec.name])):
                return None
            kind = kinds[name] or ("bytes_list" if spec.dtype == "string" else "float_list")
            getattr(held, kind).value.extend(_EMPTY[kind])
    return example


def _row_size(spec: TensorSpec) -> int | None:
    """Returns how many values a row has; None where that is open."""
    sizes = [size for size in spec.shape[1:] if size is not None]
    return math.prod(sizes) if len(sizes) == len(spec.shape[1:]) else None
