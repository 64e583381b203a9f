"""Arrays as JSON text, with the digits of TF Serving.

Its numbers have six digits where those read back as the same number, and else all that the type
has; numbers without a fraction end in `.0`, so that clients tell them from whole ones.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.tensors import Array, type_name

# TF Serving's convention for text that is no text.
_BYTES_SUFFIX = "_bytes"
_FLOATS = {"float16": 9, "float32": 9, "float64": 17}


def json_items(name: str, array: Array) -> list[str]:
    """Returns the JSON texts of an array's rows; of a scalar its own.

    Args:
        name: Of the output: those that end in `_bytes` are base64.
        array: What to write.

    Raises:
        DataError: Its type has no JSON; in the words of TF Serving.
    """
    items = _tokens(name, array)
    # From the last axis to the second: each joins the lists of the axis before.
    for axis in range(array.ndim - 1, 0, -1):
        size, lists = array.shape[axis], math.prod(array.shape[:axis])
        items = [f"[{', '.join(items[i * size : (i + 1) * size])}]" for i in range(lists)]
    return items


def joined(items: Sequence[str], rank: int) -> str:
    """Returns an array's rows as one text; rank 0 has one item and no list."""
    return f"[{', '.join(items)}]" if rank else items[0]


def json_object(members: Mapping[str, str]) -> str:
    """Returns an object of texts that are JSON already."""
    return f"{{{', '.join(f'{json.dumps(key)}: {value}' for key, value in members.items())}}}"


def encoded(text: str) -> bytes:
    """Returns a JSON text as bytes; bytes of outputs that are no UTF-8 are what they were."""
    return text.encode("utf-8", "surrogateescape")


def float_tokens(array: Array) -> list[str]:
    """Returns the JSON texts of floats, flat."""
    values = array.reshape(-1).astype(np.float64).tolist()
    short = [f"{value:.6g}" for value in values]
    # Compared in the array's own type: 0.2 is no double that a float32 could be.
    with np.errstate(over="ignore"):
        read_back = np.array([float(text) for text in short]).astype(array.dtype)
    same = (read_back == array.reshape(-1)).tolist()
    digits = _FLOATS[type_name(array.dtype)]
    return [
        _pointed(text) if kept else _longer(value, digits)
        for text, value, kept in zip(short, values, same, strict=True)
    ]


def _longer(value: float, digits: int) -> str:
    if math.isfinite(value):
        return _pointed(f"{value:.{digits}g}")
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _pointed(text: str) -> str:
    if "." in text or "e" in text:
        return text
    if "n" in text:
        # inf reads back as itself.
        return "-Infinity" if text.startswith("-") else "Infinity"
    return f"{text}.0"


def _tokens(name: str, array: Array) -> list[str]:
    if type_name(array.dtype) in _FLOATS:
        return float_tokens(array)
    if array.dtype.kind in "iu":
        return list(map(str, array.reshape(-1).tolist()))
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in array.reshape(-1).tolist()]
    if array.dtype.kind in "OSU":
        write = _base64 if name.endswith(_BYTES_SUFFIX) else _text
        return [write(value) for value in array.reshape(-1).tolist()]
    raise DataError(f"Failed to write JSON value for tensor type: {array.dtype.name}")


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _base64(value: Any) -> str:
    return f'{{"b64": "{base64.b64encode(_raw(value)).decode()}"}}'


def _text(value: Any) -> str:
    return json.dumps(_raw(value).decode("utf-8", "surrogateescape"), ensure_ascii=False)
