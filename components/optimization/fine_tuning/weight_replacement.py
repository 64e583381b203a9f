"""Other weights in a SavedModel whose signatures all stay as they are.

A network that was pruned has the shape of its parent. So the parent's SavedModel, with the
Transform graph and the vocabularies around the network, serves the child too once the network's
variables are replaced; the graph itself is not touched. Runs where TensorFlow may be imported.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.optimization.fine_tuning.rows_file import Array

_VARIABLES = Path("variables") / "variables"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Holds a hash of the variables, which would no longer be true.
_FINGERPRINT = "fingerprint.pb"

NamedWeights: TypeAlias = Sequence[tuple[str, Array]]


def write_with_weights(
    parent: Path | str, folder: Path | str, before: NamedWeights, after: NamedWeights
) -> None:
    """Writes a copy of the parent's SavedModel with the child's weights.

    Args:
        parent: SavedModel of the parent.
        folder: Where the child's goes; it must not be there yet.
        before: Name and value of each weight of the parent's network, as its Keras file has them.
        after: The same weights of the child, in the same order.

    Raises:
        ModelError: A weight of the network is not among the SavedModel's variables, by its value
            and its name; then the two files are not of the same model.
    """
    stored = _stored(Path(parent))
    replaced: dict[str, Array] = {}
    for (name, old), (_, new) in zip(before, after, strict=True):
        alone = sum(_equal(value, old) for _, value in before) == 1
        keys = _keys(stored, name, old, alone=alone, taken=replaced, parent=parent)
        if new.shape != old.shape:
            raise ModelError(
                f"Expected weights of shape {old.shape} for {name}, received {new.shape}. "
                "A child of another shape needs export_fn."
            )
        replaced |= dict.fromkeys(keys, new)
    _copy(
        Path(parent), Path(folder), {key: values for key, (_, values) in stored.items()}, replaced
    )


def _stored(parent: Path) -> dict[str, tuple[str, Any]]:
    """Returns the checkpoint's entries: key to variable name (or "") and value."""
    guard.check(ModelFile(parent, Format.SAVED_MODEL))
    try:
        reader = tf.train.load_checkpoint(str(parent / _VARIABLES))
    except Exception as error:  # the reader's errors have no common class
        raise ModelError(f"Expected a SavedModel with variables in {parent}: {error}.") from error
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECT_GRAPH)
    )
    names = {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
    }
    return {
        key: (names.get(key, ""), reader.get_tensor(key))
        for key in reader.get_variable_to_shape_map()
    }


def _keys(
    stored: Mapping[str, tuple[str, Any]],
    name: str,
    value: Array,
    *,
    alone: bool,
    taken: Mapping[str, Array],
    parent: Path | str,
) -> list[str]:
    """Returns the entries that hold a weight: the same value, and where several have it the name.

    Keras 3 writes each weight once for its layer and once for the export. Where none has the name
    and no other weight of the network the value, all of them are copies of this weight.
    """
    # Values first: names differ between the Keras file and what exported it, trained values do not.
    same = [
        key
        for key, (_, found) in stored.items()
        if key not in taken and key != _OBJECT_GRAPH and _equal(found, value)
    ]
    named = [key for key in same if stored[key][0] == name.split(":")[0]]
    if named or len(same) == 1:
        return (named or same)[:1]
    # Zeros and ones stand in many variables that are no copies of each other.
    if same and alone and not np.isin(value, (0, 1)).all():
        return same
    found = f"{len(same)} variables with its value and none of its name" if same else "none"
    raise ModelError(
        f"Expected the weight {name} of the Keras model among the variables of {parent}, received "
        f"{found}. Export both from one model, or give export_fn='package.module.function'."
    )


def _equal(found: Any, value: Array) -> bool:
    return (
        isinstance(found, np.ndarray)
        and found.shape == value.shape
        and found.dtype == value.dtype
        and bool(np.array_equal(found, value))
    )


def _copy(
    parent: Path, folder: Path, stored: Mapping[str, Any], replaced: Mapping[str, Array]
) -> None:
    # All but the variables: graph, assets and signatures stay byte for byte.
    shutil.copytree(parent, folder, ignore=shutil.ignore_patterns("variables.*", _FINGERPRINT))
    entries = {**stored, **replaced}
    (folder / _VARIABLES).parent.mkdir(exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(folder / _VARIABLES),
        tensor_names=list(entries),
        # Whole tensors: an empty text is no slice.
        shape_and_slices=[""] * len(entries),
        tensors=[tf.constant(values) for values in entries.values()],
    )
