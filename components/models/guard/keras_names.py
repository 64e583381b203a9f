"""Names that a Keras file may use: classes, functions, and symbols of TensorFlow's API.

Allow-lists, in `keras_names.txt`: whatever is not there is refused, whether it does harm or is
merely not known.
"""

import re
from collections import defaultdict
from functools import cache
from importlib import resources

# Name spaces of TensorFlow's API in which every symbol only computes.
_SPACES = (
    "__operators__.",
    "bitwise.",
    "compat.v1.math.",
    "compat.v1.nn.",
    "image.",
    "linalg.",
    "math.",
    "nn.",
    "quantization.",
    "ragged.",
    "random.",
    "sets.",
    "signal.",
    "sparse.",
    "strings.",
)
# Of those name spaces: a function or a file's name as an argument, or state of the whole process.
_NOT_IN_SPACES = (
    "quantization.experimental.TfRecordRepresentativeDatasetSaver",
    "quantization.experimental.quantize_saved_model",
    "nn.fixed_unigram_candidate_sampler",
    "ragged.map_flat_values",
    "random.fixed_unigram_candidate_sampler",
    "random.set_global_generator",
    "random.set_seed",
    "sparse.map_values",
)
_SYMBOL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_ACTIVATIONS, _BACKEND = "keras.activations.", "keras.backend."
# Classes whose factories ClassMethod may call.
_CLASSES = ("RaggedTensor", "SparseTensor")
_FACTORY = "from_"
# Properties of tensors that InstanceProperty may read.
PROPERTIES = frozenset(
    {"T", "dense_shape", "dtype", "flat_values", "indices", "row_splits", "shape", "values"}
)


@cache
def _sections() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    section = ""
    for line in resources.files(__package__).joinpath("keras_names.txt").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif not line.startswith("#"):
            found[section].update(line.split())
    return {name: frozenset(words) for name, words in found.items()}


def is_class(name: str) -> bool:
    """Says whether a name is of a class of Keras or TFMOT, or a form of a value."""
    known = _sections()
    return any(name in known[each] for each in ("keras_2", "keras_3", "optimized", "forms"))


def is_operation(name: str) -> bool:
    """Says whether a name is of an operation of keras.ops that only computes."""
    return name in _sections()["keras_3_operations"]


def is_function(name: str) -> bool:
    """Says whether a name is of an activation, loss or metric."""
    return name in _sections()["functions"]


def is_symbol(name: str) -> bool:
    """Says whether a symbol of TensorFlow's API, without `tf.`, only computes."""
    if name.startswith(_BACKEND):
        return name.removeprefix(_BACKEND) in _sections()["backend"]
    if name.startswith(_ACTIVATIONS):
        return is_function(name.removeprefix(_ACTIVATIONS))
    if name in _sections()["symbols"]:
        return True
    # compat.v1 has the same under names of its own.
    return (
        name.startswith(_SPACES)
        and bool(_SYMBOL.fullmatch(name))
        and not name.endswith(_NOT_IN_SPACES)
    )


def is_factory(class_symbol: str, method: str) -> bool:
    """Says whether a class method only makes a tensor."""
    return class_symbol in _CLASSES and method.startswith(_FACTORY)
