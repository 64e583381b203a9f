"""Names for the inputs of a network that was cut off its preprocessing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_loop.models.parity import MAX_DIFFERENCE
from tfx_loop.models.preprocessing.division import Division
from tfx_loop.models.saved_model.parsed_features import dense_feature, only_source


@dataclass(frozen=True)
class InputNames:
    """What the inputs of a network are called.

    Attributes:
        values: In the order of the division.
        known: Whether they are the names of features, not made up here.
    """

    values: tuple[str, ...]
    known: bool


def input_names(
    division: Division,
    graph_names: Sequence[str],
    transformed: Mapping[str, Any],
    made: Sequence[Any],
) -> InputNames:
    """Returns the names of the transformed features, or where these are not known others.

    Args:
        division: Where the graph is divided.
        graph_names: What the Transform graph calls its outputs; empty where that is not known.
        transformed: Transformed features of some rows, by name; empty where there are none.
        made: What the network takes for these rows.
    """
    features = _features(transformed, made)
    # tf.nest flattens a dict in the order of its sorted keys.
    ordered = dict(enumerate(sorted(graph_names)))
    found = []
    for tensor, place, same in zip(division.tensors, division.positions, features, strict=True):
        # Without a Transform graph the network may take features as they were parsed.
        named = dense_feature(tensor) if place is None else ordered.get(place)
        # Where the values are known they decide; two features may be alike on a few rows.
        found.append(named if not same or named in same else same[0] if len(same) == 1 else None)
    if len(set(found)) == len(found) and None not in found:
        return InputNames(tuple(map(str, found)), True)
    sources = [only_source(tensor) for tensor in division.tensors]
    generic = [_generic(t, sources, number) for number, t in enumerate(division.tensors)]
    values = [known or made for known, made in zip(found, generic, strict=True)]
    return InputNames(tuple(values if len(set(values)) == len(values) else generic), False)


def _features(transformed: Mapping[str, Any], made: Sequence[Any]) -> list[list[str]]:
    """Returns for each input of the network the transformed features with its values."""
    flat = {
        name: value.numpy().reshape(len(value), -1)
        for name, value in transformed.items()
        if isinstance(value, tf.Tensor) and value.dtype != tf.string and value.shape.rank
    }
    found = []
    for tensor in made:
        mine = tensor.numpy().reshape(len(tensor), -1)
        # Frozen and inlined, the same formula may be computed in another order.
        found.append(
            [
                name
                for name, values in flat.items()
                if values.shape == mine.shape
                and np.allclose(values, mine, atol=MAX_DIFFERENCE, equal_nan=True)
            ]
        )
    return found


def _generic(tensor: Any, sources: Sequence[str | None], number: int) -> str:
    """Returns a name that people find in their own code.

    It is after the feature that the tensor alone is made of, such as `image_preprocessed`, else
    after the layer that makes it, such as `category_encoding_3`. It is never a feature's own name:
    the Examples would seem to hold what the network takes.
    """
    source = sources[number]
    if source is not None and sources.count(source) == 1:
        return f"{source}_preprocessed"
    parts = [p for p in tensor.op.name.split("/")[:-1] if "PartitionedCall" not in p]
    layer = parts[-1] if parts and not parts[-1].startswith(("output", "Func")) else "input"
    return f"{re.sub(r'[^A-Za-z0-9]', '_', layer)}_{number}"
