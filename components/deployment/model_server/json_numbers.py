"""Nested lists of JSON numbers as arrays, without a look at each value in Python.

Says nothing about what it does not take: the caller then reads value by value, and finds the words
for what is wrong.
"""

from itertools import chain
from typing import Any

import numpy as np

from tfx_loop.models.tensors import Array, TensorSpec

# Up to here a type holds each whole number exactly, and the largest number that it holds.
_FLOATS = {
    "float32": (2.0**24, float(np.finfo(np.float32).max)),
    "float64": (2.0**53, float(np.finfo(np.float64).max)),
}
_INTEGERS = ("int32", "int64")
_NUMBERS = {float, int}


def numbers(value: Any, spec: TensorSpec) -> Array | None:
    """Returns a list of numbers, nested evenly, as an array of the type of an input.

    Args:
        value: What JSON held.
        spec: The input.

    Returns:
        The array; None where the list holds anything that needs a closer look.
    """
    is_float = spec.dtype in _FLOATS
    if type(value) is not list or not (is_float or spec.dtype in _INTEGERS):
        return None
    try:
        array = np.array(value)
    except ValueError:  # Uneven lists.
        return None
    if array.dtype.kind not in "fi" or array.size == 0:
        return None
    flat = value
    for _ in range(array.ndim - 1):
        flat = list(chain.from_iterable(flat))
    kinds = set(map(type, flat))
    if is_float:
        exact, largest = _FLOATS[spec.dtype]
        # By type: NumPy takes true for 1. Also false for NaN and infinities.
        limit = exact if int in kinds else largest
        if kinds <= _NUMBERS and bool((np.abs(array) <= limit).all()):
            return array.astype(spec.dtype)
        return None
    if kinds != {int} or array.dtype != np.int64:
        return None
    if spec.dtype == "int64":
        return array
    limits = np.iinfo(spec.dtype)
    if array.min() < limits.min or array.max() > limits.max:
        return None
    return array.astype(spec.dtype)
