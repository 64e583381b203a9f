"""Tensors from TF Serving's JSON requests, and JSON from outputs.

The formats and, where it has them, the messages are those of TF Serving's json_tensor.cc.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import OPEN, WITHHELD, Redaction
from tfx_loop.deployment.model_server.json_numbers import numbers
from tfx_loop.deployment.model_server.json_output import encoded, joined, json_items, json_object
from tfx_loop.deployment.model_server.json_text import (
    SHOWN_CHARACTERS,
    bytes_of,
    is_object,
    parse_document,
    refuse_type,
    shown,
    signature_name_of,
)
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.tensors import Array, TensorSpec

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, kw_only=True)
class JsonRequest:
    """A parsed predict request, before its values are looked at.

    Attributes:
        signature_name: Which signature to ask.
        content: The value of "instances" or of "inputs".
        row_format: Whether it was "instances".
    """

    signature_name: str
    content: Any
    row_format: bool


def parse_request(body: bytes) -> JsonRequest:
    """Reads the JSON of a predict request.

    Raises:
        DataError: It is no JSON, or not of one of the two formats.
    """
    document = parse_document(body)
    name = signature_name_of(document)
    if "instances" in document and "inputs" in document:
        raise DataError(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise DataError(
                # "Excepting" and "an list" are TF Serving's.
                f"JSON Value: {shown(document)} Excepting 'instances' to be an list/array"
            )
        if not instances:
            raise DataError(f"JSON Value: {shown(document)} No values in 'instances' array")
        return JsonRequest(signature_name=name, content=instances, row_format=True)
    if "inputs" in document:
        return JsonRequest(signature_name=name, content=document["inputs"], row_format=False)
    raise DataError("Missing 'inputs' or 'instances' key")


def to_tensors(
    request: JsonRequest, signature: Signature, redaction: Redaction = OPEN
) -> dict[str, Array]:
    """Returns the inputs by name, with the types of the signature.

    Args:
        request: What was asked.
        signature: What the model takes.
        redaction: Inputs of which errors quote nothing: replies end in clients' logs.

    Raises:
        DataError: Names, types or nesting do not fit.
    """
    try:
        columns = (
            _from_instances(request.content, signature)
            if request.row_format
            else _from_inputs(request.content, signature)
        )
    except DataError as error:
        # Whole rows are quoted there.
        raise _withheld(error, [n for n in signature.inputs if redaction.hides(n)]) from None
    found = {}
    for name, spec in signature.inputs.items():
        try:
            found[name] = _tensor(name, columns[name], spec)
        except DataError as error:
            if request.row_format:
                # Looked for only now: which row is wrong costs a walk over all of them, and good
                # requests need none.
                error = row_error(name, columns[name], spec) or error
            raise _withheld(error, [name] if redaction.hides(name) else []) from None
    return found


def row_error(name: str, instances: list[Any], spec: TensorSpec) -> DataError | None:
    """Returns what is wrong with the first wrong one of some instances, in TF Serving's words."""
    first: tuple[int, ...] | None = None
    for position, instance in enumerate(instances):
        said = f"Failed to process element: {position} key: {name} of 'instances' list. Error: "
        try:
            shape = _tensor(name, instance, spec).shape
        except DataError as error:
            return DataError(f"{said}INVALID_ARGUMENT: {str(error).removeprefix(_of(name))}")
        if first is None:
            first = shape
        size, wanted = math.prod(shape), math.prod(first)
        if size != wanted:
            return DataError(f"{said}Expecting tensor size: {wanted} but got: {size}")
        if shape != first:
            return DataError(f"{said}Expecting shape {_sizes(first)} but got: {_sizes(shape)}")
    return None


def _of(name: str) -> str:
    return f"Input {name}: "


