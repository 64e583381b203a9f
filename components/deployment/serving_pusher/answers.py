"""Comparison of served answers with those that the model gave in the pipeline. Pure.

Numbers pass within a tolerance, which each output has for its own type and spread; whole numbers,
truth values and text must be equal. NaN and infinities are failures of the model, also where the
server repeats them, unless the version that serves now gives them for the same row.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Answers = Mapping[str, npt.NDArray[Any]]

# The share of an output's spread that another build of TensorFlow may be off: it fuses and orders
# sums otherwise. Another model is off by far more than a thousandth.
_SHARE_OF_SPREAD = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-3, "float64": 1e-6}
# The distance from 1 to the next number of the type (IEEE 754, and Google's bfloat16).
_RESOLUTION = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-23, "float64": 2**-52}
# Rounding adds up over a network's layers to some hundred of these steps, whatever the spread.
_STEPS = 256
# Half floats have few digits: 256 of their steps would be a quarter of the value.
_STEPS_OF_HALF = 8
# Enough to see what kind of difference it is; the line still fits a terminal.
_SHOWN_VALUES = 4


def difference(
    expected: Answers,
    served: Mapping[str, Any],
    *,
    parent: Answers | None = None,
    share_of_largest: float = 0.0,
) -> str:
    """Returns how served answers differ from the expected ones; empty where they agree.

    Args:
        expected: What the model answered here, by output.
        served: What the server answered: nested lists, by output.
        parent: What the version that serves now answers to the same rows, if there is one.
        share_of_largest: The share of an output's largest value that passes besides; for
            quantised models, whose steps span the output's range and not the spread of a few rows.
    """
    return next(_differences(expected, served, parent or {}, share_of_largest), "")


def not_finite(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Says for each value whether it is NaN or infinite; never of text and whole numbers."""
    if _is_float(values):
        return ~np.isfinite(values.astype(np.float64))
    return np.zeros(values.shape, dtype=np.bool_)


def _differences(
    expected: Answers, served: Mapping[str, Any], parent: Answers, share_of_largest: float
) -> Iterator[str]:
    for name, values in expected.items():
        wanted = f"{_shown(values)} for output {name!r}"
        if name not in served:
            yield f"{wanted}, received the outputs {sorted(served)}"
            continue
        if _fails(values, parent.get(name)):
            yield (
                f"finite values for output {name!r}, received {_shown(values[not_finite(values)])} "
                "from the model itself"
            )
        answer = _array_of(served[name], values)
        if answer is None or answer.shape != values.shape:
            yield f"{wanted}, received {str(served[name])[:200]}"
        elif not _agree(answer, values, share_of_largest):
            yield f"{wanted}, received {_shown(answer)}"
    more = sorted(set(served) - set(expected))
    if more:
        yield f"the outputs {sorted(expected)}, received also {more}"


def _fails(values: npt.NDArray[Any], parent: npt.NDArray[Any] | None) -> bool:
    """Says whether a row has NaN or an infinity where the parent's same row has none."""
    failed = _rows(not_finite(values))
    if not failed.any():
        return False
    if parent is None or parent.ndim == 0 or len(parent) != len(failed):
        return True
    return bool((failed & ~_rows(not_finite(parent))).any())


def _rows(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    failed: npt.NDArray[np.bool_] = flags.reshape(len(flags) if flags.ndim else 1, -1).any(axis=1)
    return failed


def _agree(answer: npt.NDArray[Any], values: npt.NDArray[Any], share_of_largest: float) -> bool:
    if not _is_float(values):
        return bool(np.array_equal(answer, values))
    wide = values.astype(np.float64)
    absolute, relative = _tolerance(wide, values.dtype.name)
    finite = np.abs(wide[np.isfinite(wide)])
    absolute = max(absolute, share_of_largest * finite.max(initial=0.0))
    return bool(np.allclose(answer, wide, rtol=relative, atol=absolute, equal_nan=True))


def _tolerance(values: npt.NDArray[np.float64], dtype: str) -> tuple[float, float]:
    """Returns what passes: an absolute difference, and one relative to each value."""
    share = _SHARE_OF_SPREAD.get(dtype, _SHARE_OF_SPREAD["float64"])
    resolution = _RESOLUTION.get(dtype, _RESOLUTION["float64"])
    steps = _STEPS_OF_HALF if dtype in ("float16", "bfloat16") else _STEPS
    finite = values[np.isfinite(values)]
    spread = float(np.ptp(finite)) if finite.size else 0.0
    if spread == 0.0:
        # One row, or a constant: there is no spread to compare with, so its size stands for it.
        spread = float(np.abs(finite).max(initial=0.0))
    return share * spread, steps * resolution


def _array_of(answer: Any, like: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Returns JSON's nested lists as an array of the kind expected; None where they are not."""
    try:
        if like.dtype.kind in "OSU":
            return _texts(answer, like)
        found = np.asarray(answer)
    except (TypeError, ValueError, OverflowError):
        return None
    # JSON may write a float without a fraction; it never writes a whole number with one.
    kinds = {"b": "b", "i": "iu", "u": "iu"}.get(like.dtype.kind, "iuf")
    if found.size == 0 and found.shape == like.shape:
        return found.astype(like.dtype)
    return found if found.dtype.kind in kinds else None


def _texts(answer: Any, like: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Returns text as the bytes that were expected; what JSON cannot carry stands replaced."""
    found = np.empty(like.shape, dtype=object)
    flat = list(_flat(answer, like.ndim))
    if len(flat) != like.size or any(value is None for value in flat):
        return None
    for position, (value, wanted) in enumerate(zip(flat, like.reshape(-1), strict=True)):
        replaced = isinstance(wanted, bytes) and value == wanted.decode("utf-8", "replace").encode()
        same = replaced or value == wanted or value == str(wanted).encode()
        found.reshape(-1)[position] = wanted if same else value
    return found


def _flat(answer: Any, depth: int) -> Iterator[bytes | None]:
    """Yields the texts of nested lists of a depth; None for what is no text, or no such list."""
    if depth > 0:
        for part in answer if isinstance(answer, list) else [None]:
            yield from _flat(part, depth - 1)
    elif isinstance(answer, dict) and isinstance(answer.get("b64"), str):
        yield base64.b64decode(answer["b64"])
    else:
        yield answer.encode() if isinstance(answer, str) else None


def _is_float(values: npt.NDArray[Any]) -> bool:
    # NumPy knows no bfloat16; the type that TensorFlow brings has a kind of its own.
    return values.dtype.kind == "f" or values.dtype.name == "bfloat16"


def _shown(values: npt.NDArray[Any]) -> list[Any]:
    shown: list[Any] = values.reshape(-1)[:_SHOWN_VALUES].tolist()
    return shown
