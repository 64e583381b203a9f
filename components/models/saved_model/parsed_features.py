"""The features that a SavedModel parses tf.Examples into, read from its graph.

A signature for tf.Examples has one input of bytes and says nothing of what they hold. The parsing
operations do: their keys are constants beside them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf


def parsed_features(graph: Any) -> dict[str, str]:
    """Returns NumPy's type names by feature; empty where the graph does not tell.

    Args:
        graph: The MetaGraphDef of a SavedModel.
    """
    features: dict[str, str] = {}
    scopes = [list(graph.graph_def.node)]
    scopes += [list(function.node_def) for function in graph.graph_def.library.function]
    for nodes in scopes:
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            for name, kind in _features_of(node, by_name):
                features[name] = kind
    return features


def dense_feature(tensor: Any) -> str | None:
    """Returns the feature that a tensor of a `tf.Graph` is as it was parsed; None for another."""
    op = tensor.op
    if op.type == "Identity":
        return dense_feature(op.inputs[0])
    # Before the dense values come indices, values and shapes of each sparse feature.
    dense = op.type == "ParseExampleV2" and tensor.value_index >= 3 * op.get_attr("num_sparse")
    return _feature_parsed(tensor) if dense else None


def only_source(tensor: Any) -> str | None:
    """Returns the one feature, or input of a signature, that a tensor is made of; None for more."""
    sources: set[str | None] = set()
    seen, waiting = set(), [tensor]
    while waiting:
        each = waiting.pop()
        if each.ref() in seen:
            continue
        seen.add(each.ref())
        if each.op.type == "ParseExampleV2":
            sources.add(_feature_parsed(each))
        # Those of tables are resources.
        elif each.op.type == "Placeholder" and each.dtype != tf.resource:
            sources.add(each.op.name)
        else:
            waiting.extend(each.op.inputs)
    return sources.pop() if len(sources) == 1 else None


def _feature_parsed(tensor: Any) -> str | None:
    """Returns the feature that one output of `ParseExampleV2` holds, or a part of it."""
    op, place = tensor.op, tensor.value_index
    sparse = op.get_attr("num_sparse")
    # Indices, values and shapes of each sparse feature, then the dense ones, then the ragged.
    which, place = (2, place % sparse) if place < 3 * sparse else (3, place - 3 * sparse)
    keys = tf.get_static_value(op.inputs[which])
    known = keys is not None and 0 <= place < len(keys)
    return keys[place].decode("utf-8", "backslashreplace") if known else None


def _features_of(node: Any, by_name: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if node.op == "ParseExampleV2":
        # serialized, names, sparse_keys, dense_keys, ragged_keys, dense_defaults...
        for place, attr in ((2, "sparse_types"), (3, "Tdense"), (4, "ragged_value_types")):
            yield from _typed(_constant(node.input[place], by_name), node.attr[attr].list.type)
    elif node.op == "ParseExample":
        sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
        # serialized, names, one input for each sparse and then for each dense key.
        places = node.input[2 : 2 + sparse + dense]
        keys = [key for place in places for key in _constant(place, by_name)]
        kinds = [*node.attr["sparse_types"].list.type, *node.attr["Tdense"].list.type]
        yield from _typed(keys, kinds)
    elif node.op == "ParseSingleExample":
        for named, typed in (("sparse_keys", "sparse_types"), ("dense_keys", "Tdense")):
            yield from _typed(node.attr[named].list.s, node.attr[typed].list.type)


def _constant(name: str, by_name: Mapping[str, Any]) -> list[bytes]:
    # In a function an input is `node:output:index`, in a graph `node` or `node:index`.
    node = by_name.get(name.split(":")[0])
    while node is not None and node.op == "Identity":
        node = by_name.get(node.input[0].split(":")[0])
    if node is None or node.op != "Const":
        return []
    return list(tf.make_ndarray(node.attr["value"].tensor).reshape(-1).tolist())


def _typed(keys: Iterable[bytes], kinds: Iterable[int]) -> Iterator[tuple[str, str]]:
    for key, kind in zip(keys, kinds, strict=False):
        yield key.decode("utf-8", "backslashreplace"), tf.dtypes.as_dtype(kind).name