def _sizes(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _withheld(error: DataError, hidden: list[str]) -> DataError:
    """Returns the error, of hidden inputs without what it quotes."""
    if not hidden:
        return error
    return DataError(f"Input {', '.join(hidden)}: the values do not fit; {WITHHELD}.")


def to_json(outputs: Mapping[str, Array], row_format: bool) -> bytes:
    """Returns the body of the answer: "predictions" for rows, "outputs" for columns.

    Raises:
        DataError: A type has no JSON; or rows were asked for, and an output has none, or the
            outputs differ in their number.
    """
    if row_format:
        _check_rows(outputs)
    columns = {name: json_items(name, outputs[name]) for name in sorted(outputs)}
    single = len(columns) == 1
    if not row_format:
        texts = {name: joined(items, outputs[name].ndim) for name, items in columns.items()}
        content = next(iter(texts.values())) if single else json_object(texts)
        return encoded(f'{{"outputs": {content}}}')
    if single:
        rows = next(iter(columns.values()))
    else:
        rows = [
            json_object(dict(zip(columns, row, strict=True)))
            for row in zip(*columns.values(), strict=True)
        ]
    return encoded(f'{{"predictions": [{", ".join(rows)}]}}')


def _check_rows(outputs: Mapping[str, Array]) -> None:
    size = -1
    for name in sorted(outputs):
        shape = outputs[name].shape
        if not shape:
            raise DataError(f"Tensor name: {name} has no shape information ")
        if size >= 0 and shape[0] != size:
            raise DataError(
                f"Tensor name: {name} has inconsistent batch size: {shape[0]} expecting: {size}"
            )
        size = shape[0]


def _from_instances(instances: list[Any], signature: Signature) -> dict[str, list[Any]]:
    if not is_object(instances[0]):
        if len(signature.inputs) > 1:
            raise DataError(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        for position, instance in enumerate(instances):
            if is_object(instance):
                raise DataError(
                    f"Expecting value/list but got object at item {position} of input list"
                )
        return {next(iter(signature.inputs)): instances}
    wanted = signature.inputs.keys()
    for position, instance in enumerate(instances):
        if not is_object(instance):
            raise DataError(f"Expecting object but got list at item {position} of input list")
        if instance.keys() != wanted:
            _refuse_keys(position, instance, signature)
    return {name: [instance[name] for instance in instances] for name in wanted}


def _refuse_keys(position: int, instance: dict[str, Any], signature: Signature) -> NoReturn:
    for name in instance:
        if name not in signature.inputs:
            raise DataError(
                f"Failed to process element: {position} key: {name[:SHOWN_CHARACTERS]} of "
                "'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named "
                f"input: {name[:SHOWN_CHARACTERS]}"
            )
    missing = sorted(set(signature.inputs) - set(instance))
    raise DataError(
        f"Failed to process element: {position} of 'instances' list. JSON object: "
        f"{shown(instance)} keys must be equal to: {','.join(sorted(signature.inputs))}. "
        f"Missing: {','.join(missing)}"
    )


def _from_inputs(inputs: Any, signature: Signature) -> dict[str, Any]:
    if not is_object(inputs):
        if len(signature.inputs) > 1:
            raise DataError(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {next(iter(signature.inputs)): inputs}
    for name in sorted(signature.inputs):
        if name not in inputs:
            raise DataError(f"Missing named input: {name} in 'inputs' object.")
    # Further names are no mistake in TF Serving.
    return {name: inputs[name] for name in signature.inputs}


def _tensor(name: str, value: Any, spec: TensorSpec) -> Array:
    # The fast way, by NumPy at once; None where the values need a look one by one.
    plain = numbers(value, spec)
    if plain is not None:
        return plain
    shape: list[int] = []
    level = value
    while isinstance(level, list):
        shape.append(len(level))
        if not level:
            break
        # The shape is that of the first elements; `_flatter` refuses rows that differ from them.
        level = level[0]
    flat = value if isinstance(value, list) else [value]
    for depth in range(1, max(len(shape), 1)):
        flat = _flatter(name, flat, depth, shape[depth])
    try:
        return _typed(flat, spec).reshape(shape)
    except DataError as error:
        raise DataError(f"{_of(name)}{error}") from error


def _flatter(name: str, lists: list[Any], level: int, size: int) -> list[Any]:
    flat: list[Any] = []
    for item in lists:
        if not isinstance(item, list):
            raise DataError(
                f"Input {name}: JSON Value: {shown(item)} found at incorrect level: {level} "
                "in the JSON DOM."
            )
        if len(item) != size:
            raise DataError(
                f"Input {name}: Encountered list at unexpected size: {len(item)} at level: "
                f"{level} expected size: {size}"
            )
        flat.extend(item)
    return flat


def _typed(flat: list[Any], spec: TensorSpec) -> Array:
    """Returns a flat array of the declared type; types are checked, never guessed."""
    dtype = spec.dtype
    if dtype == "string":
        # Filled by assignment: np.array would make a second axis of texts of one length.
        array = np.empty(len(flat), dtype=object)
        array[:] = [bytes_of(value) for value in flat]
        return array
    allowed: tuple[type, ...]
    if dtype in ("float16", "float32", "float64"):
        allowed = (float, int)
    elif dtype in _INTEGERS:
        allowed = (int,)
    elif dtype == "bool":
        allowed = (bool,)
    else:
        raise DataError(f"Conversion of JSON Value: {shown(flat)} to type: {dtype}")
    # By exact type: isinstance would take true for 1. A set of types is fast on long lists.
    if not set(map(type, flat)) <= set(allowed):
        refuse_type(next(value for value in flat if type(value) not in allowed), dtype)
    if dtype in _INTEGERS and flat:
        limits = np.iinfo(dtype)
        # Before np.array, which wraps or raises differently from version to version.
        if min(flat) < limits.min or max(flat) > limits.max:
            refuse_type(max(flat, key=abs), dtype)
    try:
        # Floats go through double, as JSON's numbers are.
        array = np.array(flat, dtype=dtype if dtype in (*_INTEGERS, "bool") else np.float64)
    except OverflowError:
        refuse_type(max(flat, key=abs), dtype)
    # As in TF Serving, what a narrower type cannot hold is rounded, becomes infinite or zero.
    with np.errstate(over="ignore", under="ignore"):
        return array.astype(dtype, copy=False)
